//! The gateway's own overload: when it cannot keep up, it says so at once, and to those first who matter least.
//!
//! ```text
//! pulse (each worker: how late is it?) -> codel -> pressure --+
//!                                                             +--> shed: does this request, of this priority, go on?
//! memory (the slow thread: how full is it?)  -> pressure -----+
//! ```
//!
//! Pressure is a number of notches; each priority below [`Priority::Critical`] is as wide as [`NOTCHES`] of them. A request is
//! refused while the pressure reaches to its place on this scale: the low ones one in sixteen, one in eight, ... all of
//! them, and only then the first of the next. Nothing here is asked on the admin listener, which is an engine of its own.

pub mod codel;
pub mod memory;
pub mod pressure;
pub mod priority;
pub mod pulse;
pub mod shed;

pub use memory::Memory;
pub use pressure::{NOTCHES, TOP};
pub use priority::Priority;
pub use pulse::Guard;
pub use shed::{Overload, Shed};
