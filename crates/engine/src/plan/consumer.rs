//! Who calls.

use serde::Deserialize;

use super::{Policy, Secret};

/// Someone who calls, by name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    pub name: String,
    /// `false`: it is switched off, and whoever turns out to be it is refused.
    pub enabled: bool,
    pub tier: Option<String>,
    pub tags: Vec<String>,
    /// Its own policies only; they win over all other levels.
    pub policies: Vec<Policy>,
    /// SHA-256 of each key, in hexadecimal digits.
    pub keys: Vec<Secret>,
    pub basic: Vec<BasicUser>,
    pub certificates: Vec<ClientCertificate>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicUser {
    pub username: String,
    /// A PHC string of argon2id.
    pub password_hash: Secret,
}

/// What tells a client certificate from others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientCertificate {
    /// Of the whole certificate, in hexadecimal digits.
    Sha256(String),
    Uri(String),
    Dns(String),
    Email(String),
    /// RFC 4514: `CN=orders,O=Example`.
    Subject(String),
    CommonName(String),
}
