//! Limits that many gateways share and that no request waits for: each gateway counts for itself, and settles with Redis or
//! Valkey in batches.
//!
//! A gateway knows what all had used when it last settled, and all that it has charged since. So it never admits more than the
//! limit by itself; together gateways may admit more by what they charge before they hear of each other. The bound is in
//! `docs/guides/shared-limits.md`, and `tests/redis/synced.rs` proves it on random arrivals.
//!
//! - [`pending`]: what the store does not know yet, as pure functions.
//! - [`ledger`]: what is known of all keys, exact over all workers, bounded in memory.
//! - [`settler`]: takes it to the store and back.

pub mod ledger;
pub mod pending;
pub mod settler;

pub use ledger::{Ledger, SyncedAsk};
