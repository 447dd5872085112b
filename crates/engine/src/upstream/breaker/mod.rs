//! Stops calling a service that fails, so that its callers fail fast and it can recover.
//!
//! ```text
//! Machine   the states and what leads from one to the other: for one thread, without a clock
//! Window    the last calls, for the rates
//! Breaker   a machine that all workers share; a Permit is one call that it let through
//! share     the other gateways learn that it opened
//! ```

mod circuit;
pub mod machine;
mod news;
pub mod share;
pub mod window;

pub use circuit::{Breaker, Opened, Permit};
pub use machine::{Refused, State, Why};
pub use news::{BreakerNews, News};
