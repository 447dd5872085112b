//! What a key was charged here and the store does not know yet.

use crate::limits::algorithm::{Cell, Micros, Rule};
use crate::limits::shared::What;

/// How far the clocks of a gateway and the store may differ once they have been compared.
const SKEW: Micros = 1_000_000;
/// Of a window: two share a word.
const MOST_COUNT: u64 = u32::MAX as u64;

/// How charges add up: what [`What`] is to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Window { length: Micros, sliding: bool },
    Bucket { rate: u64, unit: u64, window: Micros },
    Period { start: Micros, end: Micros },
}

impl Kind {
    pub fn of(what: &What) -> Self {
        match *what {
            What::Rule(rule) => Self::of_rule(&rule),
            What::Quota { start, end, .. } => Self::Period { start, end },
        }
    }

    pub fn of_rule(rule: &Rule) -> Self {
        match rule.wire() {
            ('t' | 'k', [rate, unit, _, window]) => Self::Bucket { rate, unit, window },
            (kind, [_, length, ..]) => Self::Window { length, sliding: kind == 's' },
        }
    }
}

/// Charges, less refunds. Windows: those of the window that begins at `at`, and of the one before. Buckets: by how much the level
/// was raised since `at`. Periods: those of the period that begins at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    at: Micros,
    current: i64,
    previous: i64,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.current == 0 && self.previous == 0
    }

    /// A request was charged: `next` is what is kept of the key from now on.
    pub fn charge(&mut self, kind: Kind, next: Cell, now: Micros, cost: u64) {
        let cost = cost as i64;
        match kind {
            Kind::Window { length, .. } => {
                self.roll(next.at, length);
                self.current += cost;
            }
            Kind::Bucket { unit, .. } => self.raise(now, cost.saturating_mul(unit as i64)),
            Kind::Period { .. } => {
                self.begin(next.at);
                self.current += cost;
            }
        }
    }

    /// What was charged at `charged` does not count after all.
    pub fn give_back(&mut self, kind: Kind, charged: Micros, now: Micros, cost: u64) {
        let cost = cost as i64;
        match kind {
            Kind::Window { length, .. } => {
                let start = charged - charged % length;
                self.roll(start, length);
                match self.at - start {
                    0 => self.current -= cost,
                    past if past == length => self.previous -= cost,
                    _ => {}
                }
            }
            Kind::Bucket { unit, .. } => self.raise(now, -cost.saturating_mul(unit as i64)),
            Kind::Period { .. } => {
                self.begin(charged);
                self.current -= if self.at == charged { cost } else { 0 };
            }
        }
    }

    /// The letter and the numbers by which the store adds it up; see `settle.lua`. Windows tell how old they are, not when they
    /// were, so that clocks need not agree.
    pub fn wire(&self, kind: Kind, now: Micros) -> (u8, [i64; 4]) {
        let number = |number: u64| number as i64;
        match kind {
            Kind::Window { length, sliding } => {
                let mut of_now = *self;
                of_now.roll(now - now % length, length);
                let letter = if sliding { b's' } else { b'f' };
                (letter, [of_now.current, of_now.previous, number(length), 0])
            }
            Kind::Bucket { rate, window, .. } => {
                (b'b', [self.current, number(now.saturating_sub(self.at)), number(rate), number(window)])
            }
            Kind::Period { start, end } => {
                let charged = if self.at == start { self.current } else { 0 };
                (b'q', [charged, number(start), number(end), 0])
            }
        }
    }

    /// What is kept of the key: what the store told at its time `now`, and on top what was charged since it was asked.
    pub fn on_top_of(&self, kind: Kind, told: [u64; 3], now: Micros) -> Cell {
        let [at, first, second] = told;
        match kind {
            Kind::Window { length, sliding } => {
                let mut pending = *self;
                let latest = now + SKEW;
                if pending.at > latest {
                    // By a clock that was ahead, and is right now that the store has told the time.
                    pending = Self { at: latest - latest % length, current: self.current + self.previous, previous: 0 };
                }
                let mut store = Self { at, current: count(first), previous: count(second) };
                store.roll(pending.at, length);
                pending.roll(store.at, length);
                let current = clamp(store.current + pending.current).min(MOST_COUNT);
                let previous = clamp(store.previous + pending.previous).min(MOST_COUNT);
                Cell { at: store.at, value: if sliding { previous << 32 | current } else { current } }
            }
            Kind::Bucket { .. } => Cell { at, value: clamp(count(first).saturating_add(self.current)) },
            Kind::Period { .. } if self.at > at => Cell { at: self.at, value: clamp(self.current) },
            Kind::Period { .. } => {
                let added = if self.at == at { self.current } else { 0 };
                Cell { at, value: clamp(count(first).saturating_add(added)) }
            }
        }
    }

    /// Goes on to a window; one that is over is gone, but for the last.
    fn roll(&mut self, start: Micros, length: Micros) {
        match start.saturating_sub(self.at) {
            0 => {}
            past if past == length => *self = Self { at: start, current: 0, previous: self.current },
            _ => *self = Self { at: start, ..Self::default() },
        }
    }

    fn raise(&mut self, now: Micros, by: i64) {
        if self.current == 0 {
            self.at = now;
        }
        self.current = self.current.saturating_add(by);
    }

    fn begin(&mut self, start: Micros) {
        if self.at < start {
            *self = Self { at: start, ..Self::default() };
        }
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn clamp(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = 60_000_000;
    const SLIDING: Kind = Kind::Window { length: MINUTE, sliding: true };

    fn charged(kind: Kind, charges: &[(Micros, u64)]) -> Pending {
        let mut pending = Pending::default();
        for &(now, cost) in charges {
            let at = match kind {
                Kind::Window { length, .. } => now - now % length,
                Kind::Bucket { .. } => now,
                Kind::Period { start, .. } => start,
            };
            pending.charge(kind, Cell { at, value: 0 }, now, cost);
        }
        pending
    }

    #[test]
    fn windows_are_told_by_their_age() {
        let pending = charged(SLIDING, &[(MINUTE - 1, 2), (MINUTE, 3)]);
        for (now, numbers) in [(MINUTE + 5, [3, 2]), (2 * MINUTE, [0, 3]), (3 * MINUTE, [0, 0]), (1, [3, 2])] {
            let (_, told) = pending.wire(SLIDING, now);
            assert_eq!(told[..2], numbers, "{now}");
        }
    }

    #[test]
    fn what_came_since_stands_on_top_of_what_the_store_has() {
        let pending = charged(SLIDING, &[(MINUTE - 1, 2), (MINUTE, 3)]);
        let cell = |previous: u64, current: u64, at| Cell { at, value: previous << 32 | current };
        for (told, expected) in [
            ([MINUTE, 10, 20], cell(22, 13, MINUTE)),
            // The store is still in the window before.
            ([0, 10, 20], cell(12, 3, MINUTE)),
            ([2 * MINUTE, 10, 20], cell(23, 10, 2 * MINUTE)),
            ([5 * MINUTE, 10, 20], cell(20, 10, 5 * MINUTE)),
        ] {
            assert_eq!(pending.on_top_of(SLIDING, told, told[0].max(MINUTE)), expected, "{told:?}");
        }
        // A clock that was hours ahead has charged in a window that is far away.
        let ahead = charged(SLIDING, &[(600 * MINUTE, 4)]);
        assert_eq!(ahead.on_top_of(SLIDING, [MINUTE, 10, 0], MINUTE + 7), cell(0, 14, MINUTE));
    }

    #[test]
    fn a_refund_of_what_was_sent_already_is_sent_too() {
        let bucket = Kind::Bucket { rate: 1, unit: 10, window: MINUTE };
        let period = Kind::Period { start: MINUTE, end: 9 * MINUTE };
        for (kind, unit, at) in [(SLIDING, 1, MINUTE), (bucket, 10, MINUTE), (period, 1, MINUTE)] {
            let mut pending = Pending::default();
            pending.give_back(kind, at, MINUTE + 1, 2);
            assert_eq!(pending.wire(kind, MINUTE + 1).1[0], -2 * unit, "{kind:?}");
            assert_eq!(pending.on_top_of(kind, [at, 1, 0], MINUTE + 1).value, 0, "{kind:?}");
        }
        let mut late = charged(SLIDING, &[(3 * MINUTE, 1)]);
        late.give_back(SLIDING, MINUTE, 3 * MINUTE, 1);
        late.give_back(SLIDING, 2 * MINUTE + 5, 3 * MINUTE, 7);
        assert_eq!(late.wire(SLIDING, 3 * MINUTE).1[..2], [1, -7]);
    }
}
