//! `sliding_log`: the time of every request that still counts, so that no window wherever it begins holds more than the limit.

use std::collections::VecDeque;

use crate::limits::algorithm::{Micros, NEVER, Reading, share};
use crate::limits::window::Window;

/// The times of what was charged, oldest first; a cost of three stands there three times.
#[derive(Debug, Default)]
pub struct Log {
    stamps: VecDeque<Micros>,
}

impl Log {
    pub const EMPTY: Self = Self { stamps: VecDeque::new() };

    /// `None` passes; else the wait.
    pub fn decide(&self, window: Window, now: Micros, cost: u64) -> Option<Micros> {
        if cost > window.amount {
            return Some(NEVER);
        }
        let at = now.max(self.newest());
        let first = self.expired(window, at);
        let count = self.stamps.len() - first;
        let over = (count as u64 + cost).saturating_sub(window.amount);
        // The wait is until the last of those that are in the way has expired.
        (over > 0).then(|| self.stamps[first + over as usize - 1] + window.length - now)
    }

    pub fn charge(&mut self, window: Window, now: Micros, cost: u64) {
        let now = now.max(self.newest());
        self.stamps.drain(..self.expired(window, now));
        self.stamps.extend(std::iter::repeat_n(now, cost as usize));
    }

    pub fn read(&self, window: Window, now: Micros) -> Reading {
        let at = now.max(self.newest());
        let count = (self.stamps.len() - self.expired(window, at)) as u64;
        Reading {
            remaining: window.amount.saturating_sub(count),
            reset: if count == 0 { 0 } else { self.newest() + window.length - now },
            used: share(count, window.amount),
        }
    }

    /// Takes out what was charged at `charged`, as far as it is still there.
    pub fn give_back(&mut self, charged: Micros, cost: u64) {
        for _ in 0..cost {
            match self.stamps.iter().rposition(|&stamp| stamp <= charged) {
                Some(index) if self.stamps[index] == charged => drop(self.stamps.remove(index)),
                _ => return,
            }
        }
    }

    pub fn len(&self) -> usize {
        self.stamps.len()
    }

    /// When the last charge was entered.
    pub fn newest(&self) -> Micros {
        self.stamps.back().copied().unwrap_or(0)
    }

    /// The clock was set back: all entries go back with it.
    pub fn set_back(&mut self, now: Micros) {
        let by = self.newest().saturating_sub(now);
        self.stamps.iter_mut().for_each(|stamp| *stamp = stamp.saturating_sub(by));
    }

    /// How many no longer count; an entry counts for less than a window's length.
    fn expired(&self, window: Window, now: Micros) -> usize {
        self.stamps.partition_point(|stamp| stamp.saturating_add(window.length) <= now)
    }
}
