//! What is counted for the connections and the calls to one service.

use crate::plan::FallbackAnswer;
use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::shards::Shards;
use crate::upstream::retry::Reason;

/// A worker's pools of the service hold this and tell it what becomes of their connections.
pub struct ServiceSeries {
    pub(super) service: Box<str>,
    parts: Shards<Part>,
}

#[derive(Default)]
struct Part {
    opened: Counter,
    reused: Counter,
    idle: Counter,
    busy: Counter,
    retries: [Counter; Reason::ALL.len()],
    out_of_budget: Counter,
    hedges: Counter,
    hedges_won: Counter,
    hedges_out_of_budget: Counter,
    /// In the order of [`FALLBACKS`].
    fallbacks: [Counter; FALLBACKS.len()],
}

/// What answers in the place of a service.
pub(super) const FALLBACKS: [&str; 3] = ["fixed", "service", "handler"];

#[derive(Default)]
pub(super) struct ServiceReading {
    pub opened: u64,
    pub reused: u64,
    pub idle: u64,
    pub busy: u64,
    /// In the order of [`Reason::ALL`].
    pub retries: [u64; Reason::ALL.len()],
    pub out_of_budget: u64,
    pub hedges: u64,
    pub hedges_won: u64,
    pub hedges_out_of_budget: u64,
    pub fallbacks: [u64; FALLBACKS.len()],
}

impl ServiceSeries {
    pub(super) fn new(service: &str, workers: usize) -> Self {
        Self { service: service.into(), parts: Shards::new(workers) }
    }

    /// A connection was made; it is busy.
    pub fn opened(&self, worker: usize) {
        let part = self.parts.of(worker);
        part.opened.add(1);
        part.busy.add(1);
    }

    /// An idle connection was taken; it is busy now.
    pub fn reused(&self, worker: usize) {
        let part = self.parts.of(worker);
        part.reused.add(1);
        part.idle.subtract(1);
        part.busy.add(1);
    }

    /// A busy connection went back to the pool.
    pub fn parked(&self, worker: usize) {
        let part = self.parts.of(worker);
        part.busy.subtract(1);
        part.idle.add(1);
    }

    /// A busy connection is gone.
    pub fn closed_busy(&self, worker: usize) {
        self.parts.of(worker).busy.subtract(1);
    }

    /// An idle connection is gone.
    pub fn closed_idle(&self, worker: usize) {
        self.parts.of(worker).idle.subtract(1);
    }

    /// An attempt is made again.
    pub fn retried(&self, worker: usize, reason: Reason) {
        self.parts.of(worker).retries[reason as usize].add(1);
    }

    /// An attempt is not made again, as the budget is spent.
    pub fn out_of_budget(&self, worker: usize) {
        self.parts.of(worker).out_of_budget.add(1);
    }

    /// A second attempt began beside the first.
    pub fn hedged(&self, worker: usize) {
        self.parts.of(worker).hedges.add(1);
    }

    /// The second attempt was the quicker one.
    pub fn hedge_won(&self, worker: usize) {
        self.parts.of(worker).hedges_won.add(1);
    }

    /// The first was late, and the budget of second attempts was spent.
    pub fn hedge_out_of_budget(&self, worker: usize) {
        self.parts.of(worker).hedges_out_of_budget.add(1);
    }

    /// Something else answered in its place.
    pub fn fell_back(&self, worker: usize, to: &FallbackAnswer) {
        let kind = match to {
            FallbackAnswer::Fixed(_) => 0,
            FallbackAnswer::Service(_) => 1,
            FallbackAnswer::Handler(_) => 2,
        };
        self.parts.of(worker).fallbacks[kind].add(1);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self) -> ServiceReading {
        ServiceReading {
            opened: self.parts.sum(|part| part.opened.get()),
            reused: self.parts.sum(|part| part.reused.get()),
            idle: self.parts.sum(|part| part.idle.get()),
            busy: self.parts.sum(|part| part.busy.get()),
            retries: Reason::ALL.map(|reason| self.parts.sum(|part| part.retries[reason as usize].get())),
            out_of_budget: self.parts.sum(|part| part.out_of_budget.get()),
            hedges: self.parts.sum(|part| part.hedges.get()),
            hedges_won: self.parts.sum(|part| part.hedges_won.get()),
            hedges_out_of_budget: self.parts.sum(|part| part.hedges_out_of_budget.get()),
            fallbacks: std::array::from_fn(|kind| self.parts.sum(|part| part.fallbacks[kind].get())),
        }
    }
}
