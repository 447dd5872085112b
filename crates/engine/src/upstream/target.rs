//! A target: one address of a service, and what all workers know of it together.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::clock::Millis;
use crate::dns::Resolver;
use crate::plan::{self, Resolve};
use crate::problem::Problem;
use crate::telemetry::metrics::TargetSeries;
use crate::upstream::balance::latency::Latency;
use crate::upstream::health::{Outlier, Passive, Probed};
use crate::upstream::membership::Maker;
use crate::upstream::name::Name;
use crate::upstream::outcome::Outcome;

/// Numbers every target that was ever made: workers know their connections by it, and none is given twice.
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

/// What a failed attempt counts as at least, in microseconds of latency: a target that refuses at once is not a fast one.
const FAILED_MICROS: u64 = 1_000_000;

/// Why a target gets no requests; each bit has one writer.
pub mod health {
    /// Active checks found it unhealthy.
    pub const UNHEALTHY: u32 = 1;
    /// Its answers were so bad that it was taken out for a while.
    pub const EJECTED: u32 = 2;
    /// It is to be emptied: what runs may finish.
    pub const DRAINING: u32 = 4;
}

/// One address of a service. It lives on while anything is under way to it, whatever becomes of the service's set.
pub struct Target {
    hot: Hot,
    /// The key of this target's connections in every worker.
    pub slot: usize,
    /// As written: `host:port` or `unix:/path`; for logs and metrics only.
    pub name: Arc<str>,
    pub place: Place,
    /// When it came in, or came back to health, on the engine's clock: slow start counts from here.
    since: AtomicU64,
    /// What probes have shown of it.
    pub probed: Probed,
    /// What its calls have shown.
    pub outlier: Outlier,
    lineage: Arc<Lineage>,
    series: Arc<TargetSeries>,
}

/// What requests write, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Hot {
    in_flight: AtomicU32,
    health: AtomicU32,
    latency: Latency,
}

/// What the targets of a service have in common, over its reloads.
#[derive(Default)]
pub struct Lineage {
    /// Counts the changes of health: sets that were made before are out of date.
    epoch: AtomicU64,
    /// Judges targets by their calls, where the document has them judged.
    pub passive: ArcSwapOption<Passive>,
    /// Held by whoever ejects a target, or lets one return.
    pub ejecting: Mutex<()>,
}

impl Lineage {
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    fn changed(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }
}

pub enum Place {
    Unix(PathBuf),
    Address(SocketAddr),
    Name(Arc<Name>),
}

impl Target {
    /// The problem's path is relative to the target.
    pub fn compile(plan: &plan::Target, maker: &Maker<'_>) -> Result<Self, Problem> {
        let place = Place::parse(&plan.address, plan.resolve, maker.resolver)?;
        Ok(Self::new(&plan.address, place, maker))
    }

    pub fn new(name: &str, place: Place, maker: &Maker<'_>) -> Self {
        Self {
            hot: Hot { health: AtomicU32::new(maker.health), ..Hot::default() },
            slot: NEXT_SLOT.fetch_add(1, Relaxed),
            name: name.into(),
            place,
            since: AtomicU64::new(maker.now),
            probed: Probed::default(),
            outlier: Outlier::default(),
            lineage: maker.lineage.clone(),
            series: maker.registry.target(maker.service, name),
        }
    }

    /// An attempt goes to it. [`Target::ended`] must follow, once.
    pub fn begin(&self, worker: usize) {
        self.hot.in_flight.fetch_add(1, Relaxed);
        self.series.begun(worker);
    }

    /// An attempt is over; `micros` is how long the head of the answer took.
    pub fn ended(&self, worker: usize, outcome: Outcome, micros: u64, now: Millis) {
        self.hot.in_flight.fetch_sub(1, Relaxed);
        self.series.ended(worker, outcome);
        match outcome {
            Outcome::Answered { .. } => self.hot.latency.observe(now, micros),
            Outcome::Failed(_) => self.hot.latency.observe(now, micros.max(FAILED_MICROS)),
            // It says nothing about the target.
            Outcome::Abandoned => {}
        }
        if let Some(passive) = &*self.lineage.passive.load() {
            passive.ended(self, outcome, micros, now);
        }
    }

    /// Held by whoever ejects a target of the service.
    pub fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.lineage.ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attempts that are under way, of all workers.
    pub fn in_flight(&self) -> u32 {
        self.hot.in_flight.load(Relaxed)
    }

    /// What its answers took lately, as a moving average in microseconds that follows peaks at once; 0 while unknown.
    pub fn latency(&self, now: Millis) -> u64 {
        self.hot.latency.at(now)
    }

    /// Nobody has taken it out.
    pub fn is_usable(&self) -> bool {
        self.health() == 0
    }

    /// Bits of [`health`].
    pub fn health(&self) -> u32 {
        self.hot.health.load(Relaxed)
    }

    /// Takes the target out for one of the reasons in [`health`]. False when it was out for that already.
    pub fn take_out(&self, reason: u32) -> bool {
        let before = self.hot.health.fetch_or(reason, Relaxed);
        if before == 0 {
            self.lineage.changed();
        }
        before & reason == 0
    }

    /// Takes one of the reasons back. False when it was none. Where it was the last one, the target starts slowly again.
    pub fn bring_back(&self, reason: u32, now: Millis) -> bool {
        let before = self.hot.health.fetch_and(!reason, Relaxed);
        if before != 0 && before & !reason == 0 {
            self.since.store(now, Relaxed);
            self.lineage.changed();
        }
        before & reason != 0
    }

    /// When it came in, or came back to health.
    pub fn since(&self) -> Millis {
        self.since.load(Relaxed)
    }

    pub fn series(&self) -> &Arc<TargetSeries> {
        &self.series
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Target({} in slot {})", self.name, self.slot)
    }
}

impl Place {
    pub fn name(&self) -> Option<&Arc<Name>> {
        match self {
            Self::Name(name) => Some(name),
            Self::Unix(_) | Self::Address(_) => None,
        }
    }

    /// Of two targets with the same name: whether they are reached the same way.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self.name(), other.name()) {
            (Some(name), Some(other)) => name.resolve == other.resolve && Arc::ptr_eq(&name.resolver, &other.resolver),
            (name, other) => name.is_none() && other.is_none(),
        }
    }

    /// `host:port`, `unix:/path`, or the name of service records.
    fn parse(address: &str, resolve: Resolve, resolver: &Arc<Resolver>) -> Result<Self, Problem> {
        if let Some(path) = address.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        if let Ok(address) = address.parse() {
            return Ok(Self::Address(address));
        }
        if resolve == Resolve::Srv {
            return Ok(Self::Name(Arc::new(Name::new(address, 0, resolve, resolver))));
        }
        let fault = || Problem::new("address", "config.bad_address", "expected `host:port`");
        let (host, port) = address.rsplit_once(':').ok_or_else(fault)?;
        let port = port.parse().map_err(|_| fault())?;
        Ok(Self::Name(Arc::new(Name::new(host, port, resolve, resolver))))
    }
}
