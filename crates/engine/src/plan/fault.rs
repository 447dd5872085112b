//! Faults on purpose.

use serde::Deserialize;

use super::FieldMatch;

/// Delays requests, or answers them with an error, to find out what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where it stands, for the metrics.
    pub scope: String,
    pub delay: Option<FaultDelay>,
    pub abort: Option<FaultAbort>,
    /// Conditions on the request's headers; names in lower case.
    pub headers: Vec<FieldMatch>,
    /// A CEL expression.
    pub when: Option<String>,
    /// Delays under way at once; `None`: any number.
    pub most: Option<u64>,
    /// What draws begin from; `None`: something else each time.
    pub seed: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultDelay {
    pub time_ms: u64,
    /// Of 10,000 requests.
    pub share: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultAbort {
    pub status: u16,
    /// Of 10,000 requests.
    pub share: u32,
}
