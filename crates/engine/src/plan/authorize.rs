//! The plan of `authorize`.

use serde::Deserialize;

/// Lets a request on when a rule allows it; the first that holds decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// Where roles and groups stand among the claims, by path.
    pub roles_claim: Vec<String>,
    pub groups_claim: Vec<String>,
    pub rules: Vec<Rule>,
}

/// Holds when all of its conditions do; what is empty or `None` is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    /// `false`: it denies.
    pub allow: bool,
    pub methods: Vec<String>,
    pub consumers: Vec<String>,
    pub tiers: Vec<String>,
    pub tags: Option<Wanted>,
    pub scopes: Option<Wanted>,
    pub roles: Option<Wanted>,
    pub groups: Option<Wanted>,
    pub claims: Vec<WantedClaim>,
    /// A CEL expression.
    pub when: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedClaim {
    pub path: Vec<String>,
    pub wanted: Wanted,
}

/// What something with several values must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wanted {
    Present,
    Any(Vec<Literal>),
    All(Vec<Literal>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    Truth(bool),
    Integer(i64),
    Text(String),
}
