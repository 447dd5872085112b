//! How much was used in calendar periods, carried over restarts.
//!
//! - [`calendar`]: when an hour, day, week or month begins and ends in a time zone.
//! - [`table`]: what every key has used, exact over all workers; what has changed goes to the store in batches.

pub mod calendar;
pub mod table;

pub use calendar::{Period, Seconds, Unit, Zone};
pub use table::{Change, QuotaAsk, QuotaKey, QuotaTold, Quotas, Totals};
