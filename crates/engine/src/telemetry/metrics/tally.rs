//! What became of things, in words: for counters that need nothing else.

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::shards::Shards;

/// A family of counters: one series for each value of `label` and each outcome.
#[derive(Debug)]
pub struct Family {
    /// Without `_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub label: &'static str,
    /// The label that has the outcome.
    pub outcome: &'static str,
    pub outcomes: &'static [&'static str],
}

/// Outcomes that a family may have.
const MOST: usize = 8;

/// The counters of one value of the label.
pub struct Tally {
    pub(super) family: &'static Family,
    pub(super) of: Box<str>,
    parts: Shards<[Counter; MOST]>,
}

impl Tally {
    pub(super) fn new(family: &'static Family, of: &str, workers: usize) -> Self {
        debug_assert!(family.outcomes.len() <= MOST);
        Self { family, of: of.into(), parts: Shards::new(workers) }
    }

    /// `outcome`: its place in the family's list.
    pub fn count(&self, worker: usize, outcome: usize) {
        self.parts.of(worker)[outcome].add(1);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self, outcome: usize) -> u64 {
        self.parts.sum(|part| part[outcome].get())
    }
}
