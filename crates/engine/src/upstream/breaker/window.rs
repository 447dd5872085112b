//! The last calls, by number or by time, summed up so that a call costs the same however many there are.

use crate::clock::Millis;

/// What became of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    pub failed: bool,
    pub slow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    pub calls: u32,
    pub failed: u32,
    pub slow: u32,
}

impl Sum {
    pub fn add(&mut self, verdict: Verdict) {
        self.calls += 1;
        self.failed += u32::from(verdict.failed);
        self.slow += u32::from(verdict.slow);
    }

    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }

    fn of(verdict: Verdict) -> Self {
        let mut sum = Self::default();
        sum.add(verdict);
        sum
    }

    /// Whether a share of the calls, in millionths, is reached by `part` of them.
    pub fn reaches(self, part: u32, share: u32) -> bool {
        u64::from(part) * 1_000_000 >= u64::from(share) * u64::from(self.calls)
    }
}

/// Buckets of a window of time: whole seconds, as in resilience4j, or tenths of a window that is shorter than two seconds.
const BUCKET_MS: Millis = 1000;

#[derive(Debug)]
pub enum Window {
    /// The last `size` calls, in a ring.
    Calls { ring: Vec<Verdict>, size: usize, next: usize, sum: Sum },
    /// The calls of the current bucket and of those before it, in a ring.
    Time { buckets: Box<[Sum]>, bucket_ms: Millis, current: u64, sum: Sum },
}

impl Window {
    pub fn of_calls(size: u32) -> Self {
        let size = size.max(1) as usize;
        Self::Calls { ring: Vec::new(), size, next: 0, sum: Sum::default() }
    }

    pub fn of_time(window_ms: Millis, now: Millis) -> Self {
        let bucket_ms = if window_ms >= 2 * BUCKET_MS { BUCKET_MS } else { (window_ms / 10).max(1) };
        let count = window_ms.div_ceil(bucket_ms).max(1) as usize;
        let buckets = vec![Sum::default(); count].into_boxed_slice();
        Self::Time { buckets, bucket_ms, current: now / bucket_ms, sum: Sum::default() }
    }

    /// Adds a call and gives the sum with it.
    pub fn add(&mut self, verdict: Verdict, now: Millis) -> Sum {
        match self {
            Self::Calls { ring, size, next, sum } => {
                if ring.len() < *size {
                    ring.push(verdict);
                } else {
                    sum.subtract(Sum::of(std::mem::replace(&mut ring[*next], verdict)));
                    *next = (*next + 1) % *size;
                }
                sum.add(verdict);
                *sum
            }
            Self::Time { buckets, bucket_ms, current, sum } => {
                let length = buckets.len() as u64;
                // A worker whose clock was read a moment before another's counts in the other's bucket.
                let bucket = (now / *bucket_ms).max(*current);
                for passed in (*current + 1..=bucket).rev().take(buckets.len()) {
                    sum.subtract(std::mem::take(&mut buckets[(passed % length) as usize]));
                }
                *current = bucket;
                buckets[(bucket % length) as usize].add(verdict);
                sum.add(verdict);
                *sum
            }
        }
    }

    pub fn clear(&mut self) {
        match self {
            Self::Calls { ring, next, sum, .. } => {
                ring.clear();
                *next = 0;
                *sum = Sum::default();
            }
            Self::Time { buckets, sum, .. } => {
                buckets.fill(Sum::default());
                *sum = Sum::default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Verdict = Verdict { failed: false, slow: false };
    const BAD: Verdict = Verdict { failed: true, slow: false };

    #[test]
    fn a_window_of_calls_forgets_the_oldest() {
        let mut window = Window::of_calls(3);
        for (verdict, calls, failed) in
            [(BAD, 1, 1), (GOOD, 2, 1), (BAD, 3, 2), (GOOD, 3, 1), (GOOD, 3, 1), (BAD, 3, 1)]
        {
            assert_eq!(window.add(verdict, 0), Sum { calls, failed, slow: 0 });
        }
    }

    #[test]
    fn a_window_of_time_forgets_by_whole_seconds() {
        let mut window = Window::of_time(3000, 10_500);
        for (now, calls) in [(10_500, 1), (11_000, 2), (12_999, 3), (13_000, 3), (14_000, 3), (60_000, 1), (59_000, 2)]
        {
            assert_eq!(window.add(BAD, now), Sum { calls, failed: calls, slow: 0 }, "at {now}");
        }
    }
}
