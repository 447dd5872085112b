//! What a series has counted, for those who decide by it.

use crate::telemetry::metrics::histogram::BOUNDS;
use crate::telemetry::metrics::route::RouteSeries;

/// Requests, errors and latencies of a route's service, since the series began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub all: u64,
    /// Answers of 500 and more.
    pub errors: u64,
    /// Until the head of the service's answer; as in the histograms.
    latencies: [u64; BOUNDS.len() + 1],
}

impl Totals {
    /// For tests of what decides: so many requests, errors among them, and the time that all took.
    #[cfg(test)]
    pub fn made_up(all: u64, errors: u64, micros: u64) -> Self {
        let mut totals = Self { all, errors, ..Self::default() };
        totals.latencies[BOUNDS.partition_point(|(bound, _)| *bound < micros)] = all;
        totals
    }

    /// What came since an earlier reading. A series that began anew in between counts from there.
    pub fn since(&self, earlier: &Self) -> Self {
        if self.all < earlier.all {
            return *self;
        }
        let mut since = *self;
        since.all -= earlier.all;
        since.errors = since.errors.saturating_sub(earlier.errors);
        for (count, before) in since.latencies.iter_mut().zip(earlier.latencies) {
            *count = count.saturating_sub(before);
        }
        since
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.all += other.all;
        sum.errors += other.errors;
        sum.latencies.iter_mut().zip(other.latencies).for_each(|(count, more)| *count += more);
        sum
    }

    pub fn answered(&self) -> u64 {
        self.latencies.iter().sum()
    }

    /// The upper bound of the bucket that this part of the answers came within; `None` beyond the last.
    pub fn quantile_micros(&self, part: f64) -> Option<u64> {
        let wanted = (self.answered() as f64 * part).ceil() as u64;
        let mut below = 0;
        for ((bound, _), count) in BOUNDS.iter().zip(self.latencies) {
            below += count;
            if below >= wanted && below > 0 {
                return Some(*bound);
            }
        }
        None
    }

    /// Answers that surely took longer.
    pub fn slower_than(&self, micros: u64) -> u64 {
        let lower = std::iter::once(0).chain(BOUNDS.iter().map(|(bound, _)| *bound));
        lower.zip(self.latencies).filter(|(lower, _)| *lower >= micros).map(|(_, count)| count).sum()
    }
}

impl RouteSeries {
    /// What was counted so far.
    pub fn totals(&self) -> Totals {
        let reading = self.read();
        let errors = reading.statuses.iter().filter(|(status, _)| *status >= 500);
        Totals {
            all: reading.statuses.iter().map(|(_, count)| count).sum::<u64>() + reading.others.iter().sum::<u64>(),
            errors: errors.map(|(_, count)| count).sum::<u64>() + reading.others[4],
            latencies: reading.upstream.buckets,
        }
    }
}
