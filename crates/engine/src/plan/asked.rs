//! The policies that ask a service: `forward_auth`, `introspection`.

use serde::Deserialize;

use super::{ClaimToHeader, Secret, Template, TokenPlace};

/// Asks a service whether a request may pass, and who makes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    pub service: String,
    pub method: String,
    /// Behind the service's base path.
    pub path: Template,
    /// Of the request; lower case, as all names here.
    pub headers: Vec<String>,
    /// Of the answer, if the request may pass.
    pub headers_to_service: Vec<String>,
    /// Of the answer, if it may not.
    pub headers_to_client: Vec<String>,
    /// Of the answer, for the answer to a request that may pass.
    pub headers_on_success: Vec<String>,
    /// Of the request; they go no further.
    pub strip: Vec<String>,
    /// Names of claims, and of the headers of the answer that they come from.
    pub claims: Vec<(String, String)>,
    /// The one of them that names a consumer.
    pub consumer_claim: Option<String>,
    pub timeout_ms: u64,
    /// Longest body of a request, which goes along; `None`: none does.
    pub body_bytes: Option<u64>,
    /// Longest body of an answer; bytes.
    pub max_answer: usize,
    pub cache: Option<DecisionCache>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionCache {
    /// Requests that agree in all of these share a decision.
    pub key: Vec<Template>,
    pub ttl_ms: u64,
    /// 0: refusals are not kept.
    pub negative_ttl_ms: u64,
    pub entries: usize,
}

/// Asks the provider whether a token is good, and whose it is (RFC 7662).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    pub service: String,
    /// Behind the service's base path.
    pub path: String,
    pub client: IntrospectionClient,
    /// Where a token is looked for, in order.
    pub token: Vec<TokenPlace>,
    pub token_type_hint: Option<String>,
    pub issuer: Option<String>,
    /// One of them must be in `aud`; empty: any will do.
    pub audience: Vec<String>,
    /// All of them must be in `scope`.
    pub scopes: Vec<String>,
    pub leeway_ms: u64,
    pub claims_to_headers: Vec<ClaimToHeader>,
    /// The path of the claim that is the subject.
    pub subject_claim: Vec<String>,
    /// The path of the claim that names a consumer.
    pub consumer_claim: Option<Vec<String>>,
    pub realm: String,
    pub optional: bool,
    pub timeout_ms: u64,
    pub ttl_ms: u64,
    /// 0: refusals are not kept.
    pub negative_ttl_ms: u64,
    /// Tokens remembered at most.
    pub entries: usize,
}

/// What the gateway shows the provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IntrospectionClient {
    None,
    Basic { id: String, secret: Secret },
    Post { id: String, secret: Secret },
    Bearer { token: Secret },
}
