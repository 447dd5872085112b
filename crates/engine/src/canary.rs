//! A new version of a service that gets more of the requests step by step, and none when it does worse than the old one.
//!
//! [`machine`] decides, by what the series of both services have counted; one worker looks once a second. A worker that takes a
//! request only reads the weights of its [`split`](crate::actions::split).

mod machine;
mod render;
mod verdict;

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::actions::split::Weights;
use crate::clock::Millis;
use crate::plan;
use crate::snapshot::Snapshot;
use crate::state::Tables;
use crate::telemetry::metrics::RouteSeries;
use crate::worker::Worker;

use machine::{Both, Machine, Phase, Reason};
pub use machine::{Command, Settings};
pub(crate) use render::render;

/// All of the requests, as parts that shares are written in.
pub const WHOLE: u32 = 10_000;

/// Between two looks.
const PAUSE_MS: Millis = 1000;

/// By route, services and name: a canary goes on over reloads for as long as these stay.
pub type Canaries = Tables<Names, Canary>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    pub route: String,
    pub baseline: String,
    pub service: String,
    /// Told apart by hand: another name begins anew.
    pub name: String,
}

pub struct Canary {
    names: Names,
    weights: Arc<Weights>,
    canary: Arc<RouteSeries>,
    baseline: Arc<RouteSeries>,
    /// `None` until the first look.
    course: Mutex<Course>,
}

#[derive(Default)]
struct Course {
    machine: Option<Machine>,
    /// As of the last look.
    share: u32,
    steps: usize,
    rolled_back: [u64; Reason::ALL.len()],
}

/// What is told of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub route: String,
    pub service: String,
    pub baseline: String,
    /// `advancing`, `paused`, `promoted` or `rolled_back`.
    pub phase: &'static str,
    /// Why it went back: `errors`, `latency` or `asked`.
    pub reason: Option<&'static str>,
    /// From 1.
    pub step: usize,
    pub steps: usize,
    /// Of 10,000 requests.
    pub share: u32,
    /// How long the step has lasted.
    pub step_ms: Millis,
    /// Requests of the canary and of the baseline in it.
    pub requests: (u64, u64),
}

impl Settings {
    pub fn compile(plan: &plan::Canary) -> Self {
        Self {
            steps: plan.steps.as_slice().into(),
            interval_ms: plan.interval_ms,
            minimum: plan.minimum_requests,
            errors: plan.errors,
            latency: plan.latency.as_ref().map(|latency| (latency.part, latency.ratio)),
        }
    }
}

impl Canary {
    pub fn new(names: Names, settings: &Settings, baseline: Arc<RouteSeries>, canary: Arc<RouteSeries>) -> Self {
        let weights = Arc::new(Weights::new([(&*names.baseline, WHOLE), (&*names.service, 0)].into_iter()));
        let made = Self { names, weights, canary, baseline, course: Mutex::default() };
        made.give(settings.steps.first().copied().unwrap_or(0));
        made
    }

    /// The baseline's, then the canary's.
    pub fn weights(&self) -> &Arc<Weights> {
        &self.weights
    }

    fn look(&self, now: Millis, settings: &Settings) {
        let counted = self.counted();
        let mut course = self.lock();
        let machine = course.machine.get_or_insert_with(|| Machine::new(now, counted));
        let changed = machine.look(now, counted, settings);
        self.follow(&mut course, settings, changed);
    }

    /// Does what people ask for; false where it means nothing now.
    pub fn command(&self, command: Command, now: Millis, settings: &Settings) -> bool {
        let counted = self.counted();
        let mut course = self.lock();
        let machine = course.machine.get_or_insert_with(|| Machine::new(now, counted));
        let changed = machine.command(command, now, counted);
        self.follow(&mut course, settings, changed);
        changed
    }

    pub fn report(&self, now: Millis, settings: &Settings) -> Report {
        let counted = self.counted();
        let mut course = self.lock();
        let machine = course.machine.get_or_insert_with(|| Machine::new(now, counted));
        Report {
            route: self.names.route.clone(),
            service: self.names.service.clone(),
            baseline: self.names.baseline.clone(),
            phase: machine.phase.word(),
            reason: machine.reason.map(Reason::word),
            step: machine.step.min(settings.steps.len().saturating_sub(1)) + 1,
            steps: settings.steps.len(),
            share: machine.share(settings),
            step_ms: now.saturating_sub(machine.since),
            requests: machine.seen(counted),
        }
    }

    /// Gives the canary the share that the machine says, and tells what has changed.
    fn follow(&self, course: &mut Course, settings: &Settings, changed: bool) {
        let Some(machine) = &course.machine else { return };
        let share = machine.share(settings);
        let steps = settings.steps.len();
        self.give(share);
        if changed {
            self.tell(machine, share, steps);
            if let (Phase::RolledBack, Some(reason)) = (machine.phase, machine.reason) {
                course.rolled_back[reason as usize] += 1;
            }
        }
        (course.share, course.steps) = (share, steps);
    }

    fn give(&self, share: u32) {
        self.weights.set(0, WHOLE - share.min(WHOLE));
        self.weights.set(1, share.min(WHOLE));
    }

    fn tell(&self, machine: &Machine, share: u32, steps: usize) {
        let (route, service) = (&*self.names.route, &*self.names.service);
        let share = format!("{}%", f64::from(share) / 100.0);
        let step = machine.step + 1;
        match (machine.phase, machine.reason) {
            (Phase::RolledBack, Some(reason)) => {
                tracing::warn!(route, service, reason = reason.word(), step, "canary rolled back");
            }
            (Phase::Promoted, _) => tracing::info!(route, service, share, "canary promoted"),
            (Phase::Paused, _) => tracing::info!(route, service, step, share, "canary paused"),
            _ => tracing::info!(route, service, step, steps, share, "canary advances"),
        }
    }

    fn counted(&self) -> Both {
        Both { canary: self.canary.totals(), baseline: self.baseline.totals() }
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// The canaries of its routes.
    pub fn canaries(&self) -> impl Iterator<Item = (&Arc<Canary>, &Settings)> {
        self.routes.iter().filter_map(|route| route.action.split()?.canary())
    }

    /// That of a route.
    pub fn canary(&self, route: &str) -> Option<(&Arc<Canary>, &Settings)> {
        self.canaries().find(|(canary, _)| canary.names.route == route)
    }
}

/// Looks after the canaries of the document; one worker does.
pub async fn keep(worker: Rc<Worker>) {
    loop {
        let snapshot = worker.snapshot();
        let now = worker.now();
        snapshot.canaries().for_each(|(canary, settings)| canary.look(now, settings));
        drop(snapshot);
        worker.wheel.sleep_until(now + PAUSE_MS).await;
    }
}
