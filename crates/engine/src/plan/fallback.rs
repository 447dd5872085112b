//! What is answered in the place of a service that cannot.

use serde::Deserialize;

use super::{Handler, StatusRange};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub on: FallbackOn,
    pub answer: FallbackAnswer,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FallbackOn {
    /// The circuit breaker is open.
    pub open: bool,
    /// No answer came that can be used.
    pub failed: bool,
    /// None came in time.
    pub timeout: bool,
    /// The bulkhead is full.
    pub full: bool,
    pub statuses: Vec<StatusRange>,
}

/// A stale answer of the cache will be one more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FallbackAnswer {
    Fixed(FixedAnswer),
    /// The name of another service, called with its own settings.
    Service(String),
    Handler(Handler),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedAnswer {
    pub status: u16,
    /// Names in lower case; with the content type, where there is a body.
    pub headers: Vec<(String, String)>,
    pub body: String,
}
