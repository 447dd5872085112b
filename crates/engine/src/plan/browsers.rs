//! The policies that guard browsers: `cors`, `csrf`, `security_headers`.

use serde::Deserialize;

use super::{Line, Secret};

/// Lets scripts of other origins read the answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    pub origins: Vec<Origin>,
    pub credentials: bool,
    /// `None`: the method that is asked for.
    pub allow_methods: Option<Vec<String>>,
    /// `None`: the headers that are asked for.
    pub allow_headers: Option<Vec<String>>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: u64,
    pub private_network: bool,
}

/// Which web origins are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    Any,
    /// As browsers write it: `https://shop.example`, or `null`.
    Exact(String),
    /// `https://*.shop.example:8443`: scheme `https`, domain `shop.example:8443`.
    Below {
        scheme: String,
        domain: String,
    },
    /// Has to match the whole origin.
    Regex(String),
}

/// Refuses requests that another site makes a browser send.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csrf {
    /// As browsers write them.
    pub trusted_origins: Vec<String>,
    pub token: Option<CsrfToken>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsrfToken {
    pub secret: Secret,
    pub cookie: String,
    /// Lower case.
    pub header: String,
    pub session_cookie: Option<String>,
}

/// Tells browsers what they may do with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityHeaders {
    /// Apart from the others, as it goes out over TLS only.
    pub strict_transport_security: Option<String>,
    pub set: Vec<Line>,
    /// Lower case.
    pub remove: Vec<String>,
    /// Also what the service has set itself.
    pub replace: bool,
}
