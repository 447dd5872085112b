//! What is counted for one bulkhead.

use std::collections::BTreeMap;

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::registry::Registry;
use crate::telemetry::metrics::shards::Shards;
use crate::telemetry::metrics::text::{Kind, Text};

/// What became of a call that found no slot free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// It got one after a time in the queue.
    Waited,
    /// The queue was full.
    Full,
    /// It waited for too long.
    Late,
    /// Its client left the queue.
    Left,
}

impl Entrance {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Waited, "waited"), (Self::Full, "full"), (Self::Late, "late"), (Self::Left, "left")];
}

pub struct BulkheadSeries {
    bulkhead: Box<str>,
    parts: Shards<[Counter; Entrance::ALL.len()]>,
}

/// What a bulkhead has at the moment.
#[derive(Default)]
struct Now {
    /// Where there is one.
    limit: Option<u32>,
    used: u32,
    connections: Option<u32>,
    waiting: u32,
    least_micros: Option<u64>,
}

impl BulkheadSeries {
    pub(super) fn new(bulkhead: &str, workers: usize) -> Self {
        Self { bulkhead: bulkhead.into(), parts: Shards::new(workers) }
    }

    pub fn count(&self, worker: usize, entrance: Entrance) {
        self.parts.of(worker)[entrance as usize].add(1);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }
}

impl Registry {
    pub(super) fn render_bulkheads(&self, text: &mut Text) {
        let now = self.bulkheads_now();
        let mut gauge = |name, help, value: &dyn Fn(&Now) -> Option<u32>| {
            text.family(name, Kind::Gauge, help);
            for (bulkhead, now) in &now {
                if let Some(value) = value(now) {
                    text.sample(&[("bulkhead", bulkhead)], u64::from(value));
                }
            }
        };
        let help = "Calls to a service that may be under way at once.";
        gauge("tidegate_bulkhead_limit", help, &|now| now.limit);
        gauge("tidegate_bulkhead_requests", "Calls that are.", &|now| now.limit.and(Some(now.used)));
        gauge("tidegate_bulkhead_connections", "Connections that are open.", &|now| now.connections);
        gauge("tidegate_bulkhead_waiting", "Calls that wait for one of them to end.", &|now| Some(now.waiting));
        let help = "Latency of a service with little to do, by which an adaptive limit is reckoned.";
        text.family("tidegate_bulkhead_least_latency_seconds", Kind::Gauge, help);
        for (name, now) in &now {
            if let Some(micros) = now.least_micros {
                text.micros(&[("bulkhead", name)], micros);
            }
        }
        let help = "Calls that found no place at once, by what became of them.";
        text.family("tidegate_bulkhead_queued", Kind::Counter, help);
        for series in self.bulkheads().iter().filter(|series| !series.is_unused()) {
            for (entrance, word) in Entrance::ALL {
                let count = series.parts.sum(|part| part[entrance as usize].get());
                text.sample(&[("bulkhead", &series.bulkhead), ("outcome", word)], count);
            }
        }
    }

    /// By name. After a reload that changed one, what is left of the old one is counted with the new one.
    fn bulkheads_now(&self) -> BTreeMap<Box<str>, Now> {
        let mut all: BTreeMap<Box<str>, Now> = BTreeMap::new();
        for bulkhead in self.state.get().map(|state| state.bulkheads.all()).unwrap_or_default() {
            let now = all.entry(bulkhead.name().into()).or_default();
            if let Some(slots) = bulkhead.requests() {
                now.limit = Some(slots.most());
                now.used += slots.used();
                now.waiting += slots.waiting();
            }
            if let Some(slots) = bulkhead.connections() {
                now.connections = Some(now.connections.unwrap_or(0) + slots.used());
                now.waiting += slots.waiting();
            }
            now.least_micros = bulkhead.least_micros().or(now.least_micros);
        }
        all
    }
}
