//! What the gateway does when it cannot keep up.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::overload::Priority;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overload {
    /// `None`: the delay is measured and nothing follows from it.
    pub queue_delay: Option<QueueDelay>,
    /// `None`: the memory is not looked at.
    pub memory: Option<OverloadMemory>,
    /// The first that holds gives a request its priority.
    pub rules: Vec<OverloadRule>,
    /// Of callers by their tier, where neither a rule nor the route gives one.
    pub tiers: BTreeMap<String, Priority>,
    pub retry_after_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDelay {
    pub target_ms: u64,
    pub interval_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverloadMemory {
    /// Bytes of this process; `None`: the container's limit, or else the machine's memory.
    pub limit: Option<u64>,
    /// Below it nobody is refused.
    pub from_percent: u32,
    /// From here on everybody is who can be.
    pub to_percent: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverloadRule {
    /// A CEL expression.
    pub when: String,
    pub priority: Priority,
}
