//! The plan: the resolved document, every value explicit.
//!
//! Python builds it, the engine decodes it. There are no defaults here and unknown fields are refused, so that the two
//! sides cannot drift apart unnoticed. Times are milliseconds, sizes are bytes, names are already resolved and unique.

mod action;
mod api_version;
mod app;
mod asked;
mod authorize;
mod balance;
mod browsers;
mod bulkhead;
mod calling;
mod circuit_breaker;
pub mod compose;
mod consumer;
mod credentials;
mod fallback;
mod fault;
mod headers;
mod health;
mod idempotency;
mod jwt;
mod limits;
mod listener;
mod mirror;
mod oidc;
mod overload;
mod plugins;
mod redis;
mod reference;
mod resolver;
mod route;
mod secret;
mod service;
mod signed_identity;
mod split;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use action::{Action, Handler, Proxy, Redirect, Respond};
pub use api_version::{ApiVersion, VersionRefusal};
pub use app::App;
pub use asked::{DecisionCache, ForwardAuth, Introspection, IntrospectionClient};
pub use authorize::{Authorize, Literal, Rule, Wanted, WantedClaim};
pub use balance::{Balance, ConsistentHash, HashTable, SameSite, Spread, StickyCookie};
pub use browsers::{Cors, Csrf, CsrfToken, Origin, SecurityHeaders};
pub use bulkhead::{Adaptive, Bulkhead};
pub use calling::{CallBudget, Calling, DeadlineTrust, HedgeAfter, Hedging, PassedDeadline, Retry, RetryOn};
pub use circuit_breaker::{BreakerRates, Callback, CircuitBreaker, Counted, StatusRange};
pub use consumer::{BasicUser, ClientCertificate, Consumer};
pub use credentials::{ApiKey, Basic, ClaimToHeader, ConsumerField, ConsumerHeader, Credentials, Mtls, TokenPlace};
pub use fallback::{Fallback, FallbackAnswer, FallbackOn, FixedAnswer};
pub use fault::{Fault, FaultAbort, FaultDelay};
pub use headers::{Forwarded, HeaderEdits, HeaderValue, Line, RequestId, TraceContext};
pub use health::{ActiveCheck, BodyMatch, GrpcProbe, HealthCheck, HttpProbe, PassiveCheck, Probe};
pub use idempotency::Idempotency;
pub use jwt::{IssuerKeys, Jwt, RemoteKeys, TokenIssuer};
pub use limits::{
    Budget, Concurrency, Cost, Count, Limit, LimitStore, Quota, QuotaLimit, RateLimit, StoreFailure, TierBudget,
    TierMost, TimeZone,
};
pub use listener::{CertifiedKey, ClientCertificates, Listener, ListenerLimits, ListenerTls, TlsVersion};
pub use mirror::{Compare, Mirror, Mirrored};
pub use oidc::{Oidc, OidcClient, OidcEndpoint};
pub use overload::{Overload, OverloadMemory, OverloadRule, QueueDelay};
pub use plugins::Plugin;
pub use redis::Redis;
pub use reference::{Part, Reference, Template};
pub use resolver::{AddressFamily, Resolver};
pub use route::{FieldMatch, PathPattern, Route, Segment, ValueMatch};
pub use secret::Secret;
pub use service::{Pool, Resolve, Service, Target, UpstreamProtocol, UpstreamTls};
pub use signed_identity::{SignedIdentity, SigningKeys};
pub use split::{Canary, Side, Slower, Split};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub listeners: Vec<Listener>,
    pub services: Vec<Service>,
    /// In document order: the last resort of the order of precedence.
    pub routes: Vec<Route>,
    pub access_log: AccessLog,
    /// Networks in CIDR form whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<String>,
    pub drain_timeout_ms: u64,
    /// Policies of answers that belong to no route (404, 405).
    pub policies: Vec<Policy>,
    pub consumers: Vec<Consumer>,
    /// Lists of networks by the names that policies call them by: one network a line.
    pub networks: BTreeMap<String, String>,
    /// There is a store of keys, which fills `state.keys`.
    pub key_store: bool,
    /// Where gateways share what they count.
    pub redis: Option<Redis>,
    /// `None`: requests are never refused because the gateway has too much to do.
    pub overload: Option<Overload>,
    pub resolver: Resolver,
}

impl Plan {
    /// Every function of the user's that it names.
    pub fn each_handler(&mut self, mut visit: impl FnMut(&mut Handler)) {
        self.services.iter_mut().for_each(|service| service.calling.each_handler(&mut visit));
        let consumers = self.consumers.iter_mut().flat_map(|consumer| &mut consumer.policies);
        let plugins = self.policies.iter_mut().chain(consumers).flat_map(Policy::plugins_mut);
        plugins.flat_map(Plugin::callbacks_mut).for_each(|callback| visit(&mut callback.handler));
        for route in &mut self.routes {
            match &mut route.action {
                Action::Handler(handler) => visit(handler),
                Action::App(app) => visit(&mut app.handler),
                _ => {}
            }
            let plugins = route.policies.iter_mut().flat_map(Policy::plugins_mut);
            plugins.flat_map(Plugin::callbacks_mut).for_each(|callback| visit(&mut callback.handler));
            route.action.callings_mut().into_iter().for_each(|calling| calling.each_handler(&mut visit));
        }
    }

    /// No listener, no route.
    pub fn empty() -> Self {
        Self {
            listeners: Vec::new(),
            services: Vec::new(),
            routes: Vec::new(),
            access_log: AccessLog::Off,
            trusted_proxies: Vec::new(),
            drain_timeout_ms: 0,
            policies: Vec::new(),
            consumers: Vec::new(),
            networks: BTreeMap::new(),
            key_store: false,
            redis: None,
            overload: None,
            resolver: Resolver::of_nothing(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    RequestId(RequestId),
    TraceContext(TraceContext),
    Cors(Cors),
    Ip(Ip),
    Csrf(Csrf),
    ApiVersion(ApiVersion),
    Authorize(Authorize),
    Jwt(Jwt),
    /// Acts before it is known who calls.
    EarlyRateLimit(RateLimit),
    RateLimit(RateLimit),
    Quota(Quota),
    /// Acts before it is known who calls.
    EarlyConcurrency(Concurrency),
    Concurrency(Concurrency),
    AnyOf(Credentials),
    AllOf(Credentials),
    ApiKey(ApiKey),
    Basic(Basic),
    Mtls(Mtls),
    Forwarded(Forwarded),
    RequestHeaders(HeaderEdits),
    Fault(Fault),
    Idempotency(Idempotency),
    SecurityHeaders(SecurityHeaders),
    ResponseHeaders(HeaderEdits),
    ForwardAuth(ForwardAuth),
    Introspection(Introspection),
    Oidc(Box<Oidc>),
    SignedIdentity(SignedIdentity),
    Plugins(Vec<Plugin>),
}

impl Policy {
    fn plugins_mut(&mut self) -> &mut [Plugin] {
        match self {
            Self::Plugins(plugins) => plugins,
            _ => &mut [],
        }
    }
}

/// Lets a client in by its address, or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ip {
    /// Name of a list in the plan's `networks`; `None`: everybody who is not denied.
    pub allow: Option<String>,
    pub deny: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessLog {
    Off,
    Stdout,
    File(String),
}
