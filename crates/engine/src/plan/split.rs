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
    /// The weights of its two sides, the old one first, are set step by step.
    pub canary: Option<Canary>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    pub name: String,
    pub weight: u32,
    pub proxy: Proxy,
}

/// How a new version of a service gets more and more of the requests. Shares are parts of 10,000.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Another one begins anew.
    pub name: String,
    pub steps: Vec<u32>,
    pub interval_ms: u64,
    pub minimum_requests: u64,
    /// How many more of its requests may fail.
    pub errors: u32,
    pub latency: Option<Slower>,
}

/// How much slower it may be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slower {
    /// The part of the requests that is compared: 9,500 for the 95th percentile.
    pub part: u32,
    /// In hundredths.
    pub ratio: u32,
}
