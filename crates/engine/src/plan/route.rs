//! Routes, and what they match.

use serde::Deserialize;

use super::{Action, Policy, Secret};
use crate::overload::Priority;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    /// Lower case, no port, no trailing dot: `example.com` or `*.example.com`. Empty: every host.
    pub hosts: Vec<String>,
    /// Empty: every path.
    pub paths: Vec<PathPattern>,
    /// Upper case. Empty: every method.
    pub methods: Vec<String>,
    pub headers: Vec<FieldMatch>,
    pub query: Vec<FieldMatch>,
    pub cookies: Vec<FieldMatch>,
    pub action: Action,
    /// Deadline of the whole exchange; `None`: no bound but the service's own timeouts.
    pub timeout_ms: Option<u64>,
    pub body_bytes: u64,
    /// When the gateway is overloaded; `None`: that of the caller's tier.
    pub priority: Option<Priority>,
    /// Resolved over all levels; the engine sorts them into the order of `pipeline.rs`.
    pub policies: Vec<Policy>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PathPattern {
    /// `/orders/{id}`: whole segments, anything may follow.
    Prefix(Vec<Segment>),
    /// `=/orders/{id}`: nothing may follow.
    Exact(Vec<Segment>),
    /// `~^/orders/\d+`: searched in the normal form, anchored at its start; named groups are captures.
    Regex(String),
}

/// A path is a list of these; `/` is the empty list, a trailing slash is an empty literal at the end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Segment {
    /// In normal form.
    Literal(String),
    /// `{name}`: one segment that is not empty.
    Capture(String),
    /// `{name...}`: all that is left, perhaps nothing; last only.
    Rest(String),
}

/// A condition on a header, query parameter or cookie. Any value of `values` will do; none means the name must be there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldMatch {
    pub name: String,
    pub values: Vec<ValueMatch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueMatch {
    Exact(Secret),
    /// `~` form: the whole value must match.
    Regex(String),
}
