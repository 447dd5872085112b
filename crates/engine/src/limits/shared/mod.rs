//! Limits that many gateways share: the same decisions as [`crate::limits::table`], taken in Redis or Valkey.
//!
//! All limits of a request are checked and charged by one script, in one round trip, by the store's clock. What the script
//! tells is what was kept of each key before; waits and what is left follow from it here, by the same functions as for limits
//! of one gateway.

mod leases;
mod question;
mod wire;

pub use leases::{Book, SharedLease, TTL};
pub use question::{Answer, Question};
pub use wire::{Hash, Named, Scope, What, full_name, is_exact};

/// Goes before every script that reads or writes counts.
pub(super) const CELLS: &str = include_str!("cells.lua");
