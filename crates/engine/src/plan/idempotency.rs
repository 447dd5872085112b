//! Requests that may be sent twice and act once.

use serde::Deserialize;

use super::{LimitStore, Template};

/// Runs the first of several equal requests with one key, and answers the others as the first was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// Where it stands.
    pub scope: String,
    /// The header that has the key; lower case.
    pub header: String,
    /// Upper case.
    pub methods: Vec<String>,
    pub required: bool,
    /// Whose keys are told apart; none: by the caller.
    pub key: Vec<Template>,
    pub ipv6_prefix: u8,
    /// Longest body of a request that has a key; bytes.
    pub body_bytes: u64,
    /// Longest body of an answer that is kept.
    pub answer_bytes: usize,
    /// Statuses of answers that are kept, from and to.
    pub statuses: Vec<(u16, u16)>,
    pub ttl_ms: u64,
    /// How long a gateway that is silent keeps a key to itself.
    pub lease_ms: u64,
    /// Answers in memory, and their bytes.
    pub entries: usize,
    pub memory_bytes: usize,
    pub store: LimitStore,
    /// While the store does not answer, keys hold in this gateway; `false`: requests with a key are refused.
    pub local_on_failure: bool,
}
