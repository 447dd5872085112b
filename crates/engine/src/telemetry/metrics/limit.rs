//! What is counted for one limit.

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::shards::Shards;

/// What became of a request at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Allowed,
    /// Held for a while, then let through.
    Delayed,
    Refused,
    /// Would have been refused, had the limit not been a shadow.
    ShadowRefused,
    /// Was charged, and got its charge back at the end.
    Refunded,
}

impl Outcome {
    pub(super) const ALL: [(Self, &'static str); 5] = [
        (Self::Allowed, "allowed"),
        (Self::Delayed, "delayed"),
        (Self::Refused, "refused"),
        (Self::ShadowRefused, "shadow_refused"),
        (Self::Refunded, "refunded"),
    ];
}

/// The series of a limit: policy, scope and name.
pub struct LimitSeries {
    policy: &'static str,
    scope: Box<str>,
    name: Box<str>,
    parts: Shards<[Counter; Outcome::ALL.len()]>,
}

impl LimitSeries {
    pub(super) fn new(policy: &'static str, scope: &str, name: &str, workers: usize) -> Self {
        Self { policy, scope: scope.into(), name: name.into(), parts: Shards::new(workers) }
    }

    pub fn count(&self, worker: usize, outcome: Outcome) {
        self.parts.of(worker)[outcome as usize].add(1);
    }

    pub(super) fn labels(&self) -> [(&str, &str); 3] {
        [("policy", self.policy), ("scope", &self.scope), ("limit", &self.name)]
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self, outcome: Outcome) -> u64 {
        self.parts.sum(|part| part[outcome as usize].get())
    }
}
