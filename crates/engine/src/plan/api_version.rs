//! Versions of an API.

use serde::Deserialize;

/// One version of an API, or what takes requests that name none of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiVersion {
    /// In metrics.
    pub name: String,
    /// The value of `Deprecation`.
    pub deprecation: Option<String>,
    /// The value of `Sunset`.
    pub sunset: Option<String>,
    /// Values of `Link`.
    pub links: Vec<String>,
    /// Milliseconds since the Unix epoch, from which on it answers no more.
    pub gone_at_ms: Option<u64>,
    /// The header that chose the version; lower case.
    pub vary: Option<String>,
    pub refuse: Option<VersionRefusal>,
}

/// Why every request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionRefusal {
    Unknown,
    Missing,
    NotAcceptable,
}
