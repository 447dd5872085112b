//! Copies of a route's requests for another service.

use serde::Deserialize;

use super::{Proxy, Split};

/// Answers as another action does, and sends copies of some of the requests to a service whose answers nobody gets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    pub action: Mirrored,
    /// The service that gets the copies, and what they ask.
    pub copy: Proxy,
    /// Of 10,000 requests.
    pub share: u32,
    /// Upper case; empty: all.
    pub methods: Vec<String>,
    /// Marks copies; lower case.
    pub header: String,
    /// Longest body that is copied.
    pub body_bytes: usize,
    pub timeout_ms: u64,
    /// Copies under way at once.
    pub most: usize,
    pub compare: Option<Compare>,
}

impl Mirror {
    /// The services it may call, and how; that of the copies last.
    pub fn proxies(&self) -> Vec<&Proxy> {
        let mut proxies = match &self.action {
            Mirrored::Proxy(proxy) => vec![proxy],
            Mirrored::Split(split) => split.sides.iter().map(|side| &side.proxy).collect(),
        };
        proxies.push(&self.copy);
        proxies
    }

    pub fn proxies_mut(&mut self) -> Vec<&mut Proxy> {
        let mut proxies = match &mut self.action {
            Mirrored::Proxy(proxy) => vec![proxy],
            Mirrored::Split(split) => split.sides.iter_mut().map(|side| &mut side.proxy).collect(),
        };
        proxies.push(&mut self.copy);
        proxies
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mirrored {
    Proxy(Proxy),
    Split(Split),
}

/// Compares the answers of both.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Headers that are not; lower case.
    pub ignore_headers: Vec<String>,
    /// Members of JSON bodies that are not: their names from the outside in, `*` for any.
    pub ignore_members: Vec<Vec<String>>,
    /// Longest body that is.
    pub body_bytes: usize,
    /// Where differences are written.
    pub file: Option<String>,
    /// Those that are written, of 10,000.
    pub share: u32,
}
