//! What is counted for the client connections of one listener.

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::shards::Shards;

pub struct ListenerSeries {
    pub(super) listener: Box<str>,
    parts: Shards<Part>,
}

#[derive(Default)]
struct Part {
    accepted: Counter,
    closed: Counter,
    refused: Counter,
}

#[derive(Default)]
pub(super) struct ListenerReading {
    pub accepted: u64,
    pub closed: u64,
    pub refused: u64,
}

impl ListenerSeries {
    pub(super) fn new(listener: &str, workers: usize) -> Self {
        Self { listener: listener.into(), parts: Shards::new(workers) }
    }

    /// A connection was accepted; [`ListenerSeries::closed`] must follow.
    pub fn accepted(&self, worker: usize) {
        self.parts.of(worker).accepted.add(1);
    }

    pub fn closed(&self, worker: usize) {
        self.parts.of(worker).closed.add(1);
    }

    /// A connection was turned away at once, because of a limit on connections; it counts as neither accepted nor closed.
    pub fn refused(&self, worker: usize) {
        self.parts.of(worker).refused.add(1);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self) -> ListenerReading {
        // Closed first: what is read as closed has been accepted, so the difference is never negative.
        let closed = self.parts.sum(|part| part.closed.get());
        ListenerReading {
            closed,
            accepted: self.parts.sum(|part| part.accepted.get()).max(closed),
            refused: self.parts.sum(|part| part.refused.get()),
        }
    }
}
