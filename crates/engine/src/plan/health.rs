//! How it is found out which targets of a service are well.

use serde::Deserialize;

use super::StatusRange;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    pub active: Option<ActiveCheck>,
    pub passive: Option<PassiveCheck>,
}

/// Asks every target again and again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveCheck {
    pub probe: Probe,
    /// Instead of the target's own.
    pub port: Option<u16>,
    pub interval_ms: u64,
    /// While the target is unhealthy.
    pub unhealthy_interval_ms: u64,
    /// Up to so much of the interval is added, by chance.
    pub jitter_percent: u64,
    pub timeout_ms: u64,
    /// Results in a row that change the state.
    pub healthy: u32,
    pub unhealthy: u32,
    /// The state before the first result.
    pub initially_healthy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// A connection is enough; with TLS, the handshake too.
    Tcp,
    Http(HttpProbe),
    Grpc(GrpcProbe),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub statuses: Vec<StatusRange>,
    pub body: Option<BodyMatch>,
}

/// <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcProbe {
    /// Empty: the server as a whole.
    pub service: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
}

impl StatusRange {
    /// Whether one of these has it.
    pub fn holds(ranges: &[Self], status: u16) -> bool {
        ranges.iter().any(|range| range.contains(status))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BodyMatch {
    Contains(String),
    /// Searched.
    Regex(String),
}

/// Takes targets out by what becomes of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveCheck {
    /// `None`: they are not counted.
    pub consecutive_failures: Option<u32>,
    /// Shares are in thousandths. `None`: it does not matter.
    pub failure_rate: Option<u32>,
    pub slow_rate: Option<u32>,
    pub slow_ms: u64,
    /// The time that rates are about, and the calls in it below which they say nothing.
    pub interval_ms: u64,
    pub minimum_calls: u32,
    /// Statuses that count as failures.
    pub statuses: Vec<StatusRange>,
    /// Times the number of ejections, up to the longest.
    pub ejection_ms: u64,
    pub longest_ejection_ms: u64,
    /// Share of the targets that may be out at a time.
    pub most_ejected: u32,
    /// Calls that have to succeed after the return before one failure is forgiven again.
    pub probation: u32,
}
