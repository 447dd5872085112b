//! How a service is called: what is tried again, what is tried twice at once, and how long an attempt may take.

use serde::Deserialize;

use super::{Bulkhead, CircuitBreaker, Fallback, FallbackAnswer, Handler};

/// Of a service, or of one route to it: then what the route says over what the service says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calling {
    /// Of exchanges whose route has no time of its own.
    pub timeout_ms: Option<u64>,
    /// From the end of the request to the head of the answer.
    pub first_byte_timeout_ms: Option<u64>,
    /// From the choice of a target to the head of its answer.
    pub try_timeout_ms: Option<u64>,
    pub retry: Retry,
    pub hedging: Option<Hedging>,
    pub deadline: PassedDeadline,
    pub circuit_breaker: Option<CircuitBreaker>,
    pub bulkhead: Option<Bulkhead>,
    pub fallback: Option<Fallback>,
}

impl Calling {
    /// Every function of the user's that it names.
    pub fn each_handler(&mut self, visit: &mut impl FnMut(&mut Handler)) {
        if let Some(callback) = self.circuit_breaker.as_mut().and_then(|breaker| breaker.on_change.as_mut()) {
            visit(&mut callback.handler);
        }
        if let Some(FallbackAnswer::Handler(handler)) = self.fallback.as_mut().map(|fallback| &mut fallback.answer) {
            visit(handler);
        }
    }

    /// One attempt, and nothing beside it.
    pub fn once() -> Self {
        Self {
            timeout_ms: None,
            first_byte_timeout_ms: None,
            try_timeout_ms: None,
            retry: Retry {
                attempts: 0,
                on: Vec::new(),
                methods: None,
                backoff_base_ms: 0,
                backoff_max_ms: 0,
                budget: None,
                body_bytes: 0,
                retry_after_ms: 0,
            },
            hedging: None,
            deadline: PassedDeadline { header: None, trust: DeadlineTrust::Nobody },
            circuit_breaker: None,
            bulkhead: None,
            fallback: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts after the first.
    pub attempts: u32,
    pub on: Vec<RetryOn>,
    /// Upper case. What may be sent again though the service may have seen it; `None`: what is idempotent.
    pub methods: Option<Vec<String>>,
    pub backoff_base_ms: u64,
    pub backoff_max_ms: u64,
    /// `None`: no bound but `attempts`.
    pub budget: Option<CallBudget>,
    /// Of a request body so much is kept, so that it can be sent again.
    pub body_bytes: u64,
    /// A service that wants us to wait longer than this is not asked again; 0: what it says is not looked at.
    pub retry_after_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection, whatever the reason but a certificate.
    ConnectFailure,
    /// The connection broke before the head of an answer.
    Reset,
    /// The service says that it did not look at the request.
    RefusedStream,
    /// `try_timeout` ran out.
    TryTimeout,
    /// One of the other timeouts of the service ran out before the head of an answer.
    Timeout,
    Status(u16),
    /// In the head of an answer, as a service says it that fails at once.
    GrpcStatus(u16),
}

/// How many calls there may be beside the first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallBudget {
    /// Of the first ones, in millionths.
    pub ratio_ppm: u32,
    /// So many a second are always allowed.
    pub minimum: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hedging {
    pub after: HedgeAfter,
    pub budget: CallBudget,
    /// Upper case; `None`: the safe ones.
    pub methods: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HedgeAfter {
    DelayMs(u64),
    /// Of the times that answers took lately, in thousandths.
    Permille(u16),
}

/// How the service learns what time is left, and whether a caller's word for it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassedDeadline {
    /// Lower case; its value is the milliseconds that are left.
    pub header: Option<String>,
    pub trust: DeadlineTrust,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineTrust {
    Nobody,
    TrustedProxies,
    Everybody,
}
