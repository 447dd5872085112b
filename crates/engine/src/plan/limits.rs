//! The plans of `rate_limit`, `quota` and `concurrency`.

use serde::Deserialize;

use super::Template;
use crate::limits::Algorithm;
use crate::limits::quota::Unit;

/// A request passes when all limits allow it, and only then is it charged to any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub limits: Vec<Limit>,
    /// `RateLimit` and `RateLimit-Policy` on every answer.
    pub headers: bool,
    pub store: LimitStore,
    pub on_store_failure: StoreFailure,
    /// Counted here, and settled with Redis so often; 0: every request asks Redis.
    pub sync_ms: u64,
}

/// Where limits are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitStore {
    /// In the Redis of the document, where it names one.
    Auto,
    Redis,
    Local,
}

/// What holds while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreFailure {
    /// The limit divided by the gateways that live, counted here.
    LocalShare,
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Unique in its scope.
    pub name: String,
    /// `gateway`, `service/NAME`, `route/NAME` or `consumer/NAME`.
    pub scope: String,
    /// The first whose references all have a value. None: consumer, subject, or address.
    pub key: Vec<Template>,
    pub ipv6_prefix: u8,
    /// What chooses one of `tiers`.
    pub tier: Template,
    pub algorithm: Algorithm,
    /// For callers of no tier that is named.
    pub budget: Budget,
    pub tiers: Vec<TierBudget>,
    pub cost: Cost,
    pub count: Count,
    /// Gives back what was charged for an answer of 500 or above.
    pub refund_failures: bool,
    /// Refuses nothing.
    pub shadow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub amount: u64,
    pub window_us: u64,
    /// `token_bucket`.
    pub burst: u64,
    /// `leaky_bucket`: the longest delay.
    pub delay_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierBudget {
    pub tier: String,
    /// `None`: unlimited.
    pub budget: Option<Budget>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cost {
    Fixed(u64),
    /// What does not come out as a number of 1 to 1000000 counts 1.
    Template(Template),
}

/// Which requests are charged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Count {
    /// Those answered with one of these, from and to; empty: all.
    Statuses(Vec<(u16, u16)>),
    /// Those with credentials that are no good.
    RefusedCredentials,
}

/// How many requests of a key may be under way at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    pub name: String,
    pub scope: String,
    pub key: Vec<Template>,
    pub ipv6_prefix: u8,
    pub tier: Template,
    /// For callers of no tier that is named.
    pub most: u64,
    pub tiers: Vec<TierMost>,
    /// How many more may wait.
    pub queue: usize,
    pub queue_timeout_ms: u64,
    pub shadow: bool,
    pub store: LimitStore,
    pub on_store_failure: StoreFailure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierMost {
    pub tier: String,
    /// `None`: unlimited.
    pub most: Option<u64>,
}

/// How much may be used in calendar periods.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub limits: Vec<QuotaLimit>,
    pub headers: bool,
    /// In its normal form.
    pub usage_path: Option<String>,
    pub store: LimitStore,
    pub on_store_failure: StoreFailure,
    /// Counted here, and settled with Redis so often; 0: every request asks Redis.
    pub sync_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaLimit {
    /// Unique in its scope, with the period.
    pub name: String,
    pub scope: String,
    pub key: Vec<Template>,
    pub ipv6_prefix: u8,
    pub tier: Template,
    /// For callers of no tier that is named.
    pub amount: u64,
    pub period: Unit,
    /// As people write it.
    pub timezone: String,
    pub zone: TimeZone,
    pub tiers: Vec<TierMost>,
    pub cost: Cost,
    /// Statuses that are charged, from and to; empty: all.
    pub count: Vec<(u16, u16)>,
    pub refund_failures: bool,
    pub shadow: bool,
}

/// How far a time zone is ahead of UTC, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeZone {
    pub first: i64,
    /// From when on it is how far.
    pub changes: Vec<(i64, i64)>,
}
