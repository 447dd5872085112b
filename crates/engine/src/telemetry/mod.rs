//! What operators see: the metrics, the access log, the event log.
//!
//! Workers only count and append to memory of their own; whatever costs more happens on other threads.

pub mod access_log;
mod escape;
pub mod events;
mod hub;
pub mod metrics;
mod record;
mod timestamp;
mod wall;

pub use hub::Telemetry;
pub use wall::Wall;
