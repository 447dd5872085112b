//! The plan: the resolved document, every value explicit.
//!
//! Python builds it, the engine decodes it. There are no defaults here and unknown fields are refused, so that the two
//! sides cannot drift apart unnoticed. Times are milliseconds, sizes are bytes, names are already resolved and unique.

mod jwt;
mod limits;
mod oidc;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use jwt::{IssuerKeys, Jwt, RemoteKeys, TokenIssuer};
pub use limits::{
    Budget, Concurrency, Cost, Limit, LimitStore, Quota, QuotaLimit, RateLimit, StoreFailure, TierBudget, TierMost,
    TimeZone,
};
pub use oidc::{Oidc, OidcClient, OidcTokenEndpoint, Secrets};

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
    /// Consumers that are switched off: the store's keys of these names prove nothing either.
    pub disabled_consumers: Vec<String>,
    /// Where gateways share what they count.
    pub redis: Option<Redis>,
}

impl Plan {
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
            disabled_consumers: Vec::new(),
            redis: None,
        }
    }
}

// ---- redis

/// A Redis or Valkey server, or a cluster of them.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `host:port` or `unix:/path`; one, or of a cluster those to begin with.
    pub nodes: Vec<String>,
    pub cluster: bool,
    pub tls: Option<UpstreamTls>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub database: u32,
    /// Begins every key.
    pub prefix: String,
    /// The longest a request waits for an answer.
    pub timeout_ms: u64,
}

impl Redis {
    /// For logs.
    pub fn name(&self) -> &str {
        self.nodes.first().map_or("", String::as_str)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redis(nodes: {:?}, cluster: {}, prefix: {})", self.nodes, self.cluster, self.prefix)
    }
}

// ---- listeners

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Unique; the address as written unless named.
    pub name: String,
    /// `IP:PORT` (port 0: the system chooses) or `unix:/path`.
    pub address: String,
    pub tls: Option<ListenerTls>,
    pub proxy_protocol: bool,
    /// HTTP/2: by ALPN over TLS, by prior knowledge without.
    pub http2: bool,
    /// A client that closes its sending side still gets its answer; `false`: it counts as gone, as TCP cannot tell the two apart.
    pub half_close: bool,
    pub limits: ListenerLimits,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Chosen by SNI; the first serves clients that name none or an unknown host.
    pub certificates: Vec<CertifiedKey>,
    pub minimum_version: TlsVersion,
    pub client_certificates: ClientCertificates,
    /// PEM; needed unless `client_certificates` is `none`.
    pub client_ca: Option<String>,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedKey {
    pub certificate: String,
    pub key: String,
}

impl std::fmt::Debug for CertifiedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CertifiedKey(redacted)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    None,
    Optional,
    Required,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerLimits {
    pub head_bytes: usize,
    pub head_fields: usize,
    pub target_bytes: usize,
    pub head_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub connections: usize,
    pub connections_per_address: usize,
    /// Concurrent streams of one HTTP/2 connection.
    pub http2_streams: u32,
    /// Streams a client may reset within ten seconds before the connection ends.
    pub http2_resets: u32,
    /// Control frames (PING, SETTINGS, PRIORITY, empty DATA ...) within ten seconds before the connection ends.
    pub http2_control_frames: u32,
}

// ---- services

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub name: String,
    pub targets: Vec<Target>,
    /// `Host` sent upstream unless the route preserves the client's.
    pub host: String,
    /// Put before every path, without a trailing slash; often empty.
    pub base_path: String,
    pub protocol: UpstreamProtocol,
    pub tls: Option<UpstreamTls>,
    /// Attempts after the first, where the request can be sent again.
    pub retries: u32,
    pub connect_timeout_ms: u64,
    /// Longest silence between two bytes of the answer.
    pub read_timeout_ms: u64,
    /// Longest time in which the service takes no byte of the request.
    pub write_timeout_ms: u64,
    pub pool: Pool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `host:port` (name or IP) or `unix:/path`.
    pub address: String,
    pub weight: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    Http1,
    H2,
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    pub verify: bool,
    /// PEM of the authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// SNI, and the name the certificate must carry.
    pub server_name: String,
    pub client: Option<CertifiedKey>,
}

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "UpstreamTls(server_name: {}, verify: {})", self.server_name, self.verify)
    }
}

/// Idle connections kept, per worker and target.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub max_idle: usize,
    pub idle_timeout_ms: u64,
}

// ---- routes

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    /// Lower case, no port, no trailing dot: `example.com` or `*.example.com`. Empty: every host.
    pub hosts: Vec<String>,
    /// Empty: every path.
    pub paths: Vec<PathPattern>,
    /// Upper case. Empty: every method.
    pub methods: Vec<String>,
    pub headers: Vec<FieldMatch>,
    pub query: Vec<FieldMatch>,
    pub cookies: Vec<FieldMatch>,
    pub action: Action,
    /// Deadline of the whole exchange; `None`: no bound but the service's own timeouts.
    pub timeout_ms: Option<u64>,
    pub body_bytes: u64,
    /// Resolved over all levels; the engine sorts them into the order of `pipeline.rs`.
    pub policies: Vec<Policy>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PathPattern {
    /// `/orders/{id}`: whole segments, anything may follow.
    Prefix(Vec<Segment>),
    /// `=/orders/{id}`: nothing may follow.
    Exact(Vec<Segment>),
    /// `~^/orders/\d+`: searched in the normal form, anchored at its start; named groups are captures.
    Regex(String),
}

/// A path is a list of these; `/` is the empty list, a trailing slash is an empty literal at the end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Segment {
    /// In normal form.
    Literal(String),
    /// `{name}`: one segment that is not empty.
    Capture(String),
    /// `{name...}`: all that is left, perhaps nothing; last only.
    Rest(String),
}

/// A condition on a header, query parameter or cookie. Any value of `values` will do; none means the name must be there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldMatch {
    pub name: String,
    pub values: Vec<ValueMatch>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueMatch {
    Exact(String),
    /// `~` form: the whole value must match.
    Regex(String),
}

// ---- actions

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    Proxy(Proxy),
    Respond(Respond),
    Redirect(Redirect),
    Handler(Handler),
    SigningKeys(Vec<SigningKeys>),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    pub service: String,
    /// Takes the matched literal prefix away before the service's base path goes on.
    pub strip_path: bool,
    /// The upstream path (and query, when it has a `?`), instead of the client's.
    pub rewrite: Option<Template>,
    pub preserve_host: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    pub status: u16,
    /// Includes the content type, when there is one.
    pub headers: Vec<HeaderValue>,
    pub body: Template,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    pub status: u16,
    pub location: Template,
    /// Appends the client's query to the location.
    pub keep_query: bool,
}

/// A function of the user's, known to the bridge by its number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handler {
    pub id: u32,
    /// `module:function`, for the log and `explain`.
    pub name: String,
}

// ---- consumers

/// Someone who calls, by name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    pub name: String,
    pub tier: Option<String>,
    pub tags: Vec<String>,
    /// Its own policies only; they win over all other levels.
    pub policies: Vec<Policy>,
    /// SHA-256 of each key, in hexadecimal digits.
    pub keys: Vec<String>,
    pub basic: Vec<BasicUser>,
    pub certificates: Vec<ClientCertificate>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicUser {
    pub username: String,
    /// A PHC string of argon2id.
    pub password_hash: String,
}

/// What tells a client certificate from others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientCertificate {
    /// Of the whole certificate, in hexadecimal digits.
    Sha256(String),
    Uri(String),
    Dns(String),
    Email(String),
    /// RFC 4514: `CN=orders,O=Example`.
    Subject(String),
    CommonName(String),
}

// ---- policies

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    RequestId(RequestId),
    TraceContext(TraceContext),
    Cors(Cors),
    Ip(Ip),
    Csrf(Csrf),
    Authorize(Authorize),
    Jwt(Jwt),
    RateLimit(RateLimit),
    Quota(Quota),
    Concurrency(Concurrency),
    AnyOf(Credentials),
    AllOf(Credentials),
    ApiKey(ApiKey),
    Basic(Basic),
    Mtls(Mtls),
    Forwarded(Forwarded),
    RequestHeaders(HeaderEdits),
    SecurityHeaders(SecurityHeaders),
    ResponseHeaders(HeaderEdits),
    ForwardAuth(ForwardAuth),
    Introspection(Introspection),
    Oidc(Box<Oidc>),
    SignedIdentity(SignedIdentity),
}

/// Kinds of credentials that are asked for together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Credentials, and trees of them.
    pub of: Vec<Policy>,
    /// Lets requests without any of them on.
    pub optional: bool,
}

/// Gives every request an id, and keeps one that a trusted proxy gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestId {
    /// Lower case.
    pub header: String,
    /// Also sets it on the answer.
    pub answer: bool,
}

/// Passes W3C `traceparent` on with a span of ours, or begins a trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceContext {}

/// Knows callers by a key, looked for in this order: header, query, cookie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Lower case.
    pub header: Option<String>,
    /// What stands before the key in the header.
    pub scheme: Option<String>,
    pub query: Option<String>,
    pub cookie: Option<String>,
    pub realm: String,
    pub consumer_to_headers: Vec<ConsumerHeader>,
    pub optional: bool,
}

/// Knows callers by name and password.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub remember_ms: u64,
    pub remember_failures_ms: u64,
    pub realm: String,
    pub consumer_to_headers: Vec<ConsumerHeader>,
    pub optional: bool,
}

/// Knows callers by their client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Certificates of nobody are proof too.
    pub any: bool,
    pub consumer_to_headers: Vec<ConsumerHeader>,
    pub optional: bool,
}

/// A header that tells the service of the consumer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerHeader {
    pub field: ConsumerField,
    /// Lower case.
    pub header: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerField {
    Name,
    Tier,
    /// Joined by comma.
    Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// `Via` (RFC 9110 section 7.6.3) on request and answer.
    pub via: bool,
}

/// Lets scripts of other origins read the answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    pub origins: Vec<Origin>,
    pub credentials: bool,
    /// `None`: the method that is asked for.
    pub allow_methods: Option<Vec<String>>,
    /// `None`: the headers that are asked for.
    pub allow_headers: Option<Vec<String>>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: u64,
    pub private_network: bool,
}

/// Which web origins are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    Any,
    /// As browsers write it: `https://shop.example`, or `null`.
    Exact(String),
    /// `https://*.shop.example:8443`: scheme `https`, domain `shop.example:8443`.
    Below {
        scheme: String,
        domain: String,
    },
    /// Has to match the whole origin.
    Regex(String),
}

/// Lets a client in by its address, or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ip {
    /// Name of a list in the plan's `networks`; `None`: everybody who is not denied.
    pub allow: Option<String>,
    pub deny: Option<String>,
}

/// Refuses requests that another site makes a browser send.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csrf {
    /// As browsers write them.
    pub trusted_origins: Vec<String>,
    pub token: Option<CsrfToken>,
}

#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsrfToken {
    pub secret: String,
    pub cookie: String,
    /// Lower case.
    pub header: String,
    pub session_cookie: Option<String>,
}

impl std::fmt::Debug for CsrfToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CsrfToken(cookie: {}, header: {})", self.cookie, self.header)
    }
}

/// Lets a request on when a rule allows it; the first that holds decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// Where roles and groups stand among the claims, by path.
    pub roles_claim: Vec<String>,
    pub groups_claim: Vec<String>,
    pub rules: Vec<Rule>,
}

/// Holds when all of its conditions do; what is empty or `None` is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    /// `false`: it denies.
    pub allow: bool,
    pub methods: Vec<String>,
    pub consumers: Vec<String>,
    pub tiers: Vec<String>,
    pub tags: Option<Wanted>,
    pub scopes: Option<Wanted>,
    pub roles: Option<Wanted>,
    pub groups: Option<Wanted>,
    pub claims: Vec<WantedClaim>,
    /// A CEL expression.
    pub when: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedClaim {
    pub path: Vec<String>,
    pub wanted: Wanted,
}

/// What something with several values must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wanted {
    Present,
    Any(Vec<Literal>),
    All(Vec<Literal>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    Truth(bool),
    Integer(i64),
    Text(String),
}

/// Tells browsers what they may do with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityHeaders {
    /// Apart from the others, as it goes out over TLS only.
    pub strict_transport_security: Option<String>,
    pub set: Vec<Line>,
    /// Lower case.
    pub remove: Vec<String>,
    /// Also what the service has set itself.
    pub replace: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Lower case.
    pub name: String,
    pub value: String,
}

/// Carried out in this order: remove, set, add.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    pub remove: Vec<String>,
    pub set: Vec<HeaderValue>,
    pub add: Vec<HeaderValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderValue {
    /// Lower case.
    pub name: String,
    pub value: Template,
}

/// Asks a service whether a request may pass, and who makes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    pub service: String,
    pub method: String,
    /// Behind the service's base path.
    pub path: Template,
    /// Of the request; lower case, as all names here.
    pub headers: Vec<String>,
    /// Of the answer, if the request may pass.
    pub headers_to_service: Vec<String>,
    /// Of the answer, if it may not.
    pub headers_to_client: Vec<String>,
    /// Of the answer, for the answer to a request that may pass.
    pub headers_on_success: Vec<String>,
    /// Of the request; they go no further.
    pub strip: Vec<String>,
    /// Names of claims, and of the headers of the answer that they come from.
    pub claims: Vec<(String, String)>,
    /// The one of them that names a consumer.
    pub consumer_claim: Option<String>,
    pub timeout_ms: u64,
    /// Longest body of an answer; bytes.
    pub max_answer: usize,
    pub cache: Option<DecisionCache>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionCache {
    /// Requests that agree in all of these share a decision.
    pub key: Vec<Template>,
    pub ttl_ms: u64,
    /// 0: refusals are not kept.
    pub negative_ttl_ms: u64,
    pub entries: usize,
}

/// Asks the provider whether a token is good, and whose it is (RFC 7662).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    pub service: String,
    /// Behind the service's base path.
    pub path: String,
    pub client: IntrospectionClient,
    /// Where a token is looked for, in order.
    pub token: Vec<TokenPlace>,
    pub token_type_hint: Option<String>,
    pub issuer: Option<String>,
    /// One of them must be in `aud`; empty: any will do.
    pub audience: Vec<String>,
    /// All of them must be in `scope`.
    pub scopes: Vec<String>,
    pub leeway_ms: u64,
    pub claims_to_headers: Vec<ClaimToHeader>,
    /// The path of the claim that is the subject.
    pub subject_claim: Vec<String>,
    /// The path of the claim that names a consumer.
    pub consumer_claim: Option<Vec<String>>,
    pub realm: String,
    pub optional: bool,
    pub timeout_ms: u64,
    pub ttl_ms: u64,
    /// 0: refusals are not kept.
    pub negative_ttl_ms: u64,
    /// Tokens remembered at most.
    pub entries: usize,
}

/// What the gateway shows the provider.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IntrospectionClient {
    None,
    Basic { id: String, secret: String },
    Post { id: String, secret: String },
    Bearer { token: String },
}

impl std::fmt::Debug for IntrospectionClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("IntrospectionClient(redacted)")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenPlace {
    /// `Authorization: Bearer`
    Authorization,
    /// Lower case.
    Header(String),
    Cookie(String),
}

/// A header that a claim goes into.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The path of the claim.
    pub claim: Vec<String>,
    /// Lower case.
    pub header: String,
}

/// Gives services a token that says who calls, signed by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedIdentity {
    /// Lower case.
    pub header: String,
    pub issuer: String,
    /// `None`: the name of the service, or of the route where no service is called.
    pub audience: Option<String>,
    /// Claims of the credential that go along under their own names.
    pub claims: Vec<String>,
    /// Puts the request's id in, so that every request has a token of its own.
    pub request_id: bool,
    /// Also for requests whose caller is not known.
    pub anonymous: bool,
    pub ttl_s: u64,
    pub keys: SigningKeys,
}

/// Private keys to sign with.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SigningKeys {
    /// PEM. The first signs.
    Given(Vec<String>),
    /// Made and rotated by Python, which keeps them there.
    Kept(String),
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(keys) => write!(formatter, "Given({} redacted)", keys.len()),
            Self::Kept(name) => write!(formatter, "Kept({name})"),
        }
    }
}

// ---- references

/// Text with references: `user:{path.id}`. Escapes are resolved; a text without references is one `text` part.
pub type Template = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    Text(String),
    Reference(Reference),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reference {
    /// `{path.x}`: a capture of the route's path.
    Path(String),
    /// `{query.x}`: the first value, decoded.
    Query(String),
    /// `{header.x}`, lower case.
    Header(String),
    /// `{cookie.x}`
    Cookie(String),
    /// `{claims.a.b}`: of the identity, by path.
    Claims(Vec<String>),
    /// `{consumer.name}`
    ConsumerName,
    /// `{consumer.tier}`
    ConsumerTier,
    /// `{consumer.tags}`, joined by comma.
    ConsumerTags,
    /// `{identity.subject}`
    IdentitySubject,
    /// `{identity.method}`: the policy that proved it.
    IdentityMethod,
    /// `{client.ip}`
    ClientIp,
    /// `{route.name}`
    RouteName,
    /// `{service.name}`
    ServiceName,
    /// `{request.id}`
    RequestId,
    /// `{request.method}`
    RequestMethod,
    /// `{request.path}`: the normal form.
    RequestPath,
    /// `{request.query}`: as sent, without the `?`.
    RequestQuery,
    /// `{request.host}`: lower case, without port.
    RequestHost,
    /// `{request.scheme}`: `http` or `https`.
    RequestScheme,
}

// ---- access log

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessLog {
    Off,
    Stdout,
    File(String),
}
