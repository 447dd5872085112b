//! What probes have shown of one target.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::plan::ActiveCheck;
use crate::upstream::health::judge::Judge;

/// Part of the target: a reload finds it as it was, as long as the check is the same.
#[derive(Default)]
pub struct Probed(Mutex<Record>);

#[derive(Default)]
struct Record {
    state: Option<State>,
    passed: u64,
    failed: u64,
}

struct State {
    check: ActiveCheck,
    judge: Judge,
    /// When it is asked next.
    next: Millis,
    /// What the last probe found wrong; `None` after one that passed.
    fault: Option<Box<str>>,
    /// When that was; `None` before the first.
    at: Option<Millis>,
}

/// What is told of it.
pub struct Reading {
    pub healthy: bool,
    pub fault: Option<Box<str>>,
    pub at: Option<Millis>,
    pub against: u32,
}

impl Probed {
    /// The target is checked like this from now on. Says whether it counts as healthy, and when it is asked next.
    ///
    /// Under another check than before it begins anew.
    pub fn begin(&self, check: &ActiveCheck, now: Millis) -> (bool, Millis) {
        let mut record = self.record();
        if let Some(state) = record.state.as_ref().filter(|state| state.check == *check) {
            return (state.judge.is_healthy(), state.next);
        }
        let judge = Judge::new(check);
        record.state = Some(State { check: check.clone(), judge, next: now, fault: None, at: None });
        (check.initially_healthy, now)
    }

    /// It is not checked any more.
    pub fn end(&self) {
        self.record().state = None;
    }

    /// Takes a result, and when it is asked next; the new state, when it changed.
    pub fn take(&self, result: Result<(), Box<str>>, now: Millis, next: impl FnOnce(bool) -> Millis) -> Option<bool> {
        let mut record = self.record();
        let passed = result.is_ok();
        match passed {
            true => record.passed += 1,
            false => record.failed += 1,
        }
        let state = record.state.as_mut()?;
        let changed = state.judge.take(passed, &state.check);
        (state.fault, state.at, state.next) = (result.err(), Some(now), next(state.judge.is_healthy()));
        changed
    }

    /// `None` while it is not checked.
    pub fn read(&self) -> Option<Reading> {
        let record = self.record();
        let state = record.state.as_ref()?;
        Some(Reading {
            healthy: state.judge.is_healthy(),
            fault: state.fault.clone(),
            at: state.at,
            against: state.judge.against(),
        })
    }

    /// Probes that passed, and that failed.
    pub fn counts(&self) -> (u64, u64) {
        let record = self.record();
        (record.passed, record.failed)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Probe;

    const CHECK: ActiveCheck = ActiveCheck {
        probe: Probe::Tcp,
        port: None,
        interval_ms: 1000,
        unhealthy_interval_ms: 1000,
        jitter_percent: 0,
        timeout_ms: 100,
        healthy: 1,
        unhealthy: 1,
        initially_healthy: true,
    };

    #[test]
    fn under_the_same_check_it_goes_on_and_under_another_it_begins_anew() {
        let probed = Probed::default();
        assert_eq!(probed.begin(&CHECK, 5), (true, 5));
        assert_eq!(probed.take(Err("closed".into()), 6, |_| 1006), Some(false));
        assert_eq!(probed.begin(&CHECK, 7), (false, 1006));
        assert_eq!(probed.begin(&ActiveCheck { timeout_ms: 200, ..CHECK }, 8), (true, 8));
        assert_eq!(probed.counts(), (0, 1));
    }

    #[test]
    fn a_result_that_comes_after_the_end_changes_nothing() {
        let probed = Probed::default();
        probed.begin(&CHECK, 0);
        probed.end();
        assert_eq!(probed.take(Err("late".into()), 1, |_| 2), None);
        assert!(probed.read().is_none());
    }
}
