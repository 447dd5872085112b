//! The plan of `oidc`.

use serde::Deserialize;

use super::{ClaimToHeader, RemoteKeys, Secret};

/// Logs users in at an OpenID provider and keeps their sessions in cookies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    pub issuer: String,
    pub client_id: String,
    pub client: OidcClient,
    /// The first encrypts, every one decrypts.
    pub secrets: Vec<Secret>,
    pub scopes: Vec<String>,
    pub algorithms: Vec<String>,
    pub keys: RemoteKeys,
    /// `None`: what discovery says.
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: OidcEndpoint,
    /// `None`: the id_token says all that is asked for.
    pub userinfo_endpoint: Option<OidcEndpoint>,
    /// Empty: none, whatever discovery says.
    pub end_session_endpoint: Option<String>,
    /// Added to the authorization request.
    pub parameters: Vec<(String, String)>,
    pub callback_path: String,
    pub login_path: String,
    pub logout_path: String,
    pub after_logout: String,
    /// Scheme and host as browsers know them; `None`: as the request says.
    pub public_url: Option<String>,
    pub cookie: String,
    /// Cookies without `Secure` on plain loopback connections.
    pub insecure_cookies: bool,
    pub lifetime_ms: u64,
    pub idle_ms: u64,
    /// How long before its end an access token is renewed.
    pub refresh_before_ms: u64,
    pub leeway_ms: u64,
    pub timeout_ms: u64,
    pub claims_to_headers: Vec<ClaimToHeader>,
    pub subject_claim: Vec<String>,
    pub consumer_claim: Option<Vec<String>>,
    pub forward_access_token: bool,
    pub optional: bool,
    pub trusted_origins: Vec<String>,
}

/// Where the gateway itself asks the provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcEndpoint {
    pub service: String,
    /// `None`: what discovery says, as long as it is at `origin`.
    pub path: Option<String>,
    /// Scheme, host and port, if not a default one; `None`: any, since the service is chosen by the document.
    pub origin: Option<String>,
}

/// How the gateway shows the provider who it is (OpenID Connect Core 1.0 section 9).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OidcClient {
    None,
    Basic(Secret),
    Post(Secret),
    /// `private_key_jwt`, with a private key in PEM.
    Key(Secret),
}
