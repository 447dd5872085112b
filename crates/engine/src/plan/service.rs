//! Services: the APIs behind us.

use serde::Deserialize;

use super::{Balance, Calling, CertifiedKey, HealthCheck};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub name: String,
    pub targets: Vec<Target>,
    pub balance: Balance,
    /// How long the share of a target rises that is new or healthy again; 0: not at all.
    pub slow_start_ms: u64,
    /// Below this percentage of usable targets all of a priority are used; 0: never.
    pub panic_percent: u32,
    pub health_check: Option<HealthCheck>,
    /// `Host` sent upstream unless the route preserves the client's.
    pub host: String,
    /// Put before every path, without a trailing slash; often empty.
    pub base_path: String,
    pub protocol: UpstreamProtocol,
    pub tls: Option<UpstreamTls>,
    /// Of calls by routes that say nothing else, and of those that the gateway makes itself.
    pub calling: Calling,
    pub connect_timeout_ms: u64,
    /// Longest silence between two bytes of the answer.
    pub read_timeout_ms: u64,
    /// Longest time in which the service takes no byte of the request.
    pub write_timeout_ms: u64,
    pub pool: Pool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `host:port` (name or IP), `unix:/path`, or the name of service records.
    pub address: String,
    pub weight: u32,
    /// 0 comes first; others help when those before them cannot take it all.
    pub priority: u32,
    pub resolve: Resolve,
}

/// What the name of a target stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolve {
    /// One target, whatever its addresses.
    One,
    /// A target for each address.
    Each,
    /// A target for each address of the service records (RFC 2782) of the name, which has no port.
    Srv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    Http1,
    H2,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    pub verify: bool,
    /// PEM of the authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// SNI, and the name the certificate must carry.
    pub server_name: String,
    pub client: Option<CertifiedKey>,
}

/// Idle connections kept, per worker and target.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub max_idle: usize,
    pub idle_timeout_ms: u64,
}
