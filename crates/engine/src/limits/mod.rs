//! How often, and how many at once: the state of `rate_limit` and `concurrency`, one for the whole engine.
//!
//! - [`algorithm`]: five ways to count, as pure functions of a small state and a time.
//! - [`table`]: the states of all keys, exact over all workers, bounded in memory.
//! - [`leases`]: how many requests of a key are under way.
//! - [`key`]: what a key is, once it is hashed.
//! - [`shared`]: the same decisions, taken in Redis for many gateways.
//! - [`synced`]: counted here and settled with Redis now and then.
//! - [`quota`]: what was used in calendar periods.
//! - [`trace`]: one key through a list of arrivals, for tests.

pub mod algorithm;
mod bucket;
pub mod key;
pub mod leases;
mod log;
pub mod quota;
mod shard;
pub mod shared;
pub mod synced;
pub mod table;
pub mod trace;
mod window;

pub use algorithm::{Algorithm, Micros, NEVER, Parameters, Reading, Rule};
pub use key::{Hasher, Key, Namespace};
pub use leases::{Lease, Leases};
pub use table::{Ask, Census, MOST_LIMITS, Table, Told};

use std::sync::{Arc, OnceLock};

use crate::policies::Local;

/// What outlives a reload. A limit finds its counts again by its namespace and name.
#[derive(Default)]
pub struct Limits {
    pub hasher: Hasher,
    pub table: Table,
    pub leases: Arc<Leases>,
    /// Microseconds from the engine's zero back to the Unix epoch, as they were when the first limit was met.
    epoch: OnceLock<Micros>,
}

impl Limits {
    /// A moment of the engine's clock on the line of the limits, which a change of the system's clock does not move: windows
    /// stand where the wall clock had them when the engine began, and only ever go forward.
    pub fn time(&self, local: &Local, engine_micros: Micros) -> Micros {
        engine_micros + self.epoch.get_or_init(|| local.epoch_micros(0))
    }

    /// As [`Limits::time`], for what has been charged before.
    pub fn later(&self, engine_micros: Micros) -> Micros {
        engine_micros + self.epoch.get().copied().unwrap_or(0)
    }
}
