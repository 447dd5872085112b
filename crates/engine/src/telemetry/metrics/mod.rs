//! Counters and histograms, written by workers without a lock or a locked instruction, read by the scraper at any time.
//!
//! Every series has one part per worker, made when that worker first needs it: ten thousand routes that nobody calls cost
//! little more than their names. The set of series is bounded by the document: labels are names from it, status codes
//! (limited per route) and the words of [`crate::respond::Code`].

mod breaker;
mod bulkhead;
mod call;
mod cell;
mod histogram;
mod limit;
mod listener;
mod overload;
mod registry;
mod render;
mod route;
mod service;
mod shards;
mod store;
mod tally;
mod target;
mod text;
mod totals;
mod worker;

pub use breaker::BreakerSeries;
pub use bulkhead::{BulkheadSeries, Entrance};
pub use call::CallSeries;
pub use limit::{LimitSeries, Outcome};
pub use listener::ListenerSeries;
pub use overload::OverloadSeries;
pub use registry::Registry;
pub use route::{RouteSeries, Sample};
pub use service::ServiceSeries;
pub(crate) use shards::Shards;
pub use store::StoreSeries;
pub use tally::{Family, Tally};
pub use target::TargetSeries;
pub use text::Format;
pub(crate) use text::{Kind, Text};
pub use totals::Totals;
