//! How often, and how many at once: the state of `rate_limit` and `concurrency`, one for the whole engine.
//!
//! - [`algorithm`]: five ways to count, as pure functions of a small state and a time.
//! - [`table`]: the states of all keys, exact over all workers, bounded in memory.
//! - [`leases`]: how many requests of a key are under way.
//! - [`key`]: what a key is, once it is hashed.
//! - [`trace`]: one key through a list of arrivals, for tests.

pub mod algorithm;
mod bucket;
pub mod key;
pub mod leases;
mod log;
mod shard;
pub mod table;
pub mod trace;
mod window;

pub use algorithm::{Algorithm, Micros, NEVER, Parameters, Reading, Rule};
pub use key::{Hasher, Key, Namespace};
pub use leases::{Lease, Leases};
pub use table::{Ask, Census, MOST_LIMITS, Table, Told};

use std::sync::Arc;

/// What outlives a reload. A limit finds its counts again by its namespace and name.
#[derive(Default)]
pub struct Limits {
    pub hasher: Hasher,
    pub table: Table,
    pub leases: Arc<Leases>,
}
