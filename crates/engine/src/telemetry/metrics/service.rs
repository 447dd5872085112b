//! What is counted for the connections to one service.

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::shards::Shards;

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
}

#[derive(Default)]
pub(super) struct ServiceReading {
    pub opened: u64,
    pub reused: u64,
    pub idle: u64,
    pub busy: u64,
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

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self) -> ServiceReading {
        ServiceReading {
            opened: self.parts.sum(|part| part.opened.get()),
            reused: self.parts.sum(|part| part.reused.get()),
            idle: self.parts.sum(|part| part.idle.get()),
            busy: self.parts.sum(|part| part.busy.get()),
        }
    }
}
