//! How a service is called, compiled: what a route says over what the service says.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::clock::Millis;
use crate::exchange::Request;
use crate::plan::{self, UpstreamProtocol};
use crate::state::State;
use crate::telemetry::metrics::Registry;
use crate::upstream::breaker::Breaker;
use crate::upstream::budget::Budget;
use crate::upstream::bulkhead::{Bulkhead, slots_of};
use crate::upstream::hedge::Hedge;
use crate::upstream::retry::Retry;

/// Shared by all routes to one service whose settings are equal. What must outlive a reload is found again in [`State`].
pub struct Calling {
    pub plan: plan::Calling,
    pub retry: Retry,
    /// Of all calls of the service with an equal budget; `None`: retries are bounded by their number alone.
    pub budget: Option<Arc<Budget>>,
    pub hedge: Option<Arc<Hedge>>,
    pub breaker: Option<Arc<Breaker>>,
    pub bulkhead: Option<Arc<Bulkhead>>,
}

impl Calling {
    fn compile(service: &str, plan: &plan::Calling, registry: &Registry, state: &State) -> Self {
        let budget = plan.retry.budget.filter(|_| plan.retry.attempts > 0).map(|budget| {
            let key = (Box::from(service), budget);
            state.budgets.of(&key, || Budget::new(&budget, registry.workers()))
        });
        let hedge = plan.hedging.as_ref().map(|hedging| {
            let key = (Box::from(service), hedging.clone());
            state.hedges.of(&key, || Hedge::new(hedging, registry.workers()))
        });
        let breaker = plan.circuit_breaker.as_ref().map(|breaker| {
            let make = || {
                let series = registry.breaker(&breaker.name);
                Breaker::new(breaker, registry.now(), series, state.breaker_news.clone())
            };
            state.breakers.of(breaker, make)
        });
        let bulkhead = plan.bulkhead.as_ref().map(|bulkhead| {
            let connections = slots_of(bulkhead, state);
            let make = || Bulkhead::new(bulkhead, connections, registry.now(), registry.bulkhead(&bulkhead.name));
            state.bulkheads.of(bulkhead, make)
        });
        Self { retry: Retry::new(&plan.retry), budget, hedge, breaker, bulkhead, plan: plan.clone() }
    }

    /// Of a request body so much is kept, where it may be wanted again. HTTP/1.1 cannot say that it has not looked at a request
    /// whose body it began to take, so there it matters whether the request may be sent twice.
    pub fn kept_body(&self, request: &Request, protocol: UpstreamProtocol) -> u64 {
        let may = protocol == UpstreamProtocol::H2 || self.retry.may_repeat(request, true);
        let again = self.retry.attempts > 0 && may;
        let hedges = self.hedge.as_ref().is_some_and(|hedge| hedge.takes(request));
        let own = if again || hedges { self.retry.body_bytes } else { 0 };
        self.plan.fallback.as_ref().map_or(own, |fallback| own.max(fallback.kept_body()))
    }

    /// By when the head of an answer must be there, for an attempt that begins now.
    pub fn head_due(&self, now: Millis) -> Millis {
        self.plan.try_timeout_ms.map_or(crate::clock::NEVER, |timeout| now.saturating_add(timeout))
    }
}

/// What one snapshot has compiled, so that equal settings are one.
#[derive(Default)]
pub struct Callings(RefCell<Known>);

/// By the name of the service and the settings.
type Known = FxHashMap<(Box<str>, plan::Calling), Arc<Calling>>;

impl Callings {
    pub fn of(&self, service: &str, plan: &plan::Calling, registry: &Registry, state: &State) -> Arc<Calling> {
        let key = (Box::from(service), plan.clone());
        let mut known = self.0.borrow_mut();
        known.entry(key).or_insert_with(|| Arc::new(Calling::compile(service, plan, registry, state))).clone()
    }

    /// The breakers that other gateways hear of.
    pub fn shared_breakers(&self) -> Vec<Arc<Breaker>> {
        let known = self.0.borrow();
        let breakers = known.values().filter_map(|calling| calling.breaker.as_ref());
        let mut shared: Vec<_> = breakers.filter(|breaker| breaker.settings.share).cloned().collect();
        shared.sort_by(|one, other| one.name().cmp(other.name()));
        shared.dedup_by(|one, other| Arc::ptr_eq(one, other));
        shared
    }
}
