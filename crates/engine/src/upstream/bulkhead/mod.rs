//! Bounds how much of a service is in use, so that one that hangs does not take the gateway with it.
//!
//! ```text
//! Slots      a number of slots that all workers share, with a queue in front
//! Gradient   finds out how many slots there should be
//! Bulkhead   slots for the calls to a service
//! Connections   slots for the connections to it
//! ```

mod bounds;
mod connections;
pub mod gradient;
mod slots;

pub use bounds::{Bulkhead, Entered};
pub use connections::{Connections, Held, keep_reclaimed, slots_of};
pub use slots::{Claim, Got, Place, Slot, Slots, Turn};
