//! The plan of `jwt`.

use serde::{Deserialize, Serialize};

use super::{ClaimToHeader, Secret, TokenPlace};

/// Takes requests with a token that one of the issuers has signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    pub issuers: Vec<TokenIssuer>,
    /// Where the token is looked for, in order.
    pub token: Vec<TokenPlace>,
    pub max_token_bytes: usize,
    /// A request without a token goes on, as nobody.
    pub optional: bool,
    /// The service gets the token too.
    pub forward_token: bool,
    pub claims_to_headers: Vec<ClaimToHeader>,
    /// The claim that says who calls.
    pub subject_claim: Vec<String>,
    /// The claim that names the consumer.
    pub consumer_claim: Option<Vec<String>>,
    /// Of `WWW-Authenticate`; no quotes, backslashes or control characters.
    pub realm: String,
}

/// One that signs tokens, and what its tokens must say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenIssuer {
    /// `iss`; `None`: any, and none.
    pub issuer: Option<String>,
    pub algorithms: Vec<String>,
    /// One of them is in `aud`. Empty: `aud` does not matter.
    pub audiences: Vec<String>,
    /// One of them is `sub`. Empty: any.
    pub subjects: Vec<String>,
    pub required_claims: Vec<String>,
    /// One of them is `typ`. Empty: any.
    pub types: Vec<String>,
    pub leeway_ms: u64,
    pub max_lifetime_ms: Option<u64>,
    pub requires_expiry: bool,
    pub keys: IssuerKeys,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IssuerKeys {
    Remote(RemoteKeys),
    /// A JWK Set as JSON text; keys of HS algorithms may be in it.
    Jwks(Secret),
    /// PEM texts of public keys.
    PublicKeys(Vec<String>),
    /// For HS algorithms.
    Secret(Secret),
}

/// Keys that an issuer publishes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteKeys {
    /// Of the key set, or of the discovery document that names it.
    pub url: String,
    pub discovery: bool,
    /// What the discovery document must say its issuer is.
    pub issuer: Option<String>,
    /// PEM of the authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// Where the answer does not say how long it is fresh.
    pub refresh_ms: u64,
    /// Shortest time between two fetches for keys that are not known.
    pub cool_down_ms: u64,
    /// How long keys are believed that cannot be fetched again.
    pub max_stale_ms: u64,
    pub timeout_ms: u64,
    /// Fetched when the first token comes, and the gateway is ready without them.
    pub lazy: bool,
}

impl RemoteKeys {
    /// Whether the same keys are there, however often they are looked for.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |keys: &Self| (keys.url.clone(), keys.discovery, keys.issuer.clone(), keys.ca.clone());
        place(self) == place(other)
    }
}
