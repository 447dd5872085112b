//! What is counted for one route.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::histogram::{Pair, Reading};
use crate::telemetry::metrics::shards::Shards;

/// The series of a route and the service it goes to; both are empty for requests without a route.
pub struct RouteSeries {
    pub(super) route: Box<str>,
    pub(super) service: Box<str>,
    parts: Shards<Part>,
}

/// One exchange, as far as the metrics care.
pub struct Sample {
    pub status: u16,
    pub duration_micros: u64,
    /// From the request's arrival to the head of the service's answer, when one came.
    pub upstream_micros: Option<u64>,
    pub request_bytes: u64,
    pub answer_bytes: u64,
}

/// Different statuses that a route may have before the rest is counted together: services may make up any number.
const STATUSES: usize = 24;

/// What a usual request writes stands in front, on one cache line and in one pair of buckets behind it: with many routes
/// every line is one that has left the cache.
#[derive(Default)]
#[repr(C)]
struct Part {
    /// The slot of the first status that came.
    first: StatusCount,
    request_bytes: Counter,
    answer_bytes: Counter,
    times: Pair,
    /// The slots of those that came later.
    statuses: [StatusCount; STATUSES - 1],
    /// By class, for what found no slot.
    others: [Counter; 5],
}

/// A slot: free while the status is 0.
#[derive(Default)]
struct StatusCount {
    status: AtomicU16,
    count: Counter,
}

/// All parts of a series added up.
#[derive(Default)]
pub(super) struct RouteReading {
    /// By status, in order.
    pub statuses: Vec<(u16, u64)>,
    pub others: [u64; 5],
    pub duration: Reading,
    pub upstream: Reading,
    pub request_bytes: u64,
    pub answer_bytes: u64,
}

impl RouteSeries {
    pub(super) fn new(route: &str, service: &str, workers: usize) -> Self {
        Self { route: route.into(), service: service.into(), parts: Shards::new(workers) }
    }

    pub fn observe(&self, worker: usize, sample: &Sample) {
        let part = self.parts.of(worker);
        part.count(sample.status);
        part.times.observe(sample.duration_micros, sample.upstream_micros);
        part.request_bytes.add(sample.request_bytes);
        part.answer_bytes.add(sample.answer_bytes);
    }

    /// Empty when the route goes to no service.
    pub fn service(&self) -> &str {
        &self.service
    }

    pub(super) fn labels(&self) -> [(&str, &str); 2] {
        [("route", &self.route), ("service", &self.service)]
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self) -> RouteReading {
        let mut reading = RouteReading::default();
        for part in self.parts.iter() {
            part.add_to(&mut reading);
        }
        reading.statuses.sort_unstable();
        reading
    }
}

impl Part {
    fn count(&self, status: u16) {
        for slot in self.slots() {
            let taken = slot.status.load(Relaxed);
            if taken != status && taken != 0 {
                continue;
            }
            // Counted before it is named: a reader never meets a status with a count of 0.
            slot.count.add(1);
            if taken == 0 {
                slot.status.store(status, Relaxed);
            }
            return;
        }
        self.others[class(status)].add(1);
    }

    fn slots(&self) -> impl Iterator<Item = &StatusCount> {
        std::iter::once(&self.first).chain(&self.statuses)
    }

    fn add_to(&self, reading: &mut RouteReading) {
        for slot in self.slots() {
            let (status, count) = (slot.status.load(Relaxed), slot.count.get());
            if status == 0 {
                break;
            }
            match reading.statuses.iter_mut().find(|(known, _)| *known == status) {
                Some((_, sum)) => *sum += count,
                None => reading.statuses.push((status, count)),
            }
        }
        for (sum, other) in reading.others.iter_mut().zip(&self.others) {
            *sum += other.get();
        }
        self.times.add_to([&mut reading.duration, &mut reading.upstream]);
        reading.request_bytes += self.request_bytes.get();
        reading.answer_bytes += self.answer_bytes.get();
    }
}

pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Index into [`CLASSES`]. Statuses are 100 to 599 wherever they come from.
pub(super) fn class(status: u16) -> usize {
    usize::from((status / 100).clamp(1, 5) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: u16) -> Sample {
        Sample { status, duration_micros: 700, upstream_micros: Some(600), request_bytes: 10, answer_bytes: 20 }
    }

    #[test]
    fn workers_are_added_up() {
        let series = RouteSeries::new("a", "b", 2);
        for (worker, status) in [(0, 404), (1, 200), (0, 200)] {
            series.observe(worker, &sample(status));
        }
        let reading = series.read();
        assert_eq!(reading.statuses, [(200, 2), (404, 1)]);
        assert_eq!((reading.request_bytes, reading.answer_bytes), (30, 60));
        assert_eq!((reading.duration.count(), reading.upstream.sum_micros), (3, 1800));
    }

    #[test]
    fn statuses_beyond_the_slots_are_counted_by_class() {
        let series = RouteSeries::new("a", "b", 1);
        (0..STATUSES as u16 + 5).for_each(|index| series.observe(0, &sample(200 + index)));
        series.observe(0, &sample(500));
        let reading = series.read();
        assert_eq!(reading.statuses.len(), STATUSES);
        assert_eq!(reading.others, [0, 5, 0, 0, 1]);
    }
}
