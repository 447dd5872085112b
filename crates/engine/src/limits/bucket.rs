//! Buckets that run empty at a steady rate: `token_bucket` refuses what would overflow, `leaky_bucket` makes it wait.
//!
//! The token bucket is the generic cell rate algorithm (ITU-T I.371, annex A) told by level instead of by theoretical arrival
//! time, which is the same and stays exact for rates that do not divide a microsecond. A level counts in parts of a request:
//! `rate` of them run out each microsecond, and `unit` of them make one request.

use crate::limits::algorithm::{Cell, Decision, Micros, NEVER, Reading, share};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    rate: u64,
    unit: u64,
    /// Token bucket: the level that is full. Leaky bucket: the level from which the delay is too long.
    capacity: u64,
    /// What may lie above the capacity: with room for a part of it, a leaky bucket takes a whole request.
    above: u64,
}

/// So that a level and what comes on top of it fit a word.
const LARGEST_LEVEL: u64 = 1 << 62;

impl Bucket {
    pub fn token(amount: u64, window: Micros, burst: u64) -> Result<Self, &'static str> {
        let (rate, unit) = reduce(amount, window);
        let capacity = burst.checked_mul(unit).filter(|capacity| (1..=LARGEST_LEVEL).contains(capacity));
        Ok(Self { rate, unit, capacity: capacity.ok_or("the `burst` is too large for its window")?, above: 0 })
    }

    pub fn leaky(amount: u64, window: Micros, delay: Micros) -> Result<Self, &'static str> {
        let (rate, unit) = reduce(amount, window);
        let capacity = delay.checked_mul(rate).filter(|&capacity| capacity <= LARGEST_LEVEL);
        Ok(Self { rate, unit, capacity: capacity.ok_or("the longest delay is too long for its rate")?, above: unit })
    }

    /// Its numbers, for a script that reckons with them.
    pub fn wire(&self) -> [u64; 3] {
        [self.rate, self.unit, self.capacity]
    }

    pub fn decide_token(&self, cell: Cell, now: Micros, cost: u64) -> Decision {
        let at = now.max(cell.at);
        let level = self.level(cell, at);
        let need = cost.saturating_mul(self.unit);
        if need > self.capacity {
            return Decision::Refuse { wait: NEVER };
        }
        match (level + need).checked_sub(self.capacity) {
            None | Some(0) => Decision::Pass { next: Cell { at, value: level + need }, delay: 0 },
            Some(over) => Decision::Refuse { wait: over.div_ceil(self.rate) + (at - now) },
        }
    }

    /// The request goes when all before it have run out.
    pub fn decide_leaky(&self, cell: Cell, now: Micros, cost: u64) -> Decision {
        let at = now.max(cell.at);
        let level = self.level(cell, at);
        let over = level.saturating_sub(self.capacity);
        let next = cost.checked_mul(self.unit).and_then(|need| level.checked_add(need));
        match next.filter(|&next| next <= LARGEST_LEVEL * 2) {
            None => Decision::Refuse { wait: NEVER },
            Some(_) if over > 0 => Decision::Refuse { wait: over.div_ceil(self.rate) + (at - now) },
            Some(value) => Decision::Pass { next: Cell { at, value }, delay: level.div_ceil(self.rate) },
        }
    }

    pub fn read(&self, cell: Cell, now: Micros) -> Reading {
        let at = now.max(cell.at);
        let level = self.level(cell, at);
        Reading {
            remaining: (self.capacity + self.above).saturating_sub(level) / self.unit,
            reset: level.div_ceil(self.rate) + (at - now),
            used: share(level, self.capacity + self.above),
        }
    }

    pub fn give_back(&self, cell: Cell, now: Micros, cost: u64) -> Cell {
        let at = now.max(cell.at);
        Cell { at, value: self.level(cell, at).saturating_sub(cost.saturating_mul(self.unit)) }
    }

    /// How full it is at `at`, which is not before `cell.at`.
    fn level(&self, cell: Cell, at: Micros) -> u64 {
        cell.value.saturating_sub((at - cell.at).saturating_mul(self.rate))
    }
}

/// The smallest whole numbers of the same ratio.
fn reduce(amount: u64, window: Micros) -> (u64, u64) {
    let (mut larger, mut smaller) = (amount, window);
    while smaller != 0 {
        (larger, smaller) = (smaller, larger % smaller);
    }
    (amount / larger, window / larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_does_not_divide_a_second_is_exact() {
        let bucket = Bucket::token(3, 1_000_000, 1).unwrap();
        let Decision::Pass { next, .. } = bucket.decide_token(Cell::default(), 1_000_000, 1) else { panic!("empty") };
        assert_eq!(bucket.decide_token(next, 1_333_333, 1), Decision::Refuse { wait: 1 });
        assert!(matches!(bucket.decide_token(next, 1_333_334, 1), Decision::Pass { .. }));
    }

    #[test]
    fn what_costs_more_than_the_bucket_holds_never_passes() {
        let bucket = Bucket::token(10, 1_000_000, 5).unwrap();
        assert_eq!(bucket.decide_token(Cell::default(), 7, 6), Decision::Refuse { wait: NEVER });
        assert_eq!(bucket.decide_token(Cell::default(), 7, u64::MAX), Decision::Refuse { wait: NEVER });
    }
}
