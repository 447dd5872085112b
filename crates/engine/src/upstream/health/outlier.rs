//! What calls to one target have shown, and whether it stands out by its failures.
//!
//! The rules are those of Envoy's outlier detection: a target that fails so often in a row, or fails or is slow in so large a
//! share of its calls, is ejected for a time that grows with the number of its ejections. Beside them, a target that comes back
//! is on probation: until so many of its calls have succeeded, one failure ejects it anew.
//!
//! Counts are shared by all workers and exact. Nothing here reads a clock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::plan::PassiveCheck;

/// One target's record.
#[derive(Default)]
pub struct Outlier {
    /// Zero while all is well. Low half: failures in a row; high half: successes that its probation still wants.
    unease: AtomicU64,
    /// The calls of the present interval, see [`Counts`].
    window: AtomicU64,
    /// When the ejection ends; 0: it is not ejected.
    until: AtomicU64,
    /// What the return from this ejection asks for.
    probation: AtomicU32,
    fate: Mutex<Fate>,
}

#[derive(Default)]
struct Fate {
    /// What the time of the last ejection was multiplied by.
    ejections: u32,
    /// When it came back last.
    returned: Millis,
    /// By cause.
    counts: [u64; Cause::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    ConsecutiveFailures,
    FailureRate,
    SlowRate,
    Probation,
}

impl Cause {
    pub const ALL: [Self; 4] = [Self::ConsecutiveFailures, Self::FailureRate, Self::SlowRate, Self::Probation];

    pub fn word(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::Probation => "probation",
        }
    }
}

impl Outlier {
    /// A call succeeded, its head having come after so long. One load when all is well and no rate is asked for.
    ///
    /// A cause comes back when the target is to be ejected.
    #[inline]
    pub fn succeeded(&self, check: &PassiveCheck, now: Millis, took_ms: Millis) -> Option<Cause> {
        if self.unease.load(Relaxed) != 0 {
            self.recover();
        }
        if check.failure_rate.is_none() && check.slow_rate.is_none() {
            return None;
        }
        let slow = check.slow_rate.is_some() && took_ms >= check.slow_ms;
        let counts = self.count(check, now, false, slow);
        let stands_out = slow && counts.exceed(counts.slow, check.slow_rate, check) && !self.is_out(now);
        stands_out.then_some(Cause::SlowRate)
    }

    /// A call failed, and it was the target's fault.
    #[cold]
    pub fn failed(&self, check: &PassiveCheck, now: Millis) -> Option<Cause> {
        if self.is_out(now) {
            return None; // of the calls that were under way when it was ejected, nothing more is learnt
        }
        let before = self.unease.fetch_add(1, Relaxed);
        let in_a_row = (before as u32).saturating_add(1);
        if before >> 32 > 0 {
            return Some(Cause::Probation);
        }
        if check.consecutive_failures.is_some_and(|most| in_a_row >= most) {
            return Some(Cause::ConsecutiveFailures);
        }
        if check.failure_rate.is_none() && check.slow_rate.is_none() {
            return None;
        }
        let counts = self.count(check, now, true, false);
        counts.exceed(counts.failures, check.failure_rate, check).then_some(Cause::FailureRate)
    }

    /// Takes it out; for how long.
    pub fn eject(&self, check: &PassiveCheck, cause: Cause, now: Millis) -> Millis {
        let mut fate = self.fate();
        // One is forgotten with every interval that it has been in since.
        let since = now.saturating_sub(fate.returned) / check.interval_ms.max(1);
        fate.ejections = fate.ejections.saturating_sub(u32::try_from(since).unwrap_or(u32::MAX)).saturating_add(1);
        fate.counts[cause as usize] += 1;
        let longest = check.longest_ejection_ms.max(check.ejection_ms);
        let time = check.ejection_ms.saturating_mul(u64::from(fate.ejections)).min(longest);
        self.probation.store(check.probation, Relaxed);
        self.until.store(now.saturating_add(time).max(1), Relaxed);
        time
    }

    /// There was no room for its ejection: it has to fail as often again before it is asked for again.
    pub fn spare(&self) {
        self.unease.fetch_and(!u64::from(u32::MAX), Relaxed);
    }

    /// Ends the ejection when its time is over, or whenever with `now` at its largest; true if this call did it.
    pub fn end_if_due(&self, now: Millis) -> bool {
        let until = self.until.load(Relaxed);
        if until == 0 || now < until {
            return false;
        }
        let mut fate = self.fate();
        if self.until.compare_exchange(until, 0, Relaxed, Relaxed).is_err() {
            return false;
        }
        fate.returned = until;
        self.window.store(0, Relaxed);
        self.unease.store(u64::from(self.probation.load(Relaxed)) << 32, Relaxed);
        true
    }

    /// It is ejected at this time.
    pub fn is_out(&self, now: Millis) -> bool {
        now < self.until.load(Relaxed)
    }

    /// When its ejection ends, if it is ejected.
    pub fn until(&self) -> Option<Millis> {
        Some(self.until.load(Relaxed)).filter(|until| *until > 0)
    }

    pub fn is_on_probation(&self) -> bool {
        self.unease.load(Relaxed) >> 32 > 0
    }

    /// How often it was ejected, by cause.
    pub fn ejections(&self) -> [u64; Cause::ALL.len()] {
        self.fate().counts
    }

    #[cold]
    fn recover(&self) {
        let one_less = |unease: u64| Some((unease >> 32).saturating_sub(1) << 32);
        let _: Result<u64, u64> = self.unease.fetch_update(Relaxed, Relaxed, one_less);
    }

    /// Counts a call; what the interval has with it.
    fn count(&self, check: &PassiveCheck, now: Millis, failed: bool, slow: bool) -> Counts {
        let number = (now / check.interval_ms.max(1)) as u16;
        let counted = |word: u64| Counts::read(word).of(number).with(failed, slow);
        let before = self.window.fetch_update(Relaxed, Relaxed, |word| Some(counted(word).write()));
        counted(before.unwrap_or_else(|word| word))
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls of one interval, in one word: the interval's number and three counts of 16 bits.
///
/// When a count is full, all are halved: the rates stay, and the older half of the calls weighs half as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    number: u16,
    calls: u32,
    failures: u32,
    slow: u32,
}

impl Counts {
    fn read(word: u64) -> Self {
        let part = |shift: u32| (word >> shift) as u16;
        Self { number: part(48), calls: part(32).into(), failures: part(16).into(), slow: part(0).into() }
    }

    /// These, if they are of the interval; else none yet.
    fn of(self, number: u16) -> Self {
        if self.number == number { self } else { Self { number, calls: 0, failures: 0, slow: 0 } }
    }

    fn with(self, failed: bool, slow: bool) -> Self {
        let halve = u32::from(self.calls == u32::from(u16::MAX));
        Self {
            number: self.number,
            calls: (self.calls >> halve) + 1,
            failures: (self.failures >> halve) + u32::from(failed),
            slow: (self.slow >> halve) + u32::from(slow),
        }
    }

    fn write(self) -> u64 {
        let [calls, failures, slow] = [self.calls, self.failures, self.slow].map(u64::from);
        u64::from(self.number) << 48 | calls << 32 | failures << 16 | slow
    }

    /// So many of the calls are as large a share as is not put up with.
    fn exceed(self, part: u32, rate: Option<u32>, check: &PassiveCheck) -> bool {
        rate.is_some_and(|rate| {
            self.calls >= check.minimum_calls && u64::from(part) * 1000 >= u64::from(rate) * u64::from(self.calls)
        })
    }
}

#[cfg(test)]
mod tests;
