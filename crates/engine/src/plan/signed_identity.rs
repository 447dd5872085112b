//! The plan of `signed_identity`.

use serde::Deserialize;

use super::Secret;

/// Gives services a token that says who calls, signed by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedIdentity {
    /// Lower case.
    pub header: String,
    pub issuer: String,
    /// `None`: the name of the service, or of the route where no service is called.
    pub audience: Option<String>,
    /// Claims of the credential that go along under their own names.
    pub claims: Vec<String>,
    /// Puts the request's id in, so that every request has a token of its own.
    pub request_id: bool,
    /// Also for requests whose caller is not known.
    pub anonymous: bool,
    pub ttl_s: u64,
    pub keys: SigningKeys,
}

/// Private keys to sign with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SigningKeys {
    /// PEM. The first signs.
    Given(Vec<Secret>),
    /// Made and rotated by Python, which keeps them there.
    Kept(String),
}
