//! How much of a service may be in use at once.

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulkhead {
    /// What log and metrics call it: the service's name, or `service/route`.
    pub name: String,
    /// Connections over all workers; of a service only.
    pub max_connections: Option<u32>,
    /// Calls over all workers.
    pub max_requests: Option<u32>,
    /// Those that wait for one of them.
    pub max_pending: u32,
    pub queue_timeout_ms: u64,
    /// `max_requests` is found out.
    pub adaptive: Option<Adaptive>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adaptive {
    pub initial: u32,
    pub minimum: u32,
    pub maximum: u32,
    /// How much later than at best answers may come, in millionths.
    pub tolerance: u32,
    /// How often the limit is reckoned.
    pub window_ms: u64,
    /// Answers by which the least latency is taken.
    pub samples: u32,
    /// How often that is.
    pub interval_ms: u64,
}
