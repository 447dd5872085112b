//! A circuit breaker as all workers share it.
//!
//! While it is closed and all goes well, a call costs two loads of one word that nobody writes. Everything else happens under
//! one lock, which is never held over a wait: so decisions are exact, whichever worker a call ended on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::plan::CircuitBreaker;
use crate::respond::{Code, Failure};
use crate::telemetry::metrics::BreakerSeries;
use crate::upstream::breaker::machine::{Admission, Change, Machine, Refused, State};
use crate::upstream::breaker::news::{BreakerNews, News};
use crate::upstream::breaker::window::Verdict;

pub struct Breaker {
    pub settings: CircuitBreaker,
    word: Word,
    machine: Mutex<Machine>,
    /// Counts the times it opened by itself, for those that share it; and until when it then was open.
    opened: Mutex<Opened>,
    series: Arc<BreakerSeries>,
    news: Arc<News>,
}

/// What the other gateways are to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opened {
    pub count: u64,
    pub until: Millis,
}

/// State and generation of the machine, for those that need no more; on a cache line of its own.
#[repr(align(64))]
struct Word(AtomicU64);

/// `generation << 8 | state << 1 | quiet`
fn word(machine: &Machine) -> u64 {
    u64::from(machine.generation()) << 8 | (machine.state() as u64) << 1 | u64::from(machine.is_quiet())
}

fn is_closed(word: u64) -> bool {
    let state = (word & 0xff) >> 1;
    state == State::Closed as u64 || state == State::ForcedClosed as u64
}

fn is_quiet(word: u64) -> bool {
    word & 1 == 1
}

fn generation(word: u64) -> u32 {
    (word >> 8) as u32
}

impl Breaker {
    pub fn new(settings: &CircuitBreaker, now: Millis, series: Arc<BreakerSeries>, news: Arc<News>) -> Self {
        let machine = Machine::new(settings.clone(), now);
        series.begun();
        Self {
            settings: settings.clone(),
            word: Word(AtomicU64::new(word(&machine))),
            machine: Mutex::new(machine),
            opened: Mutex::default(),
            series,
            news,
        }
    }

    /// The service's name, or `service/route` where a route has a breaker of its own.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether a call would be refused now for as long as a known time; looks only. For those that are about to queue.
    pub fn is_open(&self, now: Millis) -> Option<Refused> {
        if is_closed(self.word.0.load(Ordering::Acquire)) {
            return None;
        }
        let machine = self.lock();
        match machine.state() {
            State::Open if now < machine.until() => {
                Some(Refused { retry_in_ms: machine.until() - now, state: State::Open })
            }
            State::ForcedOpen => Some(Refused { retry_in_ms: self.settings.timeout_ms, state: State::ForcedOpen }),
            _ => None,
        }
    }

    /// Asks for one call.
    pub fn admit(self: &Arc<Self>, now: Millis, worker: usize) -> Result<Permit, Refused> {
        let word = self.word.0.load(Ordering::Acquire);
        let admission = if is_closed(word) {
            Ok(Admission { generation: generation(word), trial: false })
        } else {
            self.change(|machine| machine.admit(now))
        };
        match admission {
            Ok(admission) => Ok(Permit { breaker: self.clone(), admission, stage: Stage::Asked }),
            Err(refused) => {
                self.refused(worker);
                Err(refused)
            }
        }
    }

    /// A call was refused because of what [`Breaker::is_open`] said.
    pub fn refused(&self, worker: usize) {
        self.series.refused(worker);
    }

    fn record(&self, admission: Admission, verdict: Verdict, now: Millis) {
        let word = self.word.0.load(Ordering::Acquire);
        if generation(word) != admission.generation || (is_quiet(word) && !verdict.failed) {
            return;
        }
        self.change(|machine| machine.record(admission, verdict, now));
    }

    fn release(&self, admission: Admission) {
        if admission.trial {
            self.change(|machine| machine.release(admission));
        }
    }

    pub fn opened_elsewhere(&self, for_ms: Millis, now: Millis) {
        self.change(|machine| machine.opened_elsewhere(for_ms, now));
    }

    /// An operator forces it open or closed; `None`: no more.
    pub fn force(&self, open: Option<bool>, now: Millis) {
        self.change(|machine| match open {
            Some(open) => machine.force(open, now),
            None => machine.release_force(now),
        });
    }

    /// The state, and how much longer it is open.
    pub fn state(&self, now: Millis) -> (State, Millis) {
        let machine = self.lock();
        let left = if machine.state() == State::Open { machine.until().saturating_sub(now) } else { 0 };
        (machine.state(), left)
    }

    /// How often it opened by itself, and until when.
    pub fn opened(&self) -> Opened {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the machine do something, and tells of what changed by it, in order.
    fn change<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.lock();
        let result = act(&mut machine);
        self.word.0.store(word(&machine), Ordering::Release);
        for change in machine.take_changes() {
            self.tell(change, &machine);
        }
        result
    }

    /// Changes are rare, and told under the lock, so that nobody hears of them in another order.
    fn tell(&self, change: Change, machine: &Machine) {
        self.series.changed(change.to, change.why);
        if change.to == State::Open && change.why != super::Why::OtherGateway {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            *opened = Opened { count: opened.count + 1, until: machine.until() };
        }
        let (breaker, reason, from) = (self.name(), change.why.word(), change.from.word());
        match change.to {
            State::Open => tracing::warn!(breaker, reason, from, for_ms = change.for_ms, "circuit breaker opened"),
            State::ForcedOpen => tracing::warn!(breaker, reason, from, "circuit breaker forced open"),
            to => tracing::info!(breaker, reason, from, to = to.word(), "circuit breaker changed"),
        }
        if let Some(callback) = &self.settings.on_change {
            self.news.push(BreakerNews { breaker: self.name().into(), change, handler: callback.handler.id });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts_status(&self, status: u16) -> bool {
        self.settings.count.statuses.iter().any(|range| range.contains(status))
    }

    fn counts(&self, code: Code) -> bool {
        let count = &self.settings.count;
        match code {
            Code::UpstreamUnresolved
            | Code::UpstreamConnectFailed
            | Code::UpstreamConnectTimeout
            | Code::UpstreamTlsFailed => count.connect_failure,
            Code::UpstreamReset | Code::UpstreamClosed => count.reset,
            Code::UpstreamTimeout | Code::UpstreamWriteTimeout | Code::Timeout => count.timeout,
            Code::UpstreamMalformed | Code::UpstreamHeadTooLarge | Code::UpstreamBodyTooLarge => count.malformed,
            // The client, or the gateway itself.
            _ => false,
        }
    }

    fn is_slow(&self, micros: u64) -> bool {
        self.settings.rates.as_ref().is_some_and(|rates| micros > rates.slow_call_ms * 1000)
    }
}

impl Refused {
    /// What the client is told.
    pub fn failure(&self, breaker: &str) -> Failure {
        let word = self.state.word();
        Failure::with(Code::CircuitOpen, format_args!("circuit breaker {breaker} is {word}"))
    }
}

/// One call that was let through. Whoever drops it without a word gives it back: it says nothing of the service.
pub struct Permit {
    breaker: Arc<Breaker>,
    admission: Admission,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    /// The answer has begun well; when it has ended it counts.
    Answered {
        slow: bool,
        at: Millis,
    },
    /// A trial whose answer has begun well: a stream may last for hours, and trials decide now.
    Tried,
    Over,
}

impl Permit {
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Whether a `Retry-After` of this status is looked at.
    pub fn obeys(&self, status: u16) -> bool {
        self.breaker.settings.retry_after_ms.is_some() && matches!(status, 429 | 503)
    }

    /// The head of the answer is there, so long after the call began.
    pub fn answered(&mut self, status: u16, retry_after_ms: Option<Millis>, micros: u64, now: Millis) {
        let breaker = &self.breaker;
        if let Some(wait_ms) = retry_after_ms.filter(|_| self.obeys(status)) {
            self.stage = Stage::Over;
            breaker.release(self.admission);
            breaker.change(|machine| machine.retry_after(wait_ms, now));
            return;
        }
        let verdict = Verdict { failed: breaker.counts_status(status), slow: breaker.is_slow(micros) };
        if verdict.failed {
            self.stage = Stage::Over;
            breaker.record(self.admission, verdict, now);
        } else if self.admission.trial {
            self.stage = Stage::Tried;
            self.admission = breaker.change(|machine| {
                machine.record(self.admission, verdict, now);
                machine.after_trial()
            });
        } else {
            self.stage = Stage::Answered { slow: verdict.slow, at: now };
        }
    }

    /// No answer came, or it broke off.
    pub fn failed(&mut self, code: Code, micros: u64, now: Millis) {
        if !self.breaker.counts(code) {
            return self.left();
        }
        let slow = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return,
            Stage::Asked => self.breaker.is_slow(micros),
            Stage::Answered { slow, .. } => slow,
            Stage::Tried => false,
        };
        self.breaker.record(self.admission, Verdict { failed: true, slow }, now);
    }

    /// The answer is complete. Counts by the time of its head, which saves a look at the clock.
    pub fn ended(&mut self) {
        if let Stage::Answered { slow, at } = self.stage {
            self.breaker.record(self.admission, Verdict { failed: false, slow }, at);
        }
        self.stage = Stage::Over;
    }

    /// Nobody waits for the rest: what has begun well counts as that, what has not begun for nothing.
    fn left(&mut self) {
        match self.stage {
            Stage::Asked => self.breaker.release(self.admission),
            Stage::Answered { .. } => self.ended(),
            Stage::Tried | Stage::Over => {}
        }
        self.stage = Stage::Over;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.left();
    }
}

#[cfg(test)]
mod tests;
