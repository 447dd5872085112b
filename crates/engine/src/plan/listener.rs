//! Listeners: the sockets we accept on.

use serde::Deserialize;

use super::Secret;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Unique; the address as written unless named.
    pub name: String,
    /// `IP:PORT` (port 0: the system chooses) or `unix:/path`.
    pub address: String,
    pub tls: Option<ListenerTls>,
    pub proxy_protocol: bool,
    /// HTTP/2: by ALPN over TLS, by prior knowledge without.
    pub http2: bool,
    /// A client that closes its sending side still gets its answer; `false`: it counts as gone, as TCP cannot tell the two apart.
    pub half_close: bool,
    pub limits: ListenerLimits,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Chosen by SNI; the first serves clients that name none or an unknown host.
    pub certificates: Vec<CertifiedKey>,
    pub minimum_version: TlsVersion,
    pub client_certificates: ClientCertificates,
    /// PEM; needed unless `client_certificates` is `none`.
    pub client_ca: Option<String>,
}

/// A certificate chain and its private key, both PEM.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedKey {
    pub certificate: String,
    pub key: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    None,
    Optional,
    Required,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerLimits {
    pub head_bytes: usize,
    pub head_fields: usize,
    pub target_bytes: usize,
    pub head_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub connections: usize,
    pub connections_per_address: usize,
    /// Concurrent streams of one HTTP/2 connection.
    pub http2_streams: u32,
    /// Streams a client may reset within ten seconds before the connection ends.
    pub http2_resets: u32,
    /// Control frames (PING, SETTINGS, PRIORITY, empty DATA ...) within ten seconds before the connection ends.
    pub http2_control_frames: u32,
}
