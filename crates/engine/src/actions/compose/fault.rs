//! Why a call came to nothing.

use std::fmt::Write;

use crate::respond::{Code, Failure, Side};

/// The words of clients, logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Timeout,
    /// No answer came, or none that is HTTP.
    Unreachable,
    /// The call was not let through: by a breaker, a bulkhead, or for want of a target.
    Open,
    /// One that is no success.
    Status(u16),
    /// Calls never follow one.
    Redirect(u16),
    NotJson,
    TooLarge,
    TooDeep,
    /// What its request is made of is not there.
    MissingField,
    /// Another call, by its number, came to nothing.
    Needs(usize),
    /// More requests than one answer may cost.
    Limit,
}

/// What becomes of calls: see [`Reason::place`], and behind the reasons what is no failure.
pub const RESULTS: &[&str] = &[
    "ok",
    "fallback",
    "skipped",
    "cancelled",
    "timeout",
    "unreachable",
    "open",
    "status",
    "redirect",
    "not_json",
    "too_large",
    "too_deep",
    "missing_field",
    "needs",
    "limit",
];

pub const OK: usize = 0;
pub const FELL_BACK: usize = 1;
pub const SKIPPED: usize = 2;
pub const CANCELLED: usize = 3;

impl Reason {
    /// In [`RESULTS`].
    pub fn place(self) -> usize {
        match self {
            Self::Timeout => 4,
            Self::Unreachable => 5,
            Self::Open => 6,
            Self::Status(_) => 7,
            Self::Redirect(_) => 8,
            Self::NotJson => 9,
            Self::TooLarge => 10,
            Self::TooDeep => 11,
            Self::MissingField => 12,
            Self::Needs(_) => 13,
            Self::Limit => 14,
        }
    }

    pub fn word(self) -> &'static str {
        RESULTS[self.place()]
    }

    pub fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) | Self::Redirect(status) => Some(status),
            _ => None,
        }
    }
}

/// A failure of one call, or of one item.
#[derive(Debug, Clone)]
pub struct Fault {
    pub reason: Reason,
    /// For the log only: it may name internal addresses.
    pub detail: Option<Box<str>>,
    /// After which it may be otherwise, in seconds.
    pub retry_after: Option<u64>,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after: None }
    }
}

impl Fault {
    pub fn with(reason: Reason, detail: &str) -> Self {
        Self { reason, detail: Some(detail.into()), retry_after: None }
    }

    /// Of the call path.
    pub fn of(failure: Failure, retry_after: Option<u64>) -> Self {
        let reason = match failure.code {
            Code::Timeout
            | Code::DeadlineExceeded
            | Code::UpstreamTimeout
            | Code::UpstreamConnectTimeout
            | Code::UpstreamFirstByteTimeout
            | Code::UpstreamTryTimeout
            | Code::UpstreamWriteTimeout => Reason::Timeout,
            Code::CircuitOpen | Code::BulkheadFull | Code::QueueTimeout | Code::NoTarget => Reason::Open,
            Code::UpstreamBodyTooLarge => Reason::TooLarge,
            _ => Reason::Unreachable,
        };
        let mut detail = failure.code.word().to_owned();
        if let Some(more) = &failure.detail {
            let _ = write!(detail, ": {more}");
        }
        // A failure of the gateway's own looks like one of the service here; the log tells them apart.
        if failure.code.side() == Side::Gateway && reason == Reason::Unreachable {
            tracing::warn!(reason = failure.code.word(), detail = failure.detail.as_deref(), "call failed");
        }
        Self { reason, detail: Some(detail.into()), retry_after }
    }
}
