//! Which target of a service a request goes to.

use serde::Deserialize;

use super::{Secret, Template};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Balance {
    RoundRobin,
    LeastRequests,
    PeakEwma,
    Random,
    ConsistentHash(ConsistentHash),
    StickyCookie(StickyCookie),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistentHash {
    /// Requests with the same value go to the same target; those without one are spread.
    pub key: Template,
    pub table: HashTable,
    /// How many percent of its share of what is under way one target may have; `None`: any number.
    pub most_percent: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashTable {
    Maglev,
    Ring,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StickyCookie {
    pub name: String,
    pub path: String,
    /// `None`: it goes with the browser.
    pub max_age_seconds: Option<u64>,
    pub http_only: bool,
    /// `None`: where the client came over TLS.
    pub secure: Option<bool>,
    pub same_site: SameSite,
    /// What names of targets are hidden with; `None`: a key of this process.
    pub secret: Option<Secret>,
    /// How requests without a cookie are spread.
    pub otherwise: Spread,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    RoundRobin,
    LeastRequests,
    PeakEwma,
    Random,
}
