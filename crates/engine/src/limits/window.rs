//! Counts in windows that stand side by side from the Unix epoch on: `fixed_window`, and `sliding_window`, which also weighs
//! the window before by how much of it still lies within the last window's length.

use crate::limits::algorithm::{Cell, Decision, Micros, NEVER, Reading, share};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub amount: u64,
    pub length: Micros,
}

/// The counts of this window and of the one before.
#[derive(Clone, Copy)]
struct Counts {
    start: Micros,
    current: u64,
    previous: u64,
}

impl Counts {
    fn of(cell: Cell) -> Self {
        Self { start: cell.at, current: cell.value & 0xffff_ffff, previous: cell.value >> 32 }
    }

    fn cell(self) -> Cell {
        Cell { at: self.start, value: self.previous << 32 | self.current.min(0xffff_ffff) }
    }
}

impl Window {
    pub fn decide_fixed(&self, cell: Cell, now: Micros, cost: u64) -> Decision {
        let mut counts = self.roll(cell, now);
        let room = self.amount.saturating_sub(counts.current);
        if cost > self.amount {
            return Decision::Refuse { wait: NEVER };
        }
        if cost > room {
            return Decision::Refuse { wait: counts.start + self.length - now };
        }
        counts.current += cost;
        Decision::Pass { next: Counts { previous: 0, ..counts }.cell(), delay: 0 }
    }

    pub fn read_fixed(&self, cell: Cell, now: Micros) -> Reading {
        let counts = self.roll(cell, now);
        Reading {
            remaining: self.amount.saturating_sub(counts.current),
            reset: if counts.current == 0 { 0 } else { counts.start + self.length - now },
            used: share(counts.current, self.amount),
        }
    }

    pub fn give_back_fixed(&self, cell: Cell, charged: Micros, cost: u64) -> Cell {
        let counts = Counts::of(cell);
        match charged < counts.start {
            true => cell, // the window it was charged to is over
            false => Counts { current: counts.current.saturating_sub(cost), ..counts }.cell(),
        }
    }

    pub fn decide_sliding(&self, cell: Cell, now: Micros, cost: u64) -> Decision {
        if cost > self.amount {
            return Decision::Refuse { wait: NEVER };
        }
        let mut counts = self.roll(cell, now);
        let elapsed = self.elapsed(counts, now);
        if self.weigh(counts.previous, elapsed) + counts.current + cost > self.amount {
            let wait = self.wait(counts, cost) - elapsed;
            return Decision::Refuse { wait: wait + counts.start.saturating_sub(now) };
        }
        counts.current += cost;
        Decision::Pass { next: counts.cell(), delay: 0 }
    }

    pub fn read_sliding(&self, cell: Cell, now: Micros) -> Reading {
        let counts = self.roll(cell, now);
        let elapsed = self.elapsed(counts, now);
        let used = self.weigh(counts.previous, elapsed) + counts.current;
        let until = match (counts.current, counts.previous) {
            (0, 0) => elapsed,
            (0, _) => self.length,
            _ => self.length * 2,
        };
        Reading {
            remaining: self.amount.saturating_sub(used),
            reset: until - elapsed + counts.start.saturating_sub(now),
            used: share(used, self.amount),
        }
    }

    pub fn give_back_sliding(&self, cell: Cell, charged: Micros, now: Micros, cost: u64) -> Cell {
        let mut counts = self.roll(cell, now);
        if charged >= counts.start {
            counts.current = counts.current.saturating_sub(cost);
        } else if charged + self.length >= counts.start {
            counts.previous = counts.previous.saturating_sub(cost);
        }
        counts.cell()
    }

    /// The counts as they stand at `now`.
    fn roll(&self, cell: Cell, now: Micros) -> Counts {
        let counts = Counts::of(cell);
        let start = counts.start.max(now - now % self.length);
        match start - counts.start {
            0 => counts,
            past if past == self.length => Counts { start, current: 0, previous: counts.current },
            _ => Counts { start, current: 0, previous: 0 },
        }
    }

    fn elapsed(&self, counts: Counts, now: Micros) -> Micros {
        now.saturating_sub(counts.start).min(self.length - 1)
    }

    /// What the previous window still counts, rounded down: requests are whole.
    fn weigh(&self, previous: u64, elapsed: Micros) -> u64 {
        if previous == 0 {
            return 0;
        }
        (u128::from(previous) * u128::from(self.length - elapsed) / u128::from(self.length)) as u64
    }

    /// From the start of the window until a cost finds room.
    fn wait(&self, counts: Counts, cost: u64) -> Micros {
        match (self.amount - cost).checked_sub(counts.current) {
            Some(room) => self.length - self.overlap(counts.previous, room),
            None => self.length * 2 - self.overlap(counts.current, self.amount - cost),
        }
    }

    /// How much of a window's length may still count when its `count` must weigh no more than `room`.
    fn overlap(&self, count: u64, room: u64) -> Micros {
        let most = (u128::from(room) + 1) * u128::from(self.length) - 1;
        ((most / u128::from(count.max(1))) as u64).min(self.length)
    }
}
