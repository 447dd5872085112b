//! The policies that know callers by what they show, and what these share.

use serde::Deserialize;

use super::Policy;

/// Kinds of credentials that are asked for together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Credentials, and trees of them.
    pub of: Vec<Policy>,
    /// Lets requests without any of them on.
    pub optional: bool,
}

/// Knows callers by a key, looked for in this order: header, query, cookie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Lower case.
    pub header: Option<String>,
    /// What stands before the key in the header.
    pub scheme: Option<String>,
    pub query: Option<String>,
    pub cookie: Option<String>,
    pub realm: String,
    pub consumer_to_headers: Vec<ConsumerHeader>,
    pub optional: bool,
}

/// Knows callers by name and password.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub remember_ms: u64,
    pub remember_failures_ms: u64,
    pub realm: String,
    pub consumer_to_headers: Vec<ConsumerHeader>,
    pub optional: bool,
}

/// Knows callers by their client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Certificates of nobody are proof too.
    pub any: bool,
    pub consumer_to_headers: Vec<ConsumerHeader>,
    pub optional: bool,
}

/// A header that tells the service of the consumer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerHeader {
    pub field: ConsumerField,
    /// Lower case.
    pub header: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerField {
    Name,
    Tier,
    /// Joined by comma.
    Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenPlace {
    /// `Authorization: Bearer`
    Authorization,
    /// Lower case.
    Header(String),
    Cookie(String),
}

/// A header that a claim goes into.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The path of the claim.
    pub claim: Vec<String>,
    /// Lower case.
    pub header: String,
}
