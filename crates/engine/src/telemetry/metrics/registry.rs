//! Every series there is, found by name when a document is compiled and never on the way of a request.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::clock::Millis;
use crate::state::State;
use crate::telemetry::Wall;
use crate::telemetry::metrics::breaker::BreakerSeries;
use crate::telemetry::metrics::bulkhead::BulkheadSeries;
use crate::telemetry::metrics::call::CallSeries;
use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::limit::LimitSeries;
use crate::telemetry::metrics::listener::ListenerSeries;
use crate::telemetry::metrics::overload::OverloadSeries;
use crate::telemetry::metrics::route::RouteSeries;
use crate::telemetry::metrics::service::ServiceSeries;
use crate::telemetry::metrics::shards::Shards;
use crate::telemetry::metrics::store::StoreSeries;
use crate::telemetry::metrics::tally::{Family, Tally};
use crate::telemetry::metrics::target::TargetSeries;
use crate::telemetry::metrics::worker::WorkerPart;

/// Long enough for a scraper to read the last counts of a series that is gone.
const GRACE_MS: Millis = 5 * 60 * 1000;

/// Targets of one service that have series of their own.
const MOST_TARGETS: usize = 256;
/// The label of the others.
const OTHER_TARGETS: &str = "other";

pub struct Registry {
    workers: usize,
    pub(super) wall: Arc<Wall>,
    pub(super) started_millis: u64,
    pub(super) parts: Shards<WorkerPart>,
    routes: Table<(Box<str>, Box<str>), RouteSeries>,
    services: Table<Box<str>, ServiceSeries>,
    targets: Table<(Box<str>, Box<str>), TargetSeries>,
    listeners: Table<Box<str>, ListenerSeries>,
    limits: Table<(&'static str, Box<str>, Box<str>), LimitSeries>,
    /// By the family's name and the label.
    tallies: Table<(&'static str, Box<str>), Tally>,
    breakers: Table<Box<str>, BreakerSeries>,
    bulkheads: Table<Box<str>, BulkheadSeries>,
    /// By the route and the name of the call.
    calls: Table<(Box<str>, Box<str>), CallSeries>,
    /// Whose tables are shown with them.
    pub(super) state: OnceLock<Arc<State>>,
    /// One at most: a document has one store.
    stores: Table<(), StoreSeries>,
    /// One at most, too.
    overloads: Table<(), OverloadSeries>,
    /// Written by whoever reloads, one at a time.
    pub(super) reloads: Reloads,
    /// Added to by any thread, since it is rare.
    pub(crate) access_log_dropped: AtomicU64,
}

#[derive(Default)]
pub(super) struct Reloads {
    pub applied: Counter,
    pub refused: Counter,
    pub last_success_millis: Counter,
}

impl Registry {
    pub fn new(workers: usize, wall: Arc<Wall>) -> Self {
        Self {
            workers: workers.max(1),
            started_millis: wall.now_millis(),
            wall,
            parts: Shards::new(workers.max(1)),
            routes: Table::default(),
            services: Table::default(),
            targets: Table::default(),
            listeners: Table::default(),
            limits: Table::default(),
            tallies: Table::default(),
            breakers: Table::default(),
            bulkheads: Table::default(),
            calls: Table::default(),
            state: OnceLock::new(),
            stores: Table::default(),
            overloads: Table::default(),
            reloads: Reloads::default(),
            access_log_dropped: AtomicU64::new(0),
        }
    }

    /// Workers that count, at least one.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The series of a route: the same as long as anybody holds it, so counts go on over a reload.
    pub fn route(&self, route: &str, service: &str) -> Arc<RouteSeries> {
        let key = (route.into(), service.into());
        self.routes.get(key, || RouteSeries::new(route, service, self.workers))
    }

    pub fn service(&self, service: &str) -> Arc<ServiceSeries> {
        self.services.get(service.into(), || ServiceSeries::new(service, self.workers))
    }

    /// The series of a target. Those beyond the first of a service share one: addresses may come and go without end.
    pub fn target(&self, service: &str, target: &str) -> Arc<TargetSeries> {
        let key = |target: &str| (service.into(), target.into());
        let new = |target| move || TargetSeries::new(service, target, self.workers);
        match self.targets.has_room(&key(target), MOST_TARGETS) {
            true => self.targets.get(key(target), new(target)),
            false => self.targets.get(key(OTHER_TARGETS), new(OTHER_TARGETS)),
        }
    }

    /// The engine's time, for what is compiled.
    pub(crate) fn now(&self) -> Millis {
        self.wall.engine_millis()
    }

    pub fn listener(&self, listener: &str) -> Arc<ListenerSeries> {
        self.listeners.get(listener.into(), || ListenerSeries::new(listener, self.workers))
    }

    /// The series of a limit: the policy, where it stands, and its name.
    pub fn limit(&self, policy: &'static str, scope: &str, name: &str) -> Arc<LimitSeries> {
        let key = (policy, scope.into(), name.into());
        self.limits.get(key, || LimitSeries::new(policy, scope, name, self.workers))
    }

    /// The counters of a family for one value of its label.
    pub fn tally(&self, family: &'static Family, of: &str) -> Arc<Tally> {
        self.tallies.get((family.name, of.into()), || Tally::new(family, of, self.workers))
    }

    /// The series of a circuit breaker, by its name.
    pub fn breaker(&self, name: &str) -> Arc<BreakerSeries> {
        self.breakers.get(name.into(), || BreakerSeries::new(name, self.workers))
    }

    pub fn bulkhead(&self, name: &str) -> Arc<BulkheadSeries> {
        self.bulkheads.get(name.into(), || BulkheadSeries::new(name, self.workers))
    }

    /// The series of a call of a composition; `results`: the words of what may become of it.
    pub fn call(&self, route: &str, call: &str, results: &'static [&'static str]) -> Arc<CallSeries> {
        self.calls.get((route.into(), call.into()), || CallSeries::new(route, call, results, self.workers))
    }

    /// Shows what is kept over reloads, too.
    pub fn show_state(&self, state: Arc<State>) {
        let _ = self.state.set(state);
    }

    pub fn store(&self) -> Arc<StoreSeries> {
        self.stores.get((), || StoreSeries::new(self.workers))
    }

    pub fn overload(&self) -> Arc<OverloadSeries> {
        self.overloads.get((), || OverloadSeries::new(self.workers))
    }

    /// A document was put into effect, the first one too. Series of what it no longer has are let go.
    pub fn applied(&self) {
        self.reloads.applied.add(1);
        self.reloads.last_success_millis.set(self.wall.now_millis());
        self.sweep();
    }

    /// A document was refused.
    pub fn refused_document(&self) {
        self.reloads.refused.add(1);
    }

    pub(crate) fn worker(&self, worker: usize, count: impl FnOnce(&WorkerPart)) {
        count(self.parts.of(worker));
    }

    pub(super) fn sweep(&self) {
        let now = self.wall.engine_millis();
        self.routes.sweep(now, RouteSeries::is_unused);
        self.services.sweep(now, ServiceSeries::is_unused);
        self.targets.sweep(now, TargetSeries::is_unused);
        self.listeners.sweep(now, ListenerSeries::is_unused);
        self.limits.sweep(now, LimitSeries::is_unused);
        self.tallies.sweep(now, Tally::is_unused);
        self.breakers.sweep(now, BreakerSeries::is_unused);
        self.bulkheads.sweep(now, BulkheadSeries::is_unused);
        self.calls.sweep(now, CallSeries::is_unused);
        self.stores.sweep(now, StoreSeries::is_unused);
        self.overloads.sweep(now, OverloadSeries::is_unused);
    }

    pub(super) fn routes(&self) -> Vec<Arc<RouteSeries>> {
        self.routes.list()
    }

    pub(super) fn services(&self) -> Vec<Arc<ServiceSeries>> {
        self.services.list()
    }

    pub(super) fn targets(&self) -> Vec<Arc<TargetSeries>> {
        self.targets.list()
    }

    pub(super) fn stores(&self) -> Vec<Arc<StoreSeries>> {
        self.stores.list()
    }

    pub(super) fn overloads(&self) -> Vec<Arc<OverloadSeries>> {
        self.overloads.list()
    }

    pub(super) fn listeners(&self) -> Vec<Arc<ListenerSeries>> {
        self.listeners.list()
    }

    /// In the order of families.
    pub(super) fn tallies(&self) -> Vec<Arc<Tally>> {
        self.tallies.list()
    }

    pub(super) fn breakers(&self) -> Vec<Arc<BreakerSeries>> {
        self.breakers.list()
    }

    pub(super) fn bulkheads(&self) -> Vec<Arc<BulkheadSeries>> {
        self.bulkheads.list()
    }

    pub(super) fn calls(&self) -> Vec<Arc<CallSeries>> {
        self.calls.list()
    }

    pub(super) fn limits(&self) -> Vec<Arc<LimitSeries>> {
        self.limits.list()
    }
}

/// Series by name, in order. Its lock is taken by those who compile and those who scrape, never by a worker on a request.
struct Table<K, S>(Mutex<BTreeMap<K, Entry<S>>>);

struct Entry<S> {
    series: Arc<S>,
    /// When it was first seen that nobody holds the series any more.
    left: Option<Millis>,
}

impl<K, S> Default for Table<K, S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, S> Table<K, S> {
    fn get(&self, key: K, make: impl FnOnce() -> S) -> Arc<S> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entry(key).or_insert_with(|| Entry { series: Arc::new(make()), left: None });
        entry.left = None;
        entry.series.clone()
    }

    /// Lets go what nobody holds: at once what never counted anything, the rest after the grace.
    fn sweep(&self, now: Millis, is_unused: impl Fn(&S) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, entry| {
            if Arc::strong_count(&entry.series) > 1 {
                entry.left = None;
                return true;
            }
            let left = *entry.left.get_or_insert(now);
            !is_unused(&entry.series) && now.saturating_sub(left) < GRACE_MS
        });
    }

    fn list(&self) -> Vec<Arc<S>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.values().map(|entry| entry.series.clone()).collect()
    }
}

impl<S> Table<(Box<str>, Box<str>), S> {
    /// The key is known, or there are fewer with the same first half.
    fn has_room(&self, key: &(Box<str>, Box<str>), most: usize) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = table.range((key.0.clone(), "".into())..).take_while(|((first, _), _)| *first == key.0);
        table.contains_key(key) || alike.take(most).count() < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::telemetry::metrics::Sample;

    const SAMPLE: Sample =
        Sample { status: 200, duration_micros: 0, upstream_micros: None, request_bytes: 0, answer_bytes: 0 };

    fn registry(clock: &Clock) -> Registry {
        Registry::new(2, Arc::new(Wall::new(clock.clone())))
    }

    #[test]
    fn a_series_lives_on_over_a_reload() {
        let registry = registry(&Clock::default());
        let before = registry.route("a", "s");
        let after = registry.route("a", "s");
        assert!(Arc::ptr_eq(&before, &after));
        assert!(!Arc::ptr_eq(&before, &registry.route("a", "t")));
    }

    #[test]
    fn a_series_that_nobody_holds_goes_after_the_grace() {
        let clock = Clock::default();
        let registry = registry(&clock);
        registry.route("used", "s").observe(1, &SAMPLE);
        let held = registry.route("held", "s");
        drop(registry.route("unused", "s"));
        registry.applied();
        assert_eq!(registry.routes().len(), 2);
        clock.advance(GRACE_MS - 1000);
        registry.applied();
        assert_eq!(registry.routes().len(), 2);
        clock.advance(1001);
        registry.applied();
        assert_eq!(registry.routes().len(), 1);
        assert!(Arc::ptr_eq(&registry.routes()[0], &held));
    }

    #[test]
    fn targets_beyond_the_most_share_a_series() {
        let registry = registry(&Clock::default());
        let own: Vec<_> = (0..MOST_TARGETS).map(|index| registry.target("s", &format!("t{index}"))).collect();
        assert!(Arc::ptr_eq(&registry.target("s", "more"), &registry.target("s", "and more")));
        assert!(Arc::ptr_eq(&registry.target("s", "t7"), &own[7]));
        assert!(!Arc::ptr_eq(&registry.target("another", "more"), &registry.target("s", "more")));
    }

    #[test]
    fn a_series_that_comes_back_within_the_grace_goes_on() {
        let clock = Clock::default();
        let registry = registry(&clock);
        registry.route("a", "s").observe(0, &SAMPLE);
        registry.applied();
        clock.advance(GRACE_MS - 1);
        assert_eq!(registry.route("a", "s").read().statuses, [(200, 1)]);
    }
}
