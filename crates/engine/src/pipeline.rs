//! The order of the policies.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::actions::split::Split;
use crate::exchange::Exchange;
use crate::identity::{Consumer, Consumers, Line};
use crate::overload::{Overload, Shed};
use crate::plan;
use crate::policies::Local;
use crate::policies::api_version::ApiVersion;
use crate::policies::authentication::Authentication;
use crate::policies::authorize::Authorize;
use crate::policies::concurrency::Concurrency;
use crate::policies::cors::Cors;
use crate::policies::csrf::Csrf;
use crate::policies::fault::Fault;
use crate::policies::forwarded::Forwarded;
use crate::policies::idempotency::Idempotency;
use crate::policies::ip::Ip;
use crate::policies::plugins::Plugins;
use crate::policies::quota::Quota;
use crate::policies::rate_limit::{RateLimit, Stage};
use crate::policies::request_headers::RequestHeaders;
use crate::policies::request_id::RequestId;
use crate::policies::response_headers::ResponseHeaders;
use crate::policies::security_headers::SecurityHeaders;
use crate::policies::signed_identity::SignedIdentity;
use crate::policies::trace_context::TraceContext;
use crate::problem::{self, Problem};
use crate::redis::Store;
use crate::respond::Failure;
use crate::snapshot::ServiceIndex;
use crate::state::State;
use crate::telemetry::metrics::Registry;
use crate::upstream::calling::{Calling, Callings};
use crate::worker::Worker;

/// The place of a policy in the order, on requests and on answers alike; lower acts first. Gaps leave room.
fn rank(policy: &plan::Policy) -> u8 {
    match policy {
        // First: whatever happens next, the answer and the log can name the request.
        plan::Policy::RequestId(_) => 0,
        // Before anything that could call a service: such a call belongs to the same trace.
        plan::Policy::TraceContext(_) => 5,
        // Before anything that refuses: a preflight carries no credentials and asks for nothing but permission, and what is
        // refused behind it can be read by the script that asked.
        plan::Policy::Cors(_) => 10,
        // Before all that costs something: an address that is kept out gets no signature checked.
        plan::Policy::Ip(_) => 15,
        // Before all that costs something, too, and before anything is counted: a version that has ended answers nobody.
        plan::Policy::ApiVersion(_) => 17,
        // Before the credentials are used: a forged request neither renews a session nor counts against its victim's limits.
        plan::Policy::Csrf(_) => 20,
        // Before anybody looks at a credential, which may cost a password hash or a call: so who guesses is refused for nothing.
        // Behind what says for nothing that a request has no business here.
        plan::Policy::EarlyRateLimit(_) => 40,
        // Behind the rates, as below.
        plan::Policy::EarlyConcurrency(_) => 45,
        // Who calls; what costs a call to a service stands behind what the gateway can tell alone.
        plan::Policy::Mtls(_) => 51,
        plan::Policy::ApiKey(_) => 52,
        plan::Policy::Basic(_) => 53,
        plan::Policy::Jwt(_) => 54,
        plan::Policy::Introspection(_) => 55,
        plan::Policy::ForwardAuth(_) => 60,
        // Whoever has none of the other credentials is sent to log in.
        plan::Policy::Oidc(_) => 65,
        plan::Policy::AnyOf(_) => 70,
        plan::Policy::AllOf(_) => 71,
        // 75: see `ADMITTED`.
        // Right behind the credentials: who may not do it is told so before anything is counted.
        plan::Policy::Authorize(_) => 80,
        // Behind those that say who may pass at all: who may not costs nobody's budget, and the key can name the caller.
        plan::Policy::RateLimit(_) => 120,
        // Behind the rates: what they refuse uses nothing up.
        plan::Policy::Quota(_) => 125,
        // Behind both: a request that they refuse or hold occupies nothing.
        plan::Policy::Concurrency(_) => 130,
        // Behind every decision: who may not pass gets no answer of another time either, and repeats are counted as requests.
        plan::Policy::Idempotency(_) => 140,
        // Behind every decision: only a request that goes on pays for its forwarding fields.
        plan::Policy::Forwarded(_) => 200,
        // Behind every decision, too, and once it is known who calls.
        plan::Policy::SignedIdentity(_) => 210,
        // Behind every decision and all that the gateway says itself; the document's own edits come after.
        plan::Policy::Plugins(_) => 215,
        // Behind the gateway's own fields: the document has the last word on what the service sees.
        plan::Policy::RequestHeaders(_) => 220,
        // Right before the action: what fails here would have been the service's to answer, and had all that it costs behind it.
        plan::Policy::Fault(_) => 222,
        // On every answer, also on refusals; before the document's own edits of it.
        plan::Policy::SecurityHeaders(_) => 225,
        // Last on the answer, for the same reason.
        plan::Policy::ResponseHeaders(_) => 230,
    }
}

/// Right behind the credentials: they were good, or there are none, so what counts those that are not may forget the request.
const ADMITTED: u8 = 75;
/// Where the side of a `split` is chosen: once it is known who calls and that the request goes on, and before the policies that
/// speak to the service, which may be another for each side.
const SPLIT: u8 = 190;
/// Where [`Shed`] stands: behind those that say who calls, as the caller's tier may decide, and before anything is counted.
const SHED: u8 = 90;

/// One policy, compiled; shared by all routes that have it with the same options.
#[derive(Clone)]
enum Policy {
    RequestId(Arc<RequestId>),
    TraceContext(Arc<TraceContext>),
    Cors(Arc<Cors>),
    Ip(Arc<Ip>),
    Csrf(Arc<Csrf>),
    ApiVersion(Arc<ApiVersion>),
    /// Every kind of credential, and the trees of them.
    Authentication(Arc<Authentication>),
    Authorize(Arc<Authorize>),
    RateLimit(Arc<RateLimit>),
    /// The second step of a limit that counts refused credentials.
    Admitted(Arc<RateLimit>),
    Quota(Arc<Quota>),
    Concurrency(Arc<Concurrency>),
    Idempotency(Arc<Idempotency>),
    Forwarded(Arc<Forwarded>),
    RequestHeaders(Arc<RequestHeaders>),
    Fault(Arc<Fault>),
    SecurityHeaders(Arc<SecurityHeaders>),
    ResponseHeaders(Arc<ResponseHeaders>),
    SignedIdentity(Arc<SignedIdentity>),
    Plugins(Arc<Plugins>),
    /// No policy of the document: the action needs it done here.
    Split(Arc<Split>),
    /// No policy of the document: see [`SHED`].
    Shed(Arc<Shed>),
}

/// What a policy wants done with the request.
pub enum Flow {
    Continue,
    /// The gateway refuses: the service is never called. Fields for the refusal are in `exchange.refusal`.
    Respond(Failure),
    /// The gateway answers, and it is no refusal: a preflight, a redirect to a login.
    Answer(Box<Reply>),
    /// The policy needs something that is not here yet.
    Wait(Waiting),
    /// The policy needs the body of the request, which is then in `exchange.collected`.
    Body(Box<Wanted>),
}

/// A body that a policy has to know.
pub struct Wanted {
    /// A longer one is refused.
    pub most: u64,
    pub resume: Resume,
}

/// An answer of a policy's own.
#[derive(Debug, Default, Clone)]
pub struct Reply {
    pub status: u16,
    pub fields: Vec<Line>,
    pub body: Bytes,
}

/// Begins to wait; called with the worker only when the request really waits. `explain` never calls it.
pub type Waiting = Box<dyn FnOnce(Rc<Worker>) -> LocalBoxFuture<Resume>>;

/// What the policy does once it has what it waited for; the pipeline then goes on behind it.
pub type Resume = Box<dyn FnOnce(&Local, &mut Exchange) -> Flow>;

/// A future of one worker; it owns what it needs, since the exchange stays with its task.
pub type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// What compiling a policy may need to know.
pub struct Context<'a> {
    pub registry: &'a Registry,
    pub state: &'a Arc<State>,
    /// What gateways share, where the document names it.
    pub redis: Option<&'a Arc<Store>>,
    /// What becomes of requests when there is too much to do.
    pub overload: Option<&'a Arc<Overload>>,
    pub services: &'a ServiceIndex<'a>,
    /// None of them, while their own policies are compiled.
    pub consumers: &'a Arc<Consumers>,
    /// Lists of networks by name, one a line.
    pub networks: &'a BTreeMap<String, String>,
    /// Names that only the gateway may set; see [`crate::owned`].
    pub owned: RefCell<Vec<Box<[u8]>>>,
    pub callings: Callings,
    /// Policies by their plans, each with its number.
    made: RefCell<FxHashMap<plan::Policy, (u32, Policy)>>,
    lists: RefCell<Lists>,
}

impl<'a> Context<'a> {
    pub fn new(
        registry: &'a Registry,
        state: &'a Arc<State>,
        services: &'a ServiceIndex<'a>,
        consumers: &'a Arc<Consumers>,
    ) -> Self {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let (owned, callings, made, lists) = Default::default();
        let (redis, overload) = (None, None);
        Self { registry, state, redis, overload, services, consumers, networks: &NONE, owned, callings, made, lists }
    }

    pub fn with_networks(self, networks: &'a BTreeMap<String, String>) -> Self {
        Self { networks, ..self }
    }

    pub fn with_redis(self, redis: Option<&'a Arc<Store>>) -> Self {
        Self { redis, ..self }
    }

    pub fn with_overload(self, overload: Option<&'a Arc<Overload>>) -> Self {
        Self { overload, ..self }
    }

    /// How a service is called by those who have these settings; the same for equal ones.
    pub fn calling(&self, service: &str, plan: &plan::Calling) -> Arc<Calling> {
        self.callings.of(service, plan, self.registry, self.state)
    }

    /// The Redis that a policy counts in; `None`: it counts for itself.
    pub fn shared(&self, wanted: plan::LimitStore) -> Result<Option<Arc<Store>>, Problem> {
        match (wanted, self.redis) {
            (plan::LimitStore::Local, _) | (plan::LimitStore::Auto, None) => Ok(None),
            (_, Some(store)) => Ok(Some(store.clone())),
            (plan::LimitStore::Redis, None) => {
                let message = "the document has no `redis` to count in";
                Err(Problem::new("store".to_owned(), "config.missing", message))
            }
        }
    }
}

/// Lists of steps by the numbers of their policies.
type Lists = FxHashMap<Box<[u32]>, Arc<[Step]>>;

/// The policies of one route or consumer. Routes with the same ones share them, so that of many routes few bytes are warm.
#[derive(Default)]
pub struct Pipeline {
    steps: Arc<[Step]>,
}

#[derive(Clone)]
struct Step {
    rank: u8,
    policy: Policy,
}

/// Behind the last step.
pub const END: u8 = u8::MAX;

impl Pipeline {
    pub fn compile(policies: &[plan::Policy], context: &Context<'_>) -> Result<Self, Vec<Problem>> {
        Self::compile_with_shed(policies, None, context)
    }

    /// With the question whether a request goes on, where it takes a policy to know who calls.
    pub fn compile_with_shed(
        policies: &[plan::Policy],
        shed: Option<&Arc<Shed>>,
        context: &Context<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let compile = |(index, policy)| {
            let place = |problem: Problem| problem.under(&format!("policies[{index}]."));
            Step::compile(policy, context).map_err(|found| found.into_iter().map(place).collect::<Vec<_>>())
        };
        let mut steps: Vec<(u32, Step)> = problem::all(policies.iter().enumerate().map(compile))?;
        if let Some(shed) = shed.filter(|shed| shed.late) {
            // Numbers of policies count from below.
            steps.push((u32::MAX - shed.kind(), Step { rank: SHED, policy: Policy::Shed(shed.clone()) }));
        }
        steps.sort_by_key(|(_, step)| step.rank);
        let (numbers, mut steps): (Vec<u32>, Vec<Step>) = steps.into_iter().unzip();
        steps.extend(steps.iter().filter_map(Step::on_admitted).collect::<Vec<_>>());
        steps.sort_by_key(|step| step.rank);
        let mut lists = context.lists.borrow_mut();
        Ok(Self { steps: lists.entry(numbers.into()).or_insert_with(|| steps.into()).clone() })
    }

    /// Chooses the side of a route that has several.
    pub fn add_split(&mut self, split: Arc<Split>) {
        let mut steps = self.steps.to_vec();
        let place = steps.partition_point(|step| step.rank < SPLIT);
        steps.insert(place, Step { rank: SPLIT, policy: Policy::Split(split) });
        self.steps = steps.into();
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a preflight that is routed here is answered here.
    pub fn answers_preflights(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.policy, Policy::Cors(_)))
    }

    /// Runs every policy on the request; the engine has called `trust::admit` before, and matched the route.
    ///
    /// `from` is where to go on after a [`Flow::Wait`], and is 0 at first; it is moved on.
    pub fn on_request(&self, from: &mut u8, local: &Local, exchange: &mut Exchange) -> Flow {
        let first = self.steps.partition_point(|step| step.rank < *from);
        for step in &self.steps[first..] {
            if exchange.consumer_pipeline().is_some() {
                return self.on_request_with_consumer(from, local, exchange);
            }
            *from = step.rank + 1;
            match step.policy.on_request(local, exchange) {
                Flow::Continue => {}
                flow => return flow,
            }
        }
        self.on_request_with_consumer(from, local, exchange)
    }

    /// Gives the request its id, and does nothing else with it.
    pub fn name(&self, local: &Local, exchange: &mut Exchange) {
        for step in self.steps.iter() {
            if let Policy::RequestId(policy) = &step.policy {
                policy.on_request(local, exchange);
            }
        }
    }

    /// The rest of the request, where the consumer has policies of its own: they stand in for the route's of the same kind.
    fn on_request_with_consumer(&self, from: &mut u8, local: &Local, exchange: &mut Exchange) -> Flow {
        let Some(consumer) = exchange.consumer_pipeline() else {
            *from = END;
            return Flow::Continue;
        };
        // What would have acted before the consumer was known acts now.
        let (first, known) = exchange.early.unwrap_or((0, *from));
        for step in consumer.pipeline.steps.iter().filter(|step| (first..known).contains(&step.rank)) {
            exchange.early = Some((step.rank + 1, known));
            match step.policy.on_request(local, exchange) {
                Flow::Continue => {}
                flow => return flow,
            }
        }
        exchange.early = Some((known, known));
        for step in self.merged(&consumer.pipeline) {
            if step.rank < *from {
                continue;
            }
            *from = step.rank + 1;
            match step.policy.on_request(local, exchange) {
                Flow::Continue => {}
                flow => return flow,
            }
        }
        *from = END;
        Flow::Continue
    }

    /// Runs every policy on the head of the answer, whoever made it, before it goes to the client.
    pub fn on_response(&self, exchange: &mut Exchange) {
        self.each(exchange, Policy::on_response);
    }

    /// Runs every policy at the end of the exchange, whatever happened.
    pub fn on_complete(&self, local: &Local, exchange: &mut Exchange) {
        self.each(exchange, |policy, exchange| policy.on_complete(local, exchange));
    }

    fn each(&self, exchange: &mut Exchange, mut run: impl FnMut(&Policy, &mut Exchange)) {
        match exchange.consumer_pipeline() {
            None => self.steps.iter().for_each(|step| run(&step.policy, exchange)),
            Some(consumer) => self.merged(&consumer.pipeline).for_each(|step| run(&step.policy, exchange)),
        }
    }

    /// The steps of both by rank; of one rank, the nearer's.
    fn merged<'a>(&'a self, nearer: &'a Self) -> impl Iterator<Item = &'a Step> {
        let (mut own, mut near) = (self.steps.iter().peekable(), nearer.steps.iter().peekable());
        std::iter::from_fn(move || match (own.peek(), near.peek()) {
            (Some(left), Some(right)) if left.rank < right.rank => own.next(),
            (Some(left), Some(right)) => {
                if left.rank == right.rank {
                    own.next();
                }
                near.next()
            }
            (Some(_), None) => own.next(),
            (None, _) => near.next(),
        })
    }
}

impl Exchange {
    /// The consumer, if it has policies of its own.
    fn consumer_pipeline(&self) -> Option<Arc<Consumer>> {
        let consumer = self.identity.as_ref()?.consumer.as_ref()?;
        (!consumer.pipeline.is_empty()).then(|| consumer.clone())
    }
}

impl Step {
    /// Also the policy's number.
    fn compile(plan: &plan::Policy, context: &Context<'_>) -> Result<(u32, Self), Vec<Problem>> {
        let made = context.made.borrow().get(plan).cloned();
        let (number, policy) = match made {
            Some(made) => made,
            None => {
                let policy = Policy::compile(plan, context)?;
                let mut made = context.made.borrow_mut();
                let number = made.len() as u32;
                made.insert(plan.clone(), (number, policy.clone()));
                (number, policy)
            }
        };
        Ok((number, Self { rank: rank(plan), policy }))
    }

    /// What a policy that acts before the credentials does behind them.
    fn on_admitted(&self) -> Option<Self> {
        match &self.policy {
            Policy::RateLimit(policy) if policy.counts_refusals() => {
                Some(Self { rank: ADMITTED, policy: Policy::Admitted(policy.clone()) })
            }
            _ => None,
        }
    }
}

impl Policy {
    fn compile(plan: &plan::Policy, context: &Context<'_>) -> Result<Self, Vec<Problem>> {
        Ok(match plan {
            plan::Policy::RequestId(plan) => Self::RequestId(Arc::new(RequestId::compile(plan))),
            plan::Policy::TraceContext(plan) => Self::TraceContext(Arc::new(TraceContext::compile(plan))),
            plan::Policy::Cors(plan) => Self::Cors(Arc::new(Cors::compile(plan)?)),
            plan::Policy::Ip(plan) => Self::Ip(Arc::new(Ip::compile(plan, context)?)),
            plan::Policy::Csrf(plan) => Self::Csrf(Arc::new(Csrf::compile(plan))),
            plan::Policy::ApiVersion(plan) => Self::ApiVersion(Arc::new(ApiVersion::compile(plan, context))),
            plan::Policy::Authorize(plan) => Self::Authorize(Arc::new(Authorize::compile(plan)?)),
            plan::Policy::RateLimit(plan) => {
                Self::RateLimit(Arc::new(RateLimit::compile(plan, Stage::Known, context)?))
            }
            plan::Policy::EarlyRateLimit(plan) => {
                Self::RateLimit(Arc::new(RateLimit::compile(plan, Stage::Early, context)?))
            }
            plan::Policy::Quota(plan) => Self::Quota(Arc::new(Quota::compile(plan, context)?)),
            plan::Policy::Concurrency(plan) | plan::Policy::EarlyConcurrency(plan) => {
                Self::Concurrency(Arc::new(Concurrency::compile(plan, context)?))
            }
            plan::Policy::Forwarded(plan) => Self::Forwarded(Arc::new(Forwarded::compile(plan))),
            plan::Policy::RequestHeaders(plan) => Self::RequestHeaders(Arc::new(RequestHeaders::compile(plan)?)),
            plan::Policy::Idempotency(plan) => Self::Idempotency(Arc::new(Idempotency::compile(plan, context)?)),
            plan::Policy::Fault(plan) => Self::Fault(Arc::new(Fault::compile(plan, context)?)),
            plan::Policy::SecurityHeaders(plan) => Self::SecurityHeaders(Arc::new(SecurityHeaders::compile(plan))),
            plan::Policy::ResponseHeaders(plan) => Self::ResponseHeaders(Arc::new(ResponseHeaders::compile(plan)?)),
            plan::Policy::Mtls(_)
            | plan::Policy::ApiKey(_)
            | plan::Policy::Basic(_)
            | plan::Policy::Jwt(_)
            | plan::Policy::Introspection(_)
            | plan::Policy::ForwardAuth(_)
            | plan::Policy::Oidc(_)
            | plan::Policy::AnyOf(_)
            | plan::Policy::AllOf(_) => Self::Authentication(Authentication::compile(plan, context)?),
            plan::Policy::Plugins(plan) => Self::Plugins(Arc::new(Plugins::compile(plan))),
            plan::Policy::SignedIdentity(plan) => {
                Self::SignedIdentity(Arc::new(SignedIdentity::compile(plan, context)?))
            }
        })
    }

    fn on_request(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        match self {
            Self::RequestId(policy) => policy.on_request(local, exchange),
            Self::TraceContext(policy) => policy.on_request(local, exchange),
            Self::Cors(policy) => return policy.on_request(exchange),
            Self::Ip(policy) => return policy.on_request(exchange),
            Self::Csrf(policy) => return policy.on_request(local, exchange),
            Self::ApiVersion(policy) => return policy.on_request(local, exchange),
            Self::Authentication(policy) => return policy.on_request(local, exchange),
            Self::Authorize(policy) => return policy.on_request(exchange),
            Self::RateLimit(policy) => return policy.on_request(local, exchange),
            Self::Admitted(policy) => policy.on_admitted(local, exchange),
            Self::Quota(policy) => return policy.on_request(local, exchange),
            Self::Concurrency(policy) => return policy.on_request(local, exchange),
            Self::Idempotency(policy) => return policy.on_request(exchange),
            Self::Split(split) => split.choose(local, exchange),
            Self::Forwarded(policy) => policy.on_request(exchange),
            Self::RequestHeaders(policy) => policy.on_request(exchange),
            Self::SignedIdentity(policy) => return policy.on_request(local, exchange),
            Self::Plugins(policy) => return policy.on_request(exchange),
            Self::Fault(policy) => return policy.on_request(local, exchange),
            Self::Shed(shed) => {
                if let Err(failure) = shed.check(local, exchange) {
                    return Flow::Respond(failure);
                }
            }
            Self::SecurityHeaders(_) | Self::ResponseHeaders(_) => {}
        }
        Flow::Continue
    }

    fn on_response(&self, exchange: &mut Exchange) {
        match self {
            Self::RequestId(policy) => policy.on_response(exchange),
            Self::RateLimit(policy) => policy.on_response(exchange),
            Self::Quota(policy) => policy.on_response(exchange),
            Self::Forwarded(policy) => policy.on_response(exchange),
            Self::Cors(policy) => policy.on_response(exchange),
            Self::ApiVersion(policy) => policy.on_response(exchange),
            Self::SecurityHeaders(policy) => policy.on_response(exchange),
            Self::ResponseHeaders(policy) => policy.on_response(exchange),
            Self::TraceContext(_)
            | Self::Ip(_)
            | Self::Csrf(_)
            | Self::Authentication(_)
            | Self::Authorize(_)
            | Self::Admitted(_)
            | Self::SignedIdentity(_)
            | Self::Plugins(_)
            | Self::RequestHeaders(_)
            | Self::Split(_)
            | Self::Fault(_)
            | Self::Shed(_)
            | Self::Idempotency(_)
            | Self::Concurrency(_) => {}
        }
    }

    fn on_complete(&self, local: &Local, exchange: &mut Exchange) {
        match self {
            Self::RateLimit(policy) => policy.on_complete(local, exchange),
            Self::Quota(policy) => policy.on_complete(local, exchange),
            Self::Concurrency(policy) => policy.on_complete(exchange),
            Self::RequestId(_)
            | Self::TraceContext(_)
            | Self::Cors(_)
            | Self::Ip(_)
            | Self::Csrf(_)
            | Self::ApiVersion(_)
            | Self::Authentication(_)
            | Self::Authorize(_)
            | Self::Split(_)
            | Self::Fault(_)
            | Self::Idempotency(_)
            | Self::Admitted(_)
            | Self::Forwarded(_)
            | Self::RequestHeaders(_)
            | Self::SecurityHeaders(_)
            | Self::ResponseHeaders(_)
            | Self::Shed(_)
            | Self::Plugins(_)
            | Self::SignedIdentity(_) => {}
        }
    }
}
