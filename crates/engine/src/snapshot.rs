//! The compiled plan, swapped as one.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::actions::Action;
use crate::credentials::document::Credentials;
use crate::dns::Resolver;
use crate::identity::{Consumer, Consumers};
use crate::network::Networks;
use crate::overload::{Overload, Shed};
use crate::owned::Owned;
use crate::pipeline::{Context, Pipeline};
use crate::plan::{self, Plan};
pub use crate::problem::Problem;
use crate::redis::Store;
use crate::routing::Router;
use crate::state::State;
use crate::telemetry::metrics::{Registry, RouteSeries};
use crate::upstream::breaker::Breaker;
use crate::upstream::calling::Calling;
use crate::upstream::carried::Written;
use crate::upstream::protection;
use crate::upstream::service::Service;

/// Everything a request needs to be decided, immutable.
pub struct Snapshot {
    pub plan: Plan,
    pub router: Router,
    /// In the plan's order.
    pub routes: Vec<Route>,
    pub services: Vec<Arc<Service>>,
    /// How each of them is called by those who say nothing else.
    pub callings: Vec<Arc<Calling>>,
    /// Circuit breakers that other gateways hear of.
    pub shared_breakers: Vec<Arc<Breaker>>,
    pub trusted_proxies: Networks,
    pub consumers: Arc<Consumers>,
    pub credentials: Credentials,
    /// Headers that only the gateway may set.
    pub owned: Owned,
    /// Names that no trailer of a client may have.
    pub trailers: Arc<Owned>,
    /// What gateways share.
    pub redis: Option<Arc<Store>>,
    /// What is refused when there is too much to do.
    pub overload: Option<Arc<Overload>>,
    /// Looks names of services up.
    pub resolver: Arc<Resolver>,
    /// For requests that match no route.
    pub unrouted: Pipeline,
    pub unrouted_series: Arc<RouteSeries>,
}

pub struct Route {
    pub name: Box<str>,
    pub action: Action,
    pub pipeline: Pipeline,
    /// What its policies write that calls made for it get as well.
    pub written: Written,
    /// Whether a request of it goes on while the gateway is overloaded.
    pub shed: Option<Arc<Shed>>,
    pub timeout_ms: Option<u64>,
    pub body_bytes: u64,
    pub series: Arc<RouteSeries>,
}

/// Services by name, with their places in the snapshot.
pub type ServiceIndex<'a> = FxHashMap<&'a str, (usize, &'a Arc<Service>)>;

impl Snapshot {
    /// Compiles a plan; all problems at once. What did not change since `previous` (services with their connections and
    /// addresses, compiled patterns) is taken over from it.
    pub fn compile(
        plan: Plan,
        previous: Option<&Snapshot>,
        registry: &Registry,
        state: &Arc<State>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let trusted_proxies = Networks::parse(&plan.trusted_proxies).unwrap_or_else(|(index, message)| {
            problems.push(Problem::new(format!("trusted_proxies[{index}]"), "config.bad_network", message));
            Networks::default()
        });
        let redis = compile_redis(&plan, previous, registry).unwrap_or_else(|problem| {
            problems.push(Problem { path: format!("redis.{}", problem.path), ..problem });
            None
        });
        let resolver = compile_resolver(&plan, previous).unwrap_or_else(|problem| {
            problems.push(problem);
            Arc::new(Resolver::of_nothing())
        });
        let services = compile_services(&plan, previous, &resolver, registry, state, &mut problems);
        let by_name: ServiceIndex<'_> =
            services.iter().enumerate().map(|(index, service)| (&*service.name, (index, service))).collect();
        let nobody = Arc::default();
        let context =
            Context::new(registry, state, &by_name, &nobody).with_networks(&plan.networks).with_redis(redis.as_ref());
        let consumers = Arc::new(compile_consumers(&plan, &context, &mut problems));
        let credentials = Credentials::compile(&plan, &consumers, &mut problems);
        let mut owned = context.owned.into_inner();
        let overload = compile_overload(&plan, registry, state, &mut problems);
        let context = Context::new(registry, state, &by_name, &consumers)
            .with_networks(&plan.networks)
            .with_redis(redis.as_ref())
            .with_overload(overload.as_ref());
        let callings = services.iter().map(|service| context.calling(&service.name, &service.plan.calling)).collect();
        let mut routes = Vec::with_capacity(plan.routes.len());
        for (index, route) in plan.routes.iter().enumerate() {
            match Route::compile(route, &context) {
                Ok(route) => routes.push(route),
                Err(found) => problems.extend(under(found, &format!("routes[{index}]."))),
            }
        }
        let router = match Router::compile(&plan.routes, previous.map(|previous| &previous.router)) {
            Ok(router) => router,
            Err(found) => {
                problems.extend(found);
                return Err(problems);
            }
        };
        let unrouted = Pipeline::compile(&plan.policies, &context).unwrap_or_else(|found| {
            problems.extend(found);
            Pipeline::default()
        });
        problems.extend(protection::problems(&plan));
        let shared_breakers = context.callings.shared_breakers();
        owned.append(&mut context.owned.borrow_mut());
        if !problems.is_empty() {
            return Err(problems);
        }
        let unrouted_series = registry.route("", "");
        let trailers = Arc::new(Owned::in_trailers(&plan, &owned));
        let owned = Owned::new(owned);
        Ok(Self {
            plan,
            router,
            routes,
            services,
            callings,
            shared_breakers,
            trusted_proxies,
            consumers,
            credentials,
            owned,
            trailers,
            redis,
            overload,
            resolver,
            unrouted,
            unrouted_series,
        })
    }
}

/// A store that is what it was keeps its connections, its breaker and what it knows of the other gateways.
fn compile_redis(plan: &Plan, previous: Option<&Snapshot>, registry: &Registry) -> Result<Option<Arc<Store>>, Problem> {
    let Some(plan) = &plan.redis else { return Ok(None) };
    match previous.and_then(|previous| previous.redis.as_ref()).filter(|known| known.plan == *plan) {
        Some(same) => Ok(Some(same.clone())),
        None => Store::compile(plan, registry).map(|store| Some(Arc::new(store))),
    }
}

fn compile_overload(
    plan: &Plan,
    registry: &Registry,
    state: &State,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Overload>> {
    let compiled = Overload::compile(plan.overload.as_ref()?, registry, state);
    compiled.map(Arc::new).map_err(|problem| problems.push(problem)).ok()
}

/// A resolver that is what it was stays, and with it what services know of their names.
fn compile_resolver(plan: &Plan, previous: Option<&Snapshot>) -> Result<Arc<Resolver>, Problem> {
    match previous.map(|previous| &previous.resolver).filter(|known| known.plan == plan.resolver) {
        Some(same) => Ok(same.clone()),
        None => Resolver::compile(&plan.resolver)
            .map(Arc::new)
            .map_err(|problem| Problem { path: format!("resolver.{}", problem.path), ..problem }),
    }
}

fn compile_consumers(plan: &Plan, context: &Context<'_>, problems: &mut Vec<Problem>) -> Consumers {
    let compile = |(index, consumer): (usize, &plan::Consumer)| {
        let policies: &[plan::Policy] = if consumer.enabled { &consumer.policies } else { &[] };
        let pipeline = Pipeline::compile(policies, context).unwrap_or_else(|found| {
            problems.extend(under(found, &format!("consumers[{index}].")));
            Pipeline::default()
        });
        Consumer {
            name: consumer.name.as_str().into(),
            enabled: consumer.enabled,
            tier: consumer.tier.as_deref().map(Into::into),
            tags: consumer.tags.iter().map(|tag| tag.as_str().into()).collect(),
            pipeline,
        }
    };
    Consumers::new(plan.consumers.iter().enumerate().map(compile))
}

fn compile_services(
    plan: &Plan,
    previous: Option<&Snapshot>,
    resolver: &Arc<Resolver>,
    registry: &Registry,
    state: &State,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<Service>> {
    let known: FxHashMap<&str, &Arc<Service>> =
        previous.iter().flat_map(|previous| &previous.services).map(|service| (&*service.name, service)).collect();
    let mut services = Vec::with_capacity(plan.services.len());
    for (index, service) in plan.services.iter().enumerate() {
        if let Some(same) = known
            .get(service.name.as_str())
            .filter(|known| known.plan == *service && Arc::ptr_eq(known.targets.resolver(), resolver))
        {
            services.push(Arc::clone(same));
            continue;
        }
        let before = known.get(service.name.as_str()).map(|known| &***known);
        match Service::compile(service, before, resolver, registry, state) {
            Ok(service) => services.push(Arc::new(service)),
            Err(found) => problems.extend(under(found, &format!("services[{index}]."))),
        }
    }
    services
}

fn under(problems: Vec<Problem>, prefix: &str) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(move |problem| problem.under(prefix))
}

impl Route {
    /// What is counted for an exchange: of the side that it went to, where there are several.
    pub fn series(&self, side: Option<u16>) -> &Arc<RouteSeries> {
        let side = self.action.split().and_then(|split| split.side(side));
        side.map_or(&self.series, |side| &side.series)
    }

    fn compile(route: &plan::Route, context: &Context<'_>) -> Result<Self, Vec<Problem>> {
        let action = Action::compile(route, context);
        let shed = context.overload.map(|overload| Arc::new(Shed::of(overload, route.priority)));
        let pipeline = Pipeline::compile_with_shed(&route.policies, shed.as_ref(), context);
        let (action, mut pipeline) = match (action, pipeline) {
            (Ok(action), Ok(pipeline)) => (action, pipeline),
            (action, pipeline) => return Err([action.err(), pipeline.err()].into_iter().flatten().flatten().collect()),
        };
        let series = context.registry.route(&route.name, action.service_name(None));
        if let Some(split) = action.split() {
            pipeline.add_split(split.clone());
        }
        Ok(Self {
            name: route.name.as_str().into(),
            action,
            pipeline,
            written: Written::compile(&route.policies),
            shed,
            timeout_ms: route.timeout_ms,
            body_bytes: route.body_bytes,
            series,
        })
    }
}

impl Snapshot {
    /// There is nothing to serve.
    pub fn is_empty(&self) -> bool {
        self.plan.listeners.is_empty()
    }

    /// Serves nothing; stands for an engine that has stopped.
    pub fn empty(registry: &Registry, state: &Arc<State>) -> Self {
        Self::compile(Plan::empty(), None, registry, state)
            .unwrap_or_else(|problems| unreachable!("an empty plan: {problems:?}"))
    }
}

/// A snapshot as a worker holds it: cloned per exchange without an atomic operation.
#[derive(Clone)]
#[expect(
    clippy::redundant_allocation,
    reason = "the outer count is the worker's own, so a clone is no atomic operation"
)]
pub struct Pinned(Rc<Arc<Snapshot>>);

impl Pinned {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(Rc::new(snapshot))
    }
}

impl Deref for Pinned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}
