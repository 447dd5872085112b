//! A quantile of the times that answers took lately: a histogram that forgets.
//!
//! Buckets are an eighth of an octave wide, so what is told is at most an eighth too much. Every five seconds an eighth of what is
//! counted is forgotten: half of it goes in 26 seconds. Workers share one; a time is one addition.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::clock::Millis;

/// Eight to an octave, up to 18 minutes.
const BUCKETS: usize = 232;
/// With fewer answers nothing is told.
const LEAST: u64 = 20;
/// Seconds between two fadings.
const FADES: u64 = 5;
/// After so many nothing is left.
const MOST_FADES: u64 = 200;
const UNKNOWN: u64 = 0;

pub struct Latency {
    permille: u64,
    buckets: Box<[AtomicU32]>,
    /// The second in which the quantile was last worked out.
    looked: AtomicU64,
    /// What it was, in microseconds.
    told: AtomicU64,
}

impl Latency {
    pub fn new(permille: u16) -> Self {
        Self {
            permille: u64::from(permille),
            buckets: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
            looked: AtomicU64::new(0),
            told: AtomicU64::new(UNKNOWN),
        }
    }

    pub fn record(&self, micros: u64) {
        self.buckets[bucket(micros)].fetch_add(1, Relaxed);
    }

    /// The quantile in milliseconds, rounded up; worked out at most once a second. `None` while too little is known.
    pub fn quantile(&self, now: Millis) -> Option<Millis> {
        let second = now / 1000;
        let looked = self.looked.load(Relaxed);
        if looked < second && self.looked.compare_exchange(looked, second, Relaxed, Relaxed).is_ok() {
            self.look(second / FADES - looked / FADES);
        }
        match self.told.load(Relaxed) {
            UNKNOWN => None,
            micros => Some(micros.div_ceil(1000)),
        }
    }

    fn look(&self, fades: u64) {
        for _ in 0..fades.min(MOST_FADES) {
            for bucket in &self.buckets {
                let count = bucket.load(Relaxed);
                bucket.fetch_sub(count.div_ceil(8), Relaxed);
            }
        }
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| u64::from(bucket.load(Relaxed))).collect();
        self.told.store(quantile(&counts, self.permille).unwrap_or(UNKNOWN), Relaxed);
    }
}

/// The upper bound of the bucket that holds the quantile.
fn quantile(counts: &[u64], permille: u64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    if total < LEAST {
        return None;
    }
    let wanted = (total * permille).div_ceil(1000).max(1);
    let mut below = 0;
    let reached = counts.iter().position(|count| {
        below += count;
        below >= wanted
    });
    reached.map(upper)
}

/// The top three bits behind the first one choose within an octave.
fn bucket(micros: u64) -> usize {
    if micros < 8 {
        return micros as usize;
    }
    let octave = 63 - micros.leading_zeros() as usize;
    let eighth = (micros >> (octave - 3)) as usize & 7;
    ((octave - 2) * 8 + eighth).min(BUCKETS - 1)
}

/// The least time above a bucket, and never 0.
fn upper(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64 + 1;
    }
    (8 + (bucket as u64 & 7) + 1) << (bucket / 8 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::random::Random;

    #[test]
    fn every_time_has_its_bucket() {
        for micros in (0..100_000).chain((0..30).map(|octave| (1 << octave) + 1)) {
            let bucket = bucket(micros);
            assert!(micros < upper(bucket), "{micros}");
            assert!(bucket == 0 || micros >= upper(bucket - 1), "{micros}");
            assert!(upper(bucket) <= micros + micros / 8 + 1, "{micros}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_is_told_of_a_few() {
        let latency = Latency::new(950);
        (1..LEAST).for_each(|_| latency.record(1000));
        assert_eq!(latency.quantile(1000), None);
        latency.record(1000);
        assert_eq!(latency.quantile(1999), None, "once a second");
        assert_eq!(latency.quantile(2000), Some(2));
    }

    /// Against the sorted list.
    #[test]
    fn it_is_the_quantile_but_for_an_eighth() {
        let mut random = Random::from_system();
        for permille in [500, 900, 950, 990, 999] {
            for spread in [10, 1_000, 1_000_000] {
                let latency = Latency::new(permille);
                let mut times: Vec<u64> = (0..5000).map(|_| 1000 + random.next() % spread).collect();
                times.iter().for_each(|time| latency.record(*time));
                times.sort_unstable();
                let exact = times[(5000 * usize::from(permille)).div_ceil(1000) - 1];
                let told = latency.quantile(1000).unwrap();
                let (least, most) = (exact.div_ceil(1000), (exact + exact / 8 + 1).div_ceil(1000));
                assert!((least..=most).contains(&told), "{permille} {spread}: {told} of {exact}");
            }
        }
    }

    #[test]
    fn it_follows_a_service_that_becomes_slower() {
        let latency = Latency::new(950);
        (0..1000).for_each(|_| latency.record(5_000));
        assert!(latency.quantile(1000).unwrap() <= 6);
        for second in 2..120 {
            (0..10).for_each(|_| latency.record(80_000));
            latency.quantile(second * 1000);
        }
        assert!((80..=90).contains(&latency.quantile(120_000).unwrap()));
    }

    #[test]
    fn all_is_forgotten_in_the_end() {
        let latency = Latency::new(950);
        (0..1_000_000).for_each(|_| latency.record(5_000));
        assert_eq!(latency.quantile(2_000_000), None);
        assert_eq!(latency.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum::<u32>(), 0);
    }
}
