//! The state machine of a circuit breaker, for one thread and without a clock.
//!
//! ```text
//!            failures in a row, a rate, Retry-After, another gateway
//!   CLOSED ----------------------------------------------------------> OPEN <---------+
//!     ^  ^                                                              | the time is over
//!     |  |  trials succeeded (no ramp)                                  v               | a trial failed
//!     |  +-------------------------------------------------------- HALF OPEN ----------+
//!     |                                                               |
//!     +--- the ramp is over --- RAMPING <--- trials succeeded --------+      RAMPING opens as CLOSED does
//! ```
//!
//! An operator forces it open or closed from everywhere, and releases it to CLOSED.
//!
//! States, windows and the decision in HALF OPEN are those of resilience4j (`CircuitBreakerStateMachine`,
//! `CircuitBreakerMetrics`) where rates decide. Failures in a row, the ramp and `Retry-After` are not there. Calls that were
//! admitted in an earlier state are not counted in the present one, where resilience4j would count them.

use std::collections::VecDeque;

use crate::clock::Millis;
use crate::plan::{BreakerRates, CircuitBreaker};
use crate::upstream::breaker::window::{Sum, Verdict, Window};

/// What a refused call is told to wait when nobody can know how long.
const SOON_MS: Millis = 1000;
/// Share of calls that a ramp begins with, in parts of a million.
const FIRST_SHARE: u64 = 100_000;
const WHOLE: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    Closed,
    Open,
    HalfOpen,
    /// Closed, and letting through a growing share of the calls.
    Ramping,
    ForcedOpen,
    ForcedClosed,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::Ramping, Self::ForcedOpen, Self::ForcedClosed];

    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Ramping => "ramping",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// Why a state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Why {
    Failures,
    FailureRate,
    SlowCallRate,
    RetryAfter,
    TrialFailed,
    TrialsSucceeded,
    TimeOver,
    RampOver,
    OtherGateway,
    Operator,
}

impl Why {
    pub const ALL: [Self; 10] = [
        Self::Failures,
        Self::FailureRate,
        Self::SlowCallRate,
        Self::RetryAfter,
        Self::TrialFailed,
        Self::TrialsSucceeded,
        Self::TimeOver,
        Self::RampOver,
        Self::OtherGateway,
        Self::Operator,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::RetryAfter => "retry_after",
            Self::TrialFailed => "trial_failed",
            Self::TrialsSucceeded => "trials_succeeded",
            Self::TimeOver => "time_over",
            Self::RampOver => "ramp_over",
            Self::OtherGateway => "other_gateway",
            Self::Operator => "operator",
        }
    }
}

/// A state followed another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub from: State,
    pub to: State,
    pub why: Why,
    /// When, on the engine's clock.
    pub at: Millis,
    /// How long it will be open.
    pub for_ms: Millis,
}

/// A call that was let through; it is given back once, with what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub(super) generation: u32,
    pub(super) trial: bool,
}

/// A call that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// After which another attempt makes sense.
    pub retry_in_ms: Millis,
    pub state: State,
}

#[derive(Debug)]
pub struct Machine {
    settings: CircuitBreaker,
    state: State,
    /// Counts the states but for the end of a ramp, which changes nothing for the calls under way.
    generation: u32,
    /// When the last failures in a row were; those that may still open it.
    failures: VecDeque<Millis>,
    window: Option<Window>,
    /// The end of OPEN; in HALF OPEN, when trials that are still under way make room for others.
    until: Millis,
    /// Trials under way in HALF OPEN, and the sum of those that ended.
    under_way: u32,
    trials: Sum,
    ramp_from: Millis,
    ramp_credit: u64,
    changes: Vec<Change>,
}

impl Machine {
    pub fn new(settings: CircuitBreaker, now: Millis) -> Self {
        let window = settings.rates.as_ref().map(|rates| match rates.window_calls {
            Some(calls) => Window::of_calls(calls),
            None => Window::of_time(settings.window_ms, now),
        });
        Self {
            settings,
            state: State::Closed,
            generation: 0,
            failures: VecDeque::new(),
            window,
            until: 0,
            under_way: 0,
            trials: Sum::default(),
            ramp_from: 0,
            ramp_credit: 0,
            changes: Vec::new(),
        }
    }

    pub fn settings(&self) -> &CircuitBreaker {
        &self.settings
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// When OPEN ends; only then is it of use to others.
    pub fn until(&self) -> Millis {
        self.until
    }

    /// Whether nothing is known that a success would change.
    pub fn is_quiet(&self) -> bool {
        self.state == State::ForcedClosed
            || (self.state == State::Closed && self.window.is_none() && self.failures.is_empty())
    }

    /// What has changed since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Asks for one call.
    pub fn admit(&mut self, now: Millis) -> Result<Admission, Refused> {
        self.look(now);
        match self.state {
            State::Closed | State::ForcedClosed => Ok(self.admission(false)),
            State::Open => self.refuse(self.until - now),
            State::HalfOpen => self.admit_trial(),
            State::Ramping => self.admit_in_ramp(now),
            State::ForcedOpen => self.refuse(self.settings.timeout_ms),
        }
    }

    /// Lets the time have its effect.
    pub fn look(&mut self, now: Millis) {
        match self.state {
            State::Open if now >= self.until => {
                self.under_way = 0;
                self.trials = Sum::default();
                self.until = now.saturating_add(self.settings.timeout_ms);
                self.change(State::HalfOpen, Why::TimeOver, now);
            }
            // Whoever holds a trial and does not get on, such as a client with its body, must not keep all others out.
            State::HalfOpen if now >= self.until => {
                self.under_way = 0;
                self.until = now.saturating_add(self.settings.timeout_ms);
            }
            State::Ramping if now.saturating_sub(self.ramp_from) >= self.settings.ramp_ms => {
                self.note(State::Closed, Why::RampOver, now);
                self.state = State::Closed;
            }
            _ => {}
        }
    }

    fn admission(&self, trial: bool) -> Admission {
        Admission { generation: self.generation, trial }
    }

    fn refuse(&self, retry_in_ms: Millis) -> Result<Admission, Refused> {
        Err(Refused { retry_in_ms, state: self.state })
    }

    /// As many trials as are needed for a decision, and no more.
    fn admit_trial(&mut self) -> Result<Admission, Refused> {
        let needed = match self.deciding_rates() {
            Some(_) => self.settings.half_open_calls,
            None => self.settings.success_threshold,
        };
        if self.under_way >= self.settings.half_open_calls || self.under_way + self.trials.calls >= needed {
            return self.refuse(SOON_MS);
        }
        self.under_way += 1;
        Ok(self.admission(true))
    }

    /// A share that grows evenly; spread over the calls, not drawn by lot.
    fn admit_in_ramp(&mut self, now: Millis) -> Result<Admission, Refused> {
        let passed = now.saturating_sub(self.ramp_from);
        self.ramp_credit += FIRST_SHARE + (WHOLE - FIRST_SHARE) * passed / self.settings.ramp_ms.max(1);
        if self.ramp_credit < WHOLE {
            return self.refuse(SOON_MS);
        }
        self.ramp_credit -= WHOLE;
        Ok(self.admission(false))
    }

    /// The rates, where they alone decide over trials: a single failure opens it again where failures in a row count.
    fn deciding_rates(&self) -> Option<&BreakerRates> {
        self.settings.rates.as_ref().filter(|_| self.settings.failure_threshold.is_none())
    }

    /// A call ended.
    pub fn record(&mut self, admission: Admission, verdict: Verdict, now: Millis) {
        self.look(now);
        if admission.generation != self.generation {
            return; // it speaks of a time before this state
        }
        match self.state {
            State::Closed | State::Ramping => self.record_call(verdict, now),
            State::HalfOpen if admission.trial => {
                self.under_way = self.under_way.saturating_sub(1);
                self.record_trial(verdict, now);
            }
            // A trial that had begun well, and broke off.
            State::HalfOpen if verdict.failed => self.open(Why::TrialFailed, self.settings.timeout_ms, now),
            State::HalfOpen | State::Open | State::ForcedOpen | State::ForcedClosed => {}
        }
    }

    /// A call ended that says nothing of the service: its client left.
    pub fn release(&mut self, admission: Admission) {
        if admission.trial && admission.generation == self.generation && self.state == State::HalfOpen {
            self.under_way = self.under_way.saturating_sub(1);
        }
    }

    /// What a trial is held as once its answer has begun well: counted already, and able to fail still.
    pub fn after_trial(&self) -> Admission {
        self.admission(false)
    }

    fn record_call(&mut self, verdict: Verdict, now: Millis) {
        if let Some(threshold) = self.settings.failure_threshold {
            if verdict.failed {
                if self.failures.len() >= threshold as usize {
                    self.failures.pop_front();
                }
                self.failures.push_back(now);
            } else {
                self.failures.clear();
            }
        }
        let sum = self.window.as_mut().map(|window| window.add(verdict, now));
        if let Some(why) = self.in_a_row(now).or_else(|| self.by_rate(sum?, u32::MAX)) {
            self.open(why, self.settings.timeout_ms, now);
        }
    }

    fn in_a_row(&self, now: Millis) -> Option<Why> {
        let threshold = self.settings.failure_threshold?;
        let first = self.failures.front()?;
        let enough = self.failures.len() >= threshold as usize;
        (enough && now.saturating_sub(*first) <= self.settings.window_ms).then_some(Why::Failures)
    }

    /// The rate that is reached, if one is; of fewer calls than the minimum none is reckoned. `most`: as many calls as
    /// there can be.
    fn by_rate(&self, sum: Sum, most: u32) -> Option<Why> {
        let rates = self.settings.rates.as_ref()?;
        if sum.calls < minimum(rates, most) {
            return None;
        }
        let reached = |share: Option<u32>, part| share.is_some_and(|share| sum.reaches(part, share));
        if reached(rates.failure, sum.failed) {
            return Some(Why::FailureRate);
        }
        reached(rates.slow, sum.slow).then_some(Why::SlowCallRate)
    }

    fn record_trial(&mut self, verdict: Verdict, now: Millis) {
        self.trials.add(verdict);
        let Some(rates) = self.deciding_rates() else {
            if verdict.failed {
                self.open(Why::TrialFailed, self.settings.timeout_ms, now);
            } else if self.trials.calls >= self.settings.success_threshold {
                // Else a service that is slow and does not fail would be closed again after each rest.
                match self.trials_are_slow() {
                    true => self.open(Why::SlowCallRate, self.settings.timeout_ms, now),
                    false => self.close(now),
                }
            }
            return;
        };
        let most = self.settings.half_open_calls;
        if self.trials.calls < minimum(rates, most) {
            return;
        }
        match self.by_rate(self.trials, most) {
            Some(why) => self.open(why, self.settings.timeout_ms, now),
            None => self.close(now),
        }
    }

    fn trials_are_slow(&self) -> bool {
        let share = self.settings.rates.as_ref().and_then(|rates| rates.slow);
        share.is_some_and(|share| self.trials.reaches(self.trials.slow, share))
    }

    /// The service said how long it wants to be left alone. Holds for what was admitted before, too.
    pub fn retry_after(&mut self, wait_ms: Millis, now: Millis) {
        let Some(most) = self.settings.retry_after_ms else { return };
        let wait_ms = wait_ms.min(most);
        match self.state {
            _ if wait_ms == 0 => {}
            State::Closed | State::Ramping | State::HalfOpen => self.open(Why::RetryAfter, wait_ms, now),
            State::Open => self.until = self.until.max(now + wait_ms),
            State::ForcedOpen | State::ForcedClosed => {}
        }
    }

    /// Another gateway's breaker on the same service opened.
    pub fn opened_elsewhere(&mut self, for_ms: Millis, now: Millis) {
        self.look(now);
        if matches!(self.state, State::Closed | State::Ramping | State::HalfOpen) {
            let most = self.settings.timeout_ms.max(self.settings.retry_after_ms.unwrap_or(0));
            self.open(Why::OtherGateway, for_ms.min(most), now);
        }
    }

    /// An operator decides.
    pub fn force(&mut self, open: bool, now: Millis) {
        let to = if open { State::ForcedOpen } else { State::ForcedClosed };
        if self.state != to {
            self.change(to, Why::Operator, now);
        }
    }

    /// An operator decides no more: it begins anew, closed. Ends OPEN, too.
    pub fn release_force(&mut self, now: Millis) {
        if self.state != State::Closed {
            self.reset();
            self.change(State::Closed, Why::Operator, now);
        }
    }

    fn open(&mut self, why: Why, for_ms: Millis, now: Millis) {
        self.reset();
        self.until = now.saturating_add(for_ms);
        self.change(State::Open, why, now);
    }

    fn close(&mut self, now: Millis) {
        self.reset();
        if self.settings.ramp_ms == 0 {
            self.change(State::Closed, Why::TrialsSucceeded, now);
            return;
        }
        self.ramp_from = now;
        // The first call goes through.
        self.ramp_credit = WHOLE - FIRST_SHARE;
        self.change(State::Ramping, Why::TrialsSucceeded, now);
    }

    fn reset(&mut self) {
        self.failures.clear();
        if let Some(window) = &mut self.window {
            window.clear();
        }
    }

    fn change(&mut self, to: State, why: Why, now: Millis) {
        self.note(to, why, now);
        self.state = to;
        self.generation = self.generation.wrapping_add(1);
    }

    fn note(&mut self, to: State, why: Why, now: Millis) {
        let for_ms = if to == State::Open { self.until.saturating_sub(now) } else { 0 };
        self.changes.push(Change { from: self.state, to, why, at: now, for_ms });
    }
}

/// A window of fewer calls than the minimum decides when it is full.
fn minimum(rates: &BreakerRates, most: u32) -> u32 {
    rates.minimum_calls.min(most).min(rates.window_calls.unwrap_or(u32::MAX)).max(1)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod resilience4j;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use tests::settings as settings_of_tests;
