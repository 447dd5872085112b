//! Where gateways share what they count.

use serde::Deserialize;

use super::{Secret, UpstreamTls};

/// A Redis or Valkey server, or a cluster of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `host:port` or `unix:/path`; one, or of a cluster those to begin with.
    pub nodes: Vec<String>,
    pub cluster: bool,
    pub tls: Option<UpstreamTls>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub database: u32,
    /// Begins every key.
    pub prefix: String,
    /// The longest a request waits for an answer.
    pub timeout_ms: u64,
}

impl Redis {
    /// For logs.
    pub fn name(&self) -> &str {
        self.nodes.first().map_or("", String::as_str)
    }
}
