//! A route's traffic over several services.

use serde::Deserialize;

use super::{Proxy, Template};

/// Answers with one of several services.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    pub sides: Vec<Side>,
    /// Requests with the same value go to the same side: of the first whose references all have one. None: each by itself.
    pub key: Vec<Template>,
    /// The header that names a side; lower case.
    pub header: Option<String>,
    /// The cookie that does.
    pub cookie: Option<String>,
    /// They are believed from every client, not from trusted proxies alone.
    pub believe_anyone: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    pub name: String,
    pub weight: u32,
    pub proxy: Proxy,
}
