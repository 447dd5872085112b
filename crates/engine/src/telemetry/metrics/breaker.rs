//! What is counted for one circuit breaker.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::registry::Registry;
use crate::telemetry::metrics::shards::Shards;
use crate::telemetry::metrics::text::{Kind, Text};
use crate::upstream::breaker::{State, Why};

pub struct BreakerSeries {
    breaker: Box<str>,
    refused: Shards<Counter>,
    state: AtomicU8,
    /// By the state that began, and why.
    changes: [[AtomicU64; Why::ALL.len()]; State::ALL.len()],
}

impl BreakerSeries {
    pub(super) fn new(breaker: &str, workers: usize) -> Self {
        Self {
            breaker: breaker.into(),
            refused: Shards::new(workers),
            state: AtomicU8::new(State::Closed as u8),
            changes: Default::default(),
        }
    }

    /// A call was not let through.
    pub fn refused(&self, worker: usize) {
        self.refused.of(worker).add(1);
    }

    pub fn changed(&self, to: State, why: Why) {
        self.state.store(to as u8, Relaxed);
        self.changes[to as usize][why as usize].fetch_add(1, Relaxed);
    }

    /// A breaker begins anew, closed: the one before it is gone.
    pub fn begun(&self) {
        self.state.store(State::Closed as u8, Relaxed);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.refused.is_unused() && self.changes.iter().flatten().all(|count| count.load(Relaxed) == 0)
    }
}

impl Registry {
    pub(super) fn render_breakers(&self, text: &mut Text) {
        let breakers = self.breakers();
        let help = "1 for the state that a circuit breaker is in, 0 for the others.";
        text.family("tidegate_breaker_state", Kind::Gauge, help);
        for series in &breakers {
            let now = series.state.load(Relaxed);
            for state in State::ALL {
                let labels = [("breaker", &*series.breaker), ("state", state.word())];
                text.sample(&labels, u64::from(now == state as u8));
            }
        }
        text.family("tidegate_breaker_changes", Kind::Counter, "Changes of a circuit breaker's state.");
        for series in &breakers {
            for (state, counts) in State::ALL.iter().zip(&series.changes) {
                for (why, count) in Why::ALL.iter().zip(counts) {
                    let count = count.load(Relaxed);
                    if count > 0 {
                        let labels = [("breaker", &*series.breaker), ("state", state.word()), ("reason", why.word())];
                        text.sample(&labels, count);
                    }
                }
            }
        }
        let help = "Calls that a circuit breaker did not let through.";
        text.family("tidegate_breaker_refused", Kind::Counter, help);
        for series in &breakers {
            text.sample(&[("breaker", &*series.breaker)], series.refused.sum(Counter::get));
        }
    }
}
