//! How long things took, in fixed buckets.

use crate::telemetry::metrics::cell::Counter;

/// Upper bounds in microseconds, and as they are written in seconds. From a local service to the longest timeouts, three or
/// four a decade where services live.
pub(super) const BOUNDS: [(u64, &str); 16] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1.0"),
    (2_500_000, "2.5"),
    (5_000_000, "5.0"),
    (10_000_000, "10.0"),
    (30_000_000, "30.0"),
    (60_000_000, "60.0"),
];

#[derive(Default)]
pub(super) struct Histogram {
    /// Not cumulative; the last holds what is above every bound.
    buckets: [Counter; BOUNDS.len() + 1],
    sum_micros: Counter,
}

/// A histogram as read, added up over workers.
#[derive(Default, Clone, Copy)]
pub(super) struct Reading {
    pub buckets: [u64; BOUNDS.len() + 1],
    pub sum_micros: u64,
}

impl Histogram {
    pub fn observe(&self, micros: u64) {
        self.buckets[bucket(micros)].add(1);
        self.sum_micros.add(micros);
    }

    pub fn add_to(&self, reading: &mut Reading) {
        for (sum, bucket) in reading.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        reading.sum_micros += self.sum_micros.get();
    }
}

/// Two histograms of the same requests, bucket beside bucket: what is written at once lies together.
#[derive(Default)]
#[repr(C)]
pub(super) struct Pair {
    sums_micros: [Counter; 2],
    buckets: [[Counter; 2]; BOUNDS.len() + 1],
}

impl Pair {
    /// The second is of those that have it.
    pub fn observe(&self, first: u64, second: Option<u64>) {
        for (which, micros) in [Some(first), second].into_iter().enumerate() {
            if let Some(micros) = micros {
                self.buckets[bucket(micros)][which].add(1);
                self.sums_micros[which].add(micros);
            }
        }
    }

    pub fn add_to(&self, readings: [&mut Reading; 2]) {
        for (which, reading) in readings.into_iter().enumerate() {
            for (sum, bucket) in reading.buckets.iter_mut().zip(&self.buckets) {
                *sum += bucket[which].get();
            }
            reading.sum_micros += self.sums_micros[which].get();
        }
    }
}

fn bucket(micros: u64) -> usize {
    BOUNDS.partition_point(|(bound, _)| *bound < micros)
}

impl Reading {
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
        self.sum_micros += other.sum_micros;
    }

    /// Derived from the buckets, so that count and buckets always agree, also when read in the middle of a write.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001, u64::MAX >> 1] {
            histogram.observe(micros);
        }
        let mut reading = Reading::default();
        histogram.add_to(&mut reading);
        assert_eq!(reading.buckets[..3], [2, 1, 0]);
        assert_eq!(reading.buckets[15..], [1, 2]);
        assert_eq!(reading.count(), 6);
    }

    #[test]
    fn a_pair_is_two_histograms() {
        let pair = Pair::default();
        pair.observe(700, Some(400));
        pair.observe(900, None);
        let (mut first, mut second) = (Reading::default(), Reading::default());
        pair.add_to([&mut first, &mut second]);
        assert_eq!((first.buckets[..2].to_vec(), first.sum_micros), (vec![0, 2], 1600));
        assert_eq!((second.buckets[..2].to_vec(), second.sum_micros), (vec![1, 0], 400));
    }

    #[test]
    fn bounds_are_written_as_they_are() {
        for (micros, seconds) in BOUNDS {
            assert_eq!(seconds.parse::<f64>().unwrap(), micros as f64 / 1e6);
        }
    }
}
