//! The steps of one canary: a machine that reads no clock and counts nothing itself.

use super::verdict::{Counted, is_above, is_worse};
use crate::clock::Millis;
use crate::telemetry::metrics::Totals;

/// What the document says; shares are parts of 10,000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Shares of the requests, one after another; at least one.
    pub steps: Box<[u32]>,
    /// How long a step lasts at least.
    pub interval_ms: Millis,
    /// Requests of each side, without which nothing is decided.
    pub minimum: u64,
    /// How much more errors there may be.
    pub errors: u32,
    /// The part of the requests that is looked at (9,500: the 95th percentile), and how much slower it may be, in hundredths.
    pub latency: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// On its way.
    Advancing,
    /// Held where it is, by hand.
    Paused,
    /// The last step was passed.
    Promoted,
    RolledBack,
}

impl Phase {
    pub const ALL: [Self; 4] = [Self::Advancing, Self::Paused, Self::Promoted, Self::RolledBack];

    pub fn word(self) -> &'static str {
        match self {
            Self::Advancing => "advancing",
            Self::Paused => "paused",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Why it went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Errors,
    Latency,
    /// By hand.
    Asked,
}

impl Reason {
    pub const ALL: [Self; 3] = [Self::Errors, Self::Latency, Self::Asked];

    pub fn word(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Asked => "asked",
        }
    }
}

/// What people can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Pause,
    Resume,
    /// To the last step at once.
    Promote,
    RollBack,
    /// From the first step again.
    Restart,
}

/// What was counted of both sides since the process began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Both {
    pub canary: Totals,
    pub baseline: Totals,
}

#[derive(Debug, Clone)]
pub struct Machine {
    pub phase: Phase,
    pub reason: Option<Reason>,
    pub step: usize,
    /// When the step began.
    pub since: Millis,
    /// What was counted then, and when the first step began.
    step_from: Both,
    from: Both,
}

impl Machine {
    pub fn new(now: Millis, counted: Both) -> Self {
        Self { phase: Phase::Advancing, reason: None, step: 0, since: now, step_from: counted, from: counted }
    }

    /// The canary's share of the requests.
    pub fn share(&self, settings: &Settings) -> u32 {
        match self.phase {
            Phase::RolledBack => 0,
            Phase::Promoted => settings.steps.last().copied().unwrap_or(0),
            Phase::Advancing | Phase::Paused => settings.steps[self.step.min(settings.steps.len() - 1)],
        }
    }

    /// Looks at what was counted; true when the phase or the step has changed.
    pub fn look(&mut self, now: Millis, counted: Both, settings: &Settings) -> bool {
        if !matches!(self.phase, Phase::Advancing | Phase::Paused) {
            return false;
        }
        let canary = counted.canary.since(&self.step_from.canary);
        let baseline = self.baseline(counted, settings.minimum);
        let enough = canary.all >= settings.minimum && baseline.all >= settings.minimum;
        if enough && let Some(reason) = failing(&canary, &baseline, settings) {
            self.phase = Phase::RolledBack;
            self.reason = Some(reason);
            return true;
        }
        if self.phase == Phase::Paused || !enough || now < self.since.saturating_add(settings.interval_ms) {
            return false;
        }
        if self.step + 1 >= settings.steps.len() {
            self.phase = Phase::Promoted;
        } else {
            self.begin_step(self.step + 1, now, counted);
        }
        true
    }

    /// What the canary is held against: what the other side did in the same step, or where it got too few requests for that, since
    /// the first step.
    fn baseline(&self, counted: Both, minimum: u64) -> Totals {
        let of_step = counted.baseline.since(&self.step_from.baseline);
        if of_step.all >= minimum { of_step } else { counted.baseline.since(&self.from.baseline) }
    }

    /// Requests of the canary and of the baseline in this step.
    pub fn seen(&self, counted: Both) -> (u64, u64) {
        let canary = counted.canary.since(&self.step_from.canary);
        (canary.all, counted.baseline.since(&self.step_from.baseline).all)
    }

    fn begin_step(&mut self, step: usize, now: Millis, counted: Both) {
        self.step = step;
        self.since = now;
        self.step_from = counted;
    }

    /// False where it means nothing.
    pub fn command(&mut self, command: Command, now: Millis, counted: Both) -> bool {
        match (command, self.phase) {
            (Command::Pause, Phase::Advancing) => self.phase = Phase::Paused,
            (Command::Resume, Phase::Paused) => self.phase = Phase::Advancing,
            (Command::Promote, Phase::Advancing | Phase::Paused) => self.phase = Phase::Promoted,
            (Command::RollBack, Phase::Advancing | Phase::Paused | Phase::Promoted) => {
                self.phase = Phase::RolledBack;
                self.reason = Some(Reason::Asked);
            }
            (Command::Restart, _) => *self = Self::new(now, counted),
            _ => return false,
        }
        true
    }
}

/// What is wrong with the canary.
fn failing(canary: &Totals, baseline: &Totals, settings: &Settings) -> Option<Reason> {
    let errors = |totals: &Totals| Counted { all: totals.all, bad: totals.errors };
    if is_worse(errors(canary), errors(baseline), f64::from(settings.errors) / 10_000.0) {
        return Some(Reason::Errors);
    }
    let (quantile, ratio) = settings.latency?;
    let usual = f64::from(quantile) / 10_000.0;
    let bound = baseline.quantile_micros(usual)? * u64::from(ratio) / 100;
    // The canary's percentile is surely later than that if surely more than the rest of its requests are.
    let slow = Counted { all: canary.answered(), bad: canary.slower_than(bound) };
    is_above(slow, 1.0 - usual).then_some(Reason::Latency)
}

#[cfg(test)]
mod tests;
