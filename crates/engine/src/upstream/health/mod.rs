//! Which targets are well: by asking them (active), and by what becomes of requests (passive).
//!
//! What is known of a target is part of it, so all workers share it and a reload keeps it. Whoever finds that a target is not
//! well takes it out ([`Target::take_out`](crate::upstream::target::Target::take_out)), each for a reason of its own; a request
//! sees only the set that follows from it.

pub mod check;
pub mod grpc;
pub mod judge;
pub mod outlier;
pub mod passive;
pub mod probe;
pub mod prober;
pub mod report;

pub use check::Probed;
pub use outlier::{Cause, Outlier};
pub use passive::Passive;
