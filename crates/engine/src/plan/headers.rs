//! The policies that write headers.

use serde::Deserialize;

use super::Template;

/// Gives every request an id, and keeps one that a trusted proxy gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestId {
    /// Lower case.
    pub header: String,
    /// Also sets it on the answer.
    pub answer: bool,
}

/// Passes W3C `traceparent` on with a span of ours, or begins a trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceContext {}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// `Via` (RFC 9110 section 7.6.3) on request and answer.
    pub via: bool,
}

/// Carried out in this order: remove, set, add.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    pub remove: Vec<String>,
    pub set: Vec<HeaderValue>,
    pub add: Vec<HeaderValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderValue {
    /// Lower case.
    pub name: String,
    pub value: Template,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Lower case.
    pub name: String,
    pub value: String,
}
