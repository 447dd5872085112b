//! When a service is no longer called, and when it is again.

use serde::Deserialize;

use super::Handler;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// What log and metrics call it: the service's name, or `service/route`.
    pub name: String,
    /// Failures in a row within `window_ms` that open it; `None`: only rates do.
    pub failure_threshold: Option<u32>,
    /// Trial calls in a row that close it, where no rate decides.
    pub success_threshold: u32,
    /// How long it stays open.
    pub timeout_ms: u64,
    /// How far apart the first and the last of the failures may be; the length of the window of the rates, too.
    pub window_ms: u64,
    pub rates: Option<BreakerRates>,
    /// Trial calls at the same time; where rates decide, in all.
    pub half_open_calls: u32,
    /// How long the share of calls that are let through grows after it closed; 0: all at once.
    pub ramp_ms: u64,
    /// The longest `Retry-After` that is obeyed; `None`: none is.
    pub retry_after_ms: Option<u64>,
    pub count: Counted,
    /// Tell the other gateways, by the store.
    pub share: bool,
    /// The function that is told of every change.
    pub on_change: Option<Callback>,
}

/// A function of the user's that is told of something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    pub handler: Handler,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerRates {
    /// Share of failed calls that opens it, in millionths.
    pub failure: Option<u32>,
    /// Share of slow calls that opens it, in millionths.
    pub slow: Option<u32>,
    /// A call that took longer is slow.
    pub slow_call_ms: u64,
    /// Below so many calls no rate is reckoned.
    pub minimum_calls: u32,
    /// The window has this many calls; `None`: it has the calls of the last `window_ms`.
    pub window_calls: Option<u32>,
}

/// The first and the last of some statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct StatusRange(pub u16, pub u16);

impl StatusRange {
    pub fn contains(self, status: u16) -> bool {
        (self.0..=self.1).contains(&status)
    }
}

/// What is a failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    pub connect_failure: bool,
    pub reset: bool,
    pub timeout: bool,
    pub malformed: bool,
    pub statuses: Vec<StatusRange>,
}
