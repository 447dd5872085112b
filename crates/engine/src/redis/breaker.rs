//! Stops asking a store that does not answer, so that requests do not pay its timeout one after another.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Failures in a row, over all workers, that open it.
const FAILURES: u32 = 5;

/// Closed: commands go out. Open: none does, but for the keeper's probe (half open), which closes it again.
#[derive(Default)]
pub struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
    /// How often it opened.
    opened: AtomicU64,
}

impl Breaker {
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// An answer came. Only the probe closes an open breaker: an answer that was under way says nothing of the next.
    pub fn succeeded(&self) {
        // A load first: on the way of every request, where a store would take the line from the other workers.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// True for the one caller whose failure opened it.
    pub fn failed(&self) -> bool {
        let opens = self.failures.fetch_add(1, Relaxed) + 1 >= FAILURES && !self.open.swap(true, Relaxed);
        self.opened.fetch_add(u64::from(opens), Relaxed);
        opens
    }

    /// The probe got its answer; true for the one caller that closed it.
    pub fn probed(&self) -> bool {
        self.failures.store(0, Relaxed);
        self.open.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_once_and_the_probe_closes_it() {
        let breaker = Breaker::default();
        (1..FAILURES).for_each(|_| assert!(!breaker.failed()));
        breaker.succeeded();
        (1..FAILURES).for_each(|_| assert!(!breaker.failed()));
        assert!(breaker.failed());
        assert!(!breaker.failed());
        breaker.succeeded();
        assert!(breaker.is_open());
        assert!(breaker.probed());
        assert!(!breaker.is_open() && !breaker.probed());
        assert_eq!(breaker.opened(), 1);
    }
}
