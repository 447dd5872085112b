//! What operators see: the metrics, the access log, the event log.
//!
//! Workers only count and append to memory of their own; whatever costs more happens on other threads.

pub mod access_log;
mod escape;
pub mod events;
pub mod metrics;
mod record;
mod telemetry;
mod timestamp;
mod wall;

pub use telemetry::Telemetry;
pub use wall::Wall;
