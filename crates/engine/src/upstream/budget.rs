//! How many calls there may be beside the first ones, so that retries never multiply an outage.
//!
//! After Finagle's retry budget: what is granted is a share of the live calls of the last seconds, or a small number a second if
//! that is more. All workers share one; counting a call is a store into memory of the worker's own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::plan;
use crate::telemetry::metrics::Shards;

/// The window, in seconds: the one that runs, and those before it.
const WINDOW: u64 = 10;
const SLOTS: usize = WINDOW as usize;
const MILLION: u64 = 1_000_000;

pub struct Budget {
    ratio_ppm: u64,
    minimum: u64,
    calls: Shards<Calls>,
    granted: Mutex<[Slot; SLOTS]>,
}

/// First attempts by the second, of one worker: the second in the upper half, the count in the lower.
#[derive(Default)]
struct Calls([AtomicU64; SLOTS]);

#[derive(Default, Clone, Copy)]
struct Slot {
    second: u64,
    count: u64,
}

impl Budget {
    pub fn new(plan: &plan::CallBudget, workers: usize) -> Self {
        Self {
            ratio_ppm: u64::from(plan.ratio_ppm),
            minimum: u64::from(plan.minimum),
            calls: Shards::new(workers),
            granted: Mutex::default(),
        }
    }

    /// A call begins.
    pub fn deposit(&self, worker: usize, now: Millis) {
        let second = now / 1000;
        let slot = &self.calls.of(worker).0[(second % WINDOW) as usize];
        let known = slot.load(Relaxed);
        let count = if known >> 32 == second & u64::from(u32::MAX) { known + 1 } else { (second << 32) | 1 };
        slot.store(count, Relaxed);
    }

    /// One more attempt, if there may be one.
    pub fn withdraw(&self, now: Millis) -> bool {
        let second = now / 1000;
        let most = self.most(second);
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let spent: u64 = granted.iter().filter(|slot| is_within(slot.second, second)).map(|slot| slot.count).sum();
        if spent >= most {
            return false;
        }
        let slot = &mut granted[(second % WINDOW) as usize];
        if slot.second != second {
            *slot = Slot { second, count: 0 };
        }
        slot.count += 1;
        true
    }

    /// What may be granted within the window that ends with this second.
    fn most(&self, second: u64) -> u64 {
        let share = (u128::from(self.live(second)) * u128::from(self.ratio_ppm)).div_ceil(u128::from(MILLION));
        (share as u64).max(self.minimum * WINDOW)
    }

    fn live(&self, second: u64) -> u64 {
        let of_slot = |slot: &AtomicU64| {
            let known = slot.load(Relaxed);
            if is_within(known >> 32, second & u64::from(u32::MAX)) { known & u64::from(u32::MAX) } else { 0 }
        };
        self.calls.sum(|calls| calls.0.iter().map(of_slot).sum())
    }
}

/// The workers' clocks are one, but a count may be a moment ahead of whoever reads it.
fn is_within(counted: u64, second: u64) -> bool {
    counted + WINDOW > second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::random::Random;

    fn budget(ratio_ppm: u32, minimum: u32) -> Budget {
        Budget::new(&plan::CallBudget { ratio_ppm, minimum }, 4)
    }

    fn withdrawn(budget: &Budget, now: Millis) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn a_share_of_the_live_calls_is_granted() {
        let budget = budget(200_000, 0);
        (0..100).for_each(|call| budget.deposit(call % 4, 5000));
        assert_eq!(withdrawn(&budget, 5000), 20);
    }

    #[test]
    fn a_few_a_second_are_always_granted() {
        assert_eq!(withdrawn(&budget(200_000, 3), 5000), 30);
    }

    #[test]
    fn the_share_is_rounded_up() {
        let budget = budget(50_000, 0);
        assert!(!budget.withdraw(0), "without a call there is nothing to share");
        budget.deposit(0, 0);
        assert_eq!(withdrawn(&budget, 0), 1);
    }

    #[test]
    fn what_was_spent_comes_back_as_the_window_moves_on() {
        let budget = budget(0, 1);
        assert_eq!(withdrawn(&budget, 0), 10);
        assert_eq!(withdrawn(&budget, 9_999), 0);
        assert_eq!(withdrawn(&budget, 10_000), 10);
    }

    #[test]
    fn calls_are_forgotten_as_the_window_moves_on() {
        let budget = budget(1_000_000, 0);
        (0..7).for_each(|_| budget.deposit(0, 1_500));
        assert_eq!(budget.live(10), 7);
        assert_eq!(budget.live(11), 0);
        budget.deposit(0, 11_000);
        assert_eq!(budget.live(11), 1, "the slot of the second that is gone begins anew");
    }

    /// Against a plain list of what happened when.
    #[test]
    fn it_never_grants_more_than_the_share_of_any_window() {
        let mut random = Random::from_system();
        for _ in 0..50 {
            let (ratio, minimum) = ((random.next() % 1_000_000) as u32, (random.next() % 4) as u32);
            let budget = budget(ratio, minimum);
            let (mut calls, mut granted) = (Vec::<u64>::new(), Vec::<u64>::new());
            let mut now = random.next() % 100_000;
            for _ in 0..2_000 {
                now += random.next() % 60;
                if random.next().is_multiple_of(3) {
                    let from = (now / 1000).saturating_sub(WINDOW - 1);
                    let within = |times: &[u64]| times.iter().filter(|time| **time / 1000 >= from).count() as u64;
                    let most = (within(&calls) * u64::from(ratio)).div_ceil(MILLION).max(u64::from(minimum) * WINDOW);
                    let expected = within(&granted) < most;
                    assert_eq!(budget.withdraw(now), expected, "{ratio} {minimum} at {now}");
                    if expected {
                        granted.push(now);
                    }
                } else {
                    budget.deposit((random.next() % 4) as usize, now);
                    calls.push(now);
                }
            }
        }
    }
}
