//! How many requests a service can take at once, found out by how long it takes.
//!
//! The gradient controller of Envoy's adaptive concurrency filter ("Adaptive Concurrency", Envoy documentation), which builds
//! on Netflix's concurrency-limits. From time to time the limit is held at its minimum for some answers: their latency is that
//! of the service when it has little to do. Then, window after window:
//!
//! ```text
//! gradient = (1 + tolerance) * least latency / latency now           between 1/2 and 2
//! limit    = gradient * limit + sqrt(gradient * limit)               within minimum and maximum
//! ```
//!
//! A service that queues answers later, which shrinks the limit; one that does not lets it grow by the square root. Pure: the
//! time is passed in.

use crate::clock::Millis;
use crate::plan::Adaptive;

/// Samples that are kept of a window; later ones of it are left out.
const MOST_SAMPLES: usize = 1024;
/// Windows in a row at the minimum after which the least latency is taken anew: it may be that which is out of date.
const WINDOWS_AT_MINIMUM: u32 = 5;

#[derive(Debug)]
pub struct Gradient {
    settings: Adaptive,
    limit: u32,
    /// Microseconds; `None` until it was first taken.
    least: Option<u64>,
    samples: Vec<u64>,
    window_ends: Millis,
    /// The limit to go on with after the least latency was taken; `None` while it is not being taken.
    deferred: Option<u32>,
    /// When answers count again: those that began before the limit was lowered met a busier service.
    counts_from: Millis,
    take_again: Millis,
    windows_at_minimum: u32,
}

impl Gradient {
    pub fn new(settings: Adaptive, now: Millis) -> Self {
        let limit = settings.initial.clamp(settings.minimum, settings.maximum);
        let mut gradient = Self {
            settings,
            limit,
            least: None,
            samples: Vec::new(),
            window_ends: 0,
            deferred: None,
            counts_from: 0,
            take_again: 0,
            windows_at_minimum: 0,
        };
        gradient.take_least(now);
        gradient
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The latency of a service with little to do, in microseconds.
    pub fn least(&self) -> Option<u64> {
        self.least
    }

    /// An answer came, so long after its call began. True when the limit has changed by it.
    pub fn answered(&mut self, micros: u64, now: Millis) -> bool {
        let before = self.limit;
        match self.deferred {
            Some(deferred) => {
                let began = now.saturating_sub(micros / 1000);
                if began >= self.counts_from {
                    self.samples.push(micros.max(1));
                }
                if self.samples.len() >= self.settings.samples as usize {
                    self.least = self.middle();
                    self.deferred = None;
                    self.limit = deferred;
                    self.begin_window(now);
                    self.take_again = now.saturating_add(self.settings.interval_ms);
                }
            }
            None => {
                if now >= self.window_ends {
                    self.end_window(now);
                }
                if self.deferred.is_none() && self.samples.len() < MOST_SAMPLES {
                    self.samples.push(micros.max(1));
                }
            }
        }
        self.limit != before
    }

    fn end_window(&mut self, now: Millis) {
        if let (Some(least), Some(sample)) = (self.least, self.middle()) {
            // It has become quicker than when that was measured.
            let least = least.min(sample);
            self.least = Some(least);
            self.limit = self.next(least, sample);
        }
        self.begin_window(now);
        let at_minimum = self.limit == self.settings.minimum && self.settings.minimum < self.settings.maximum;
        self.windows_at_minimum = if at_minimum { self.windows_at_minimum + 1 } else { 0 };
        if now >= self.take_again || self.windows_at_minimum >= WINDOWS_AT_MINIMUM {
            self.take_least(now);
        }
    }

    fn next(&self, least: u64, sample: u64) -> u32 {
        let allowed = least as f64 * (1.0 + f64::from(self.settings.tolerance) / 1_000_000.0);
        let limit = f64::from(self.limit) * (allowed / sample as f64).clamp(0.5, 2.0);
        ((limit + limit.sqrt()) as u32).clamp(self.settings.minimum, self.settings.maximum)
    }

    fn begin_window(&mut self, now: Millis) {
        self.samples.clear();
        self.window_ends = now.saturating_add(self.settings.window_ms);
    }

    fn take_least(&mut self, now: Millis) {
        self.samples.clear();
        self.deferred = Some(self.limit);
        self.limit = self.settings.minimum;
        self.counts_from = now;
        self.windows_at_minimum = 0;
    }

    /// The median of the samples.
    fn middle(&mut self) -> Option<u64> {
        let middle = self.samples.len() / 2;
        (!self.samples.is_empty()).then(|| *self.samples.select_nth_unstable(middle).1)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    fn settings() -> Adaptive {
        Adaptive {
            initial: 20,
            minimum: 3,
            maximum: 1000,
            tolerance: 250_000,
            window_ms: 100,
            samples: 50,
            interval_ms: 60_000,
        }
    }

    /// A service with so many hands, each of which takes so long for a request; what comes more waits in line. Its clients
    /// always have more requests, so that the limit is used up.
    struct Simulated {
        gradient: Gradient,
        hands: u32,
        work_micros: u64,
        now: u64,
        /// When each hand is free.
        free: BinaryHeap<Reverse<u64>>,
        /// End and begin of the requests under way.
        under_way: BinaryHeap<Reverse<(u64, u64)>>,
    }

    impl Simulated {
        fn new(hands: u32, work_micros: u64) -> Self {
            let gradient = Gradient::new(settings(), 0);
            let (free, under_way) = ((0..hands).map(|_| Reverse(0)).collect(), BinaryHeap::new());
            Self { gradient, hands, work_micros, now: 0, free, under_way }
        }

        /// `offered`: requests at the same time that clients would send.
        fn run(&mut self, millis: u64, offered: u32) {
            let end = self.now + millis * 1000;
            while self.now < end {
                while (self.under_way.len() as u32) < self.gradient.limit().min(offered) {
                    let Reverse(free) = self.free.pop().unwrap();
                    // A little apart, as nothing in the world is quite even.
                    let work = self.work_micros + self.now % 97;
                    let done = free.max(self.now) + work;
                    self.free.push(Reverse(done));
                    self.under_way.push(Reverse((done, self.now)));
                }
                let Reverse((done, began)) = self.under_way.pop().unwrap();
                self.now = done.max(self.now);
                self.gradient.answered(self.now - began, self.now / 1000);
            }
            assert_eq!(self.free.len(), self.hands as usize);
        }
    }

    #[test]
    fn the_limit_settles_a_little_above_what_the_service_can_do_at_once() {
        let mut service = Simulated::new(40, 10_000);
        service.run(20_000, u32::MAX);
        let limit = service.gradient.limit();
        assert!((40..=65).contains(&limit), "{limit}");
        assert!((10_000..10_200).contains(&service.gradient.least().unwrap()));
    }

    #[test]
    fn a_service_that_becomes_slow_is_given_less_and_more_again_when_it_is_quick() {
        let mut service = Simulated::new(40, 10_000);
        service.run(20_000, u32::MAX);
        let before = service.gradient.limit();
        service.work_micros = 50_000;
        service.run(1_000, u32::MAX);
        assert!(service.gradient.limit() < before / 2, "{} after {before}", service.gradient.limit());
        service.work_micros = 10_000;
        service.run(20_000, u32::MAX);
        let after = service.gradient.limit();
        assert!((40..=65).contains(&after), "{after}");
    }

    #[test]
    fn what_a_permanently_slower_service_takes_becomes_the_new_least_latency() {
        let mut service = Simulated::new(40, 10_000);
        service.run(20_000, u32::MAX);
        service.work_micros = 30_000;
        service.run(150_000, u32::MAX);
        assert!((30_000..30_200).contains(&service.gradient.least().unwrap()));
        let limit = service.gradient.limit();
        assert!((40..=65).contains(&limit), "{limit}");
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        let mut service = Simulated::new(5000, 1000);
        service.run(5_000, u32::MAX);
        assert_eq!(service.gradient.limit(), 1000);
        let mut service = Simulated::new(1, 10_000);
        service.run(30_000, u32::MAX);
        assert!(service.gradient.limit() >= 3);
    }
}
