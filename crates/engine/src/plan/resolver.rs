//! How names are looked up.

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// `IP:PORT` of name servers; none: the system's, with its search domains and its patience.
    pub servers: Vec<String>,
    /// How long one server is waited for.
    pub timeout_ms: u64,
    /// How often all servers are asked.
    pub attempts: u32,
    /// Domains that are put behind names without a dot.
    pub search: Vec<String>,
    pub family: AddressFamily,
    /// Bounds of how long an answer is believed.
    pub minimum_ttl_ms: u64,
    pub maximum_ttl_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressFamily {
    Any,
    Ipv4,
    Ipv6,
}

impl Resolver {
    /// For documents that name nothing.
    pub fn of_nothing() -> Self {
        Self {
            servers: Vec::new(),
            timeout_ms: 1,
            attempts: 1,
            search: Vec::new(),
            family: AddressFamily::Any,
            minimum_ttl_ms: 1,
            maximum_ttl_ms: 1,
        }
    }
}
