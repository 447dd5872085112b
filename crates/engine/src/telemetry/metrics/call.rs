//! What is counted for one call of a composition.

use std::sync::Arc;

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::histogram::{Histogram, Reading};
use crate::telemetry::metrics::registry::Registry;
use crate::telemetry::metrics::shards::Shards;
use crate::telemetry::metrics::text::{Kind, Text};

/// Results that a call may have, see [`CallSeries::count`].
const MOST: usize = 16;

/// The series of a call: its route and its name.
pub struct CallSeries {
    route: Box<str>,
    call: Box<str>,
    /// The words of the results, by their places.
    pub(super) results: &'static [&'static str],
    parts: Shards<Part>,
}

#[derive(Default)]
struct Part {
    results: [Counter; MOST],
    duration: Histogram,
    last: Counter,
    slowest: Counter,
}

/// All parts of a series added up.
#[derive(Default)]
pub(super) struct CallReading {
    pub results: [u64; MOST],
    pub duration: Reading,
    pub last: u64,
    pub slowest: u64,
}

impl CallSeries {
    pub(super) fn new(route: &str, call: &str, results: &'static [&'static str], workers: usize) -> Self {
        debug_assert!(results.len() <= MOST);
        Self { route: route.into(), call: call.into(), results, parts: Shards::new(workers) }
    }

    /// `result`: its place in the list. `micros`: what it took, where it was made.
    pub fn count(&self, worker: usize, result: usize, micros: Option<u64>) {
        let part = self.parts.of(worker);
        part.results[result].add(1);
        if let Some(micros) = micros {
            part.duration.observe(micros);
        }
    }

    /// Its answer was the last that was waited for.
    pub fn was_last(&self, worker: usize) {
        self.parts.of(worker).last.add(1);
    }

    /// It took longer than the others.
    pub fn was_slowest(&self, worker: usize) {
        self.parts.of(worker).slowest.add(1);
    }

    pub(super) fn labels(&self) -> [(&str, &str); 2] {
        [("route", &self.route), ("call", &self.call)]
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self) -> CallReading {
        let mut reading = CallReading::default();
        for part in self.parts.iter() {
            for (sum, counter) in reading.results.iter_mut().zip(&part.results) {
                *sum += counter.get();
            }
            part.duration.add_to(&mut reading.duration);
            reading.last += part.last.get();
            reading.slowest += part.slowest.get();
        }
        reading
    }
}

impl Registry {
    pub(super) fn render_calls(&self, text: &mut Text) {
        let read = |series: Arc<CallSeries>| (!series.is_unused()).then(|| (series.read(), series));
        let calls: Vec<_> = self.calls().into_iter().filter_map(read).collect();
        if calls.is_empty() {
            return;
        }
        text.family("tidegate_compose_calls", Kind::Counter, "Calls of compositions, by how they ended.");
        for (reading, series) in &calls {
            let [route, call] = series.labels();
            for (word, count) in series.results.iter().zip(reading.results).filter(|(_, count)| *count > 0) {
                text.sample(&[route, call, ("result", word)], count);
            }
        }
        let help =
            "From the start of a call of a composition to the end of its answer; items of a `for_each` together.";
        text.family("tidegate_compose_call_seconds", Kind::Histogram, help);
        for (reading, series) in &calls {
            text.histogram(&series.labels(), &reading.duration);
        }
        let help = "Answers that waited for this call last: the end of the critical path.";
        text.family("tidegate_compose_critical", Kind::Counter, help);
        for (reading, series) in &calls {
            text.sample(&series.labels(), reading.last);
        }
        text.family("tidegate_compose_slowest", Kind::Counter, "Answers of which this call took longest.");
        for (reading, series) in &calls {
            text.sample(&series.labels(), reading.slowest);
        }
    }
}
