//! The engine as whoever runs it sees it: start, reload, drain, stop.
//!
//! Callable from any thread; calls that wait block the caller, never a worker.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::bridge::Bridge;
use crate::canary;
use crate::clock::{Clock, Millis};
use crate::jose::KeysError;
use crate::key_sets::KeySets;
use crate::listener::accept::Census;
use crate::listener::bind::{self, Bound, Sharing};
use crate::listener::tls::ServerTls;
use crate::plan::{self, Plan};
use crate::problem::Problem;
use crate::run::{self, Control, Opening};
use crate::signing::KeyRing;
use crate::slow::{self, Retired, Told};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::telemetry::Telemetry;
use crate::telemetry::access_log::{self, AccessLog};
use crate::telemetry::events;
use crate::telemetry::metrics::{Format, Kind, Text};
use crate::upstream::health::report::{self, ServiceReport};
use crate::upstream::service::Service;

mod breakers;

/// Seconds for which quotas stay after their period, since workers' clocks differ a little.
const SWEPT_AFTER: i64 = 60;

pub struct Options {
    pub workers: usize,
    pub bridge: Option<Arc<dyn Bridge>>,
    /// Whether another process may listen on the same addresses; else a second one is refused its start.
    pub sharing: Sharing,
    /// Keys that are there before the first request; the name is the one that policies know them by.
    pub signing: Vec<(String, KeyRing)>,
}

/// Why nothing runs.
#[derive(Debug)]
pub enum StartError {
    Problems(Vec<Problem>),
    Bind { listener: String, address: String, error: io::Error },
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => {
                let lines: Vec<String> =
                    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
                formatter.write_str(&lines.join("\n"))
            }
            Self::Bind { address, error, .. } => write!(formatter, "cannot listen on {address}: {error}"),
            Self::Io(error) => write!(formatter, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

pub struct Engine {
    clock: Clock,
    telemetry: Arc<Telemetry>,
    current: Arc<ArcSwap<Snapshot>>,
    /// What policies keep over a reload.
    state: Arc<State>,
    workers: Vec<UnboundedSender<Control>>,
    slow: UnboundedSender<Told>,
    retired: Arc<Retired>,
    sharing: Sharing,
    process: Mutex<Process>,
}

struct Process {
    listeners: Vec<Open>,
    threads: Vec<JoinHandle<()>>,
}

/// A listener that is open on every worker.
struct Open {
    plan: plan::Listener,
    tls: Option<ServerTls>,
    bound: Option<SocketAddr>,
    census: Arc<Census>,
}

/// A listener of the next document, not yet with the workers.
struct Prepared {
    plan: plan::Listener,
    tls: Option<ServerTls>,
    bound: Option<SocketAddr>,
    census: Arc<Census>,
    openings: Vec<Opening>,
}

/// Compiles everything and serves nothing.
pub fn check(plan: Plan) -> Result<(), Vec<Problem>> {
    let clock = Clock::default();
    let telemetry =
        Telemetry::start(1, clock).map_err(|error| vec![Problem::new("", "engine.io", error.to_string())])?;
    let log = AccessLog::check(&plan.access_log);
    let state = State::new();
    let checked = match (compile(plan, None, &telemetry, &state, &[]), log) {
        (Ok(_), Ok(())) => Ok(()),
        (Ok(_), Err(problem)) => Err(vec![problem]),
        (Err(problems), log) => Err(problems.into_iter().chain(log.err()).collect()),
    };
    telemetry.stop();
    checked
}

fn compile(
    plan: Plan,
    previous: Option<&Snapshot>,
    telemetry: &Telemetry,
    state: &Arc<State>,
    open: &[Open],
) -> Result<(Snapshot, Vec<Option<ServerTls>>), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut settings = Vec::with_capacity(plan.listeners.len());
    for (index, listener) in plan.listeners.iter().enumerate() {
        match compile_tls(listener, index, open) {
            Ok(tls) => settings.push(tls),
            Err(problem) => {
                problems.push(Problem { path: format!("listeners[{index}].tls.{}", problem.path), ..problem });
            }
        }
    }
    match Snapshot::compile(plan, previous, &telemetry.registry, state) {
        Ok(snapshot) if problems.is_empty() => Ok((snapshot, settings)),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}

impl Engine {
    pub fn start(plan: Plan, options: Options) -> Result<Self, StartError> {
        events::install(events::level_from_environment()).map_err(StartError::Io)?;
        let clock = Clock::default();
        let workers = options.workers.max(1);
        let state = State::new();
        options.signing.into_iter().for_each(|(name, ring)| state.signing.put(&name, ring));
        let telemetry = Telemetry::start(workers, clock.clone()).map_err(StartError::Io)?;
        telemetry.registry.show_state(state.clone());
        let (snapshot, tls) = compile(plan, None, &telemetry, &state, &[]).map_err(StartError::Problems)?;
        let snapshot = Arc::new(snapshot);
        let log = open_log(&snapshot.plan)?;
        let prepared = prepare(&snapshot.plan, tls, &[], workers, options.sharing)?;
        let current = Arc::new(ArcSwap::new(snapshot.clone()));
        let mut threads = Vec::with_capacity(workers + 1);
        let mut controls = Vec::with_capacity(workers);
        for index in 0..workers {
            let (control, inbox) = unbounded_channel();
            let start = run::Start {
                index,
                clock: clock.clone(),
                snapshot: snapshot.clone(),
                telemetry: telemetry.clone(),
                bridge: options.bridge.clone(),
            };
            let thread = thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || run::run(start, inbox)).map_err(StartError::Io)?);
            controls.push(control);
        }
        let (slow, inbox) = unbounded_channel();
        let retired = Arc::new(Retired::default());
        let start = slow::Start {
            clock: clock.clone(),
            current: current.clone(),
            retired: retired.clone(),
            state: state.clone(),
            telemetry: telemetry.clone(),
        };
        let thread = thread::Builder::new().name("slow".into());
        threads.push(thread.spawn(move || slow::run(&start, inbox)).map_err(StartError::Io)?);
        let engine = Self {
            clock,
            telemetry,
            current,
            state,
            workers: controls,
            slow,
            retired,
            sharing: options.sharing,
            process: Mutex::new(Process { listeners: Vec::new(), threads }),
        };
        engine.telemetry.access_log.apply(log);
        engine.hand_over(&mut engine.process(), snapshot, prepared);
        Ok(engine)
    }

    /// Builds everything anew and swaps it as one. A plan with problems changes nothing.
    pub fn reload(&self, plan: Plan) -> Result<(), StartError> {
        let reloaded = self.try_reload(plan);
        if reloaded.is_err() {
            self.telemetry.registry.refused_document();
        }
        reloaded
    }

    fn try_reload(&self, plan: Plan) -> Result<(), StartError> {
        let mut process = self.process();
        let previous = self.current.load_full();
        let (snapshot, tls) = compile(plan, Some(&previous), &self.telemetry, &self.state, &process.listeners)
            .map_err(StartError::Problems)?;
        let snapshot = Arc::new(snapshot);
        let log = open_log(&snapshot.plan)?;
        let prepared = prepare(&snapshot.plan, tls, &process.listeners, self.workers.len(), self.sharing)?;
        self.telemetry.access_log.apply(log);
        self.hand_over(&mut process, snapshot, prepared);
        self.retired.push(previous);
        let _ = self.slow.send(Told::Changed);
        Ok(())
    }

    /// Gives every worker the snapshot and its sockets, and waits until all have taken them.
    fn hand_over(&self, process: &mut Process, snapshot: Arc<Snapshot>, prepared: Vec<Prepared>) {
        let mut openings: Vec<Vec<Opening>> = self.workers.iter().map(|_| Vec::new()).collect();
        process.listeners.clear();
        for listener in prepared {
            let Prepared { plan, tls, bound, census, openings: of_workers } = listener;
            for (worker, opening) in of_workers.into_iter().enumerate() {
                openings[worker].push(opening);
            }
            process.listeners.push(Open { plan, tls, bound, census });
        }
        snapshot.services.iter().for_each(Service::take_effect);
        self.current.store(snapshot.clone());
        let (taken, all_taken) = mpsc::channel();
        for (worker, openings) in self.workers.iter().zip(openings) {
            let _ = worker.send(Control::Swap { snapshot: snapshot.clone(), openings, taken: taken.clone() });
        }
        drop(taken);
        while all_taken.recv().is_ok() {}
        self.telemetry.registry.applied();
    }

    /// The listeners' names and the addresses they are bound to; UNIX sockets have none.
    pub fn addresses(&self) -> Vec<(String, Option<SocketAddr>)> {
        self.process().listeners.iter().map(|open| (open.plan.name.clone(), open.bound)).collect()
    }

    /// Every open listener, and the address it is bound to; UNIX sockets have none.
    pub fn listeners(&self) -> Vec<(plan::Listener, Option<SocketAddr>)> {
        self.process().listeners.iter().map(|open| (open.plan.clone(), open.bound)).collect()
    }

    /// Stops accepting and waits until what is open has finished, at most that long. True when all of it did.
    pub fn drain(&self, patience: Duration) -> bool {
        let (done, all_done) = mpsc::channel();
        for worker in &self.workers {
            let _ = worker.send(Control::Drain { done: done.clone() });
        }
        drop(done);
        let until = std::time::Instant::now() + patience;
        for _ in &self.workers {
            let left = until.saturating_duration_since(std::time::Instant::now());
            match all_done.recv_timeout(left) {
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
        true
    }

    /// Ends everything at once and waits for the threads.
    pub fn stop(&self) {
        for worker in &self.workers {
            let _ = worker.send(Control::Stop);
        }
        let mut process = self.process();
        process.listeners.clear();
        let threads = std::mem::take(&mut process.threads);
        drop(process);
        self.slow_stops();
        for thread in threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        self.telemetry.stop();
        events::flush();
    }

    fn slow_stops(&self) {
        self.current.store(Arc::new(Snapshot::empty(&self.telemetry.registry, &self.state)));
        let _ = self.slow.send(Told::Changed);
    }

    /// Counts a document that did not come as far as [`Engine::reload`].
    pub fn refused(&self) {
        self.telemetry.registry.refused_document();
    }

    /// What outlives a reload.
    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Prometheus text.
    pub fn metrics(&self, format: Format) -> String {
        let snapshot = self.current.load();
        self.telemetry.registry.render_with(format, |text| {
            render_panics(&snapshot.services, text);
            report::render(&snapshot, self.clock.now(), text);
            self.state.render(&snapshot.plan, text);
        })
    }

    /// The services with their targets, and what is known of these.
    pub fn report(&self) -> Vec<ServiceReport> {
        report::report(&self.current.load(), self.clock.now())
    }

    /// Keys that are to be fetched, and who waits for them.
    pub fn key_sets(&self) -> &KeySets {
        &self.state.key_sets
    }

    /// A key set was fetched. Says how many keys can be used and why the others cannot; a source that is gone takes any.
    pub fn keys_arrived(&self, source: u64, jwks: &[u8]) -> Result<(usize, Vec<String>), KeysError> {
        let set = self.state.key_sets.by_id(source);
        set.map_or(Ok((0, Vec::new())), |set| set.arrived(jwks, self.clock.now()))
    }

    /// A discovery document was fetched, on the way to the keys.
    pub fn provider_described(&self, source: u64, document: &[u8]) {
        if let Some(set) = self.state.key_sets.by_id(source) {
            set.described(document);
        }
    }

    /// A key set could not be fetched.
    pub fn keys_failed(&self, source: u64) {
        if let Some(set) = self.state.key_sets.by_id(source) {
            set.failed(self.clock.now());
        }
    }

    /// The sources whose keys never came, and that are not lazy: until they have, the gateway is not ready.
    pub fn keys_missing(&self) -> Vec<String> {
        let sources = self.state.key_sets.sources().into_iter();
        let missing = sources.filter(|set| !set.source.lazy && !set.have_come());
        missing.map(|set| set.source.url.clone()).collect()
    }

    /// Lets go of quotas whose period is over, whatever becomes of the store.
    pub fn sweep_quotas(&self) {
        let now = (self.clock.wall() / 1000) as i64 - SWEPT_AFTER;
        // What was granted while Redis did not answer is written nowhere.
        self.state.quota_shares.take_changes();
        self.state.quota_shares.sweep(now);
        self.state.quotas.sweep(now);
    }

    /// Where the canaries of the document are.
    pub fn canaries(&self) -> Vec<canary::Report> {
        let (snapshot, now) = (self.current.load(), self.clock.now());
        snapshot.canaries().map(|(canary, settings)| canary.report(now, settings)).collect()
    }

    /// Does something to the canary of a route; `None`: it has none. False: that means nothing now.
    pub fn command_canary(&self, route: &str, command: canary::Command) -> Option<bool> {
        let (snapshot, now) = (self.current.load(), self.clock.now());
        snapshot.canary(route).map(|(canary, settings)| canary.command(command, now, settings))
    }

    /// Moves the clock forward and rings what is due; for tests.
    pub fn advance(&self, by: Millis) {
        self.clock.advance(by);
        let (taken, all_taken) = mpsc::channel();
        for worker in &self.workers {
            let _ = worker.send(Control::Turn { taken: taken.clone() });
        }
        let _ = self.slow.send(Told::Turn { taken: taken.clone() });
        drop(taken);
        while all_taken.recv().is_ok() {}
    }

    /// Puts others in place of the targets of a service; `None`: what the document says. False when there is no such service.
    pub fn set_targets(&self, service: &str, targets: Option<&[plan::Target]>) -> Result<bool, Problem> {
        // A reload that is just being made would not have them.
        let _process = self.process();
        let snapshot = self.current.load_full();
        let Some(service) = snapshot.services.iter().find(|known| *known.name == *service) else { return Ok(false) };
        service.targets.replace(targets, &self.telemetry.registry, self.clock.now())?;
        let _ = self.slow.send(Told::Changed);
        Ok(true)
    }

    /// The services by name, with whether they are spoken to over TLS and the targets that they have at present.
    pub fn services(&self) -> Vec<(String, bool, Vec<plan::Target>)> {
        let services = &self.current.load().services;
        let of = |service: &Arc<Service>| (service.name.to_string(), service.tls.is_some(), service.targets.plan());
        services.iter().map(of).collect()
    }

    /// Lets every worker seem so late, beside what it is; for tests.
    pub fn inject_delay(&self, by: Millis) {
        self.state.injected_delay.store(by.saturating_mul(1000), Ordering::Relaxed);
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn render_panics(services: &[Arc<Service>], text: &mut Text) {
    let help = "Priorities of a service in which too few targets are healthy, so that all of them are used.";
    text.family("tidegate_target_panics", Kind::Gauge, help);
    for service in services {
        let set = service.targets.set();
        if set.members.len() > 1 {
            text.sample(&[("service", &service.name)], u64::from(set.panics));
        }
    }
}

/// A listener whose TLS is what it was keeps it, and with it the sessions of its clients.
fn compile_tls(listener: &plan::Listener, index: usize, open: &[Open]) -> Result<Option<ServerTls>, Problem> {
    let Some(plan) = &listener.tls else { return Ok(None) };
    let is_same = |open: &&Open| {
        open.plan.name == listener.name && open.plan.http2 == listener.http2 && open.plan.tls.as_ref() == Some(plan)
    };
    if let Some(known) = open.iter().find(is_same) {
        return Ok(known.tls.clone());
    }
    let tls = ServerTls::compile(plan, listener.http2)?;
    for warning in &tls.warnings {
        let path = format!("listeners[{index}].tls.{}", warning.path);
        tracing::warn!(path, problem = warning.message, "certificate out of its time");
    }
    Ok(Some(tls))
}

fn open_log(plan: &Plan) -> Result<access_log::Prepared, StartError> {
    AccessLog::prepare(&plan.access_log).map_err(|problem| StartError::Problems(vec![problem]))
}

/// Binds what is new; listeners that stay keep their sockets and get new settings.
fn prepare(
    plan: &Plan,
    tls: Vec<Option<ServerTls>>,
    open: &[Open],
    workers: usize,
    sharing: Sharing,
) -> Result<Vec<Prepared>, StartError> {
    let mut prepared = Vec::with_capacity(plan.listeners.len());
    for (listener, tls) in plan.listeners.iter().zip(tls) {
        let same = |open: &&Open| open.plan.name == listener.name && open.plan.address == listener.address;
        let opening = |socket| Opening { plan: listener.clone(), tls: tls.clone(), census: Arc::default(), socket };
        let (bound, census, mut openings): (_, Arc<Census>, Vec<Opening>) = match open.iter().find(same) {
            Some(known) => (known.bound, known.census.clone(), (0..workers).map(|_| opening(None)).collect()),
            None => {
                let bound = bind::bind(&listener.address, workers, sharing).map_err(|error| StartError::Bind {
                    listener: listener.name.clone(),
                    address: listener.address.clone(),
                    error,
                })?;
                let (bound, sockets): (_, Vec<run::Socket>) = match bound {
                    Bound::Tcp(sockets, address) => {
                        (Some(address), sockets.into_iter().map(run::Socket::Tcp).collect())
                    }
                    Bound::Unix(sockets) => (None, sockets.into_iter().map(run::Socket::Unix).collect()),
                };
                (bound, Arc::default(), sockets.into_iter().map(|socket| opening(Some(socket))).collect())
            }
        };
        for opening in &mut openings {
            opening.census = census.clone();
        }
        prepared.push(Prepared { plan: listener.clone(), tls, bound, census, openings });
    }
    Ok(prepared)
}
