//! One client request and its answer.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tidegate_http1::{Known, Span};

use bytes::Bytes;

use crate::head::Head;
use crate::identity::{Identity, Line};
use crate::limits::Lease;
use crate::limits::shared::SharedLease;
use crate::policies::authentication::Authentication;
use crate::policies::cors;
use crate::policies::idempotency;
use crate::policies::plugins::Plugins;
use crate::policies::quota::MetQuotas;
use crate::policies::rate_limit::Meeting;
use crate::respond::Code;
use crate::routing::Captures;
use crate::sides::BodySize;
use crate::snapshot::Pinned;
use crate::upstream::target::Target;

/// The client connection an exchange came by.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The client, or the proxy in front of us; from the PROXY protocol where the listener asks for it.
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub tls: bool,
    /// The listener's name.
    pub listener: Rc<str>,
    /// What the client asked for by SNI.
    pub server_name: Option<Box<str>>,
    /// The client's own certificate (DER), verified.
    pub client_certificate: Option<Box<[u8]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    Http10,
    #[default]
    Http11,
    Http2,
}

impl Protocol {
    /// As in `Via` and the access log.
    pub fn version(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Trace,
    Connect,
    Other,
}

impl Method {
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Sending it twice does no more than sending it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace)
    }
}

/// A protocol switch that the client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    #[default]
    None,
    /// HTTP/1.1 `Upgrade`; the protocol is in the `upgrade` field of the head, which stays there for this case only.
    Http1,
    /// Extended CONNECT (RFC 8441) with `:protocol` in this span.
    Connect(Span),
}

/// The request, in parts. Spans point into `head.bytes()`.
///
/// Whoever fills it (HTTP/1.1 or HTTP/2) has checked it, taken hop-by-hop, nominated and framing fields and `Host` out of
/// `head`, and put the path into its normal form.
#[derive(Debug, Default)]
pub struct Request {
    pub head: Head,
    pub protocol: Protocol,
    pub method: Method,
    pub method_name: Span,
    /// The path as sent, for the log.
    pub raw_path: Span,
    /// The one normal form: matching, policies and upstream use only this.
    pub path: Vec<u8>,
    /// Without the `?`.
    pub query: Option<Span>,
    /// `Host` or `:authority` as sent.
    pub authority: Span,
    /// Lower case, no port, no trailing dot.
    pub host: Vec<u8>,
    pub body: BodySize,
    pub expect_continue: bool,
    pub upgrade: Upgrade,
    /// `TE: trailers` was sent.
    pub trailers: bool,
}

impl Request {
    pub fn clear(&mut self) {
        self.head.clear();
        self.method = Method::default();
        self.method_name = Span::default();
        self.raw_path = Span::default();
        self.authority = Span::default();
        self.path.clear();
        self.host.clear();
        self.query = None;
        self.body = BodySize::Empty;
        self.expect_continue = false;
        self.upgrade = Upgrade::None;
        self.trailers = false;
    }

    pub fn method_name(&self) -> &[u8] {
        self.method_name.of(self.head.bytes())
    }

    pub fn query(&self) -> Option<&[u8]> {
        self.query.map(|span| span.of(self.head.bytes()))
    }

    pub fn authority(&self) -> &[u8] {
        self.authority.of(self.head.bytes())
    }
}

/// The answer that goes to the client.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// The protocol it came by; `None` while the gateway is the one that answers.
    pub protocol: Option<Protocol>,
    /// End-to-end fields only.
    pub head: Head,
}

/// What the log and the metrics want to know at the end.
#[derive(Debug, Default, Clone)]
pub struct Notes {
    /// Set when the gateway made the answer itself, or cut it off.
    pub code: Option<Code>,
    pub detail: Option<Box<str>>,
    /// That of the last attempt.
    pub target: Option<Arc<Target>>,
    pub attempts: u32,
    /// What a 405 allows.
    pub allow: Option<Box<str>>,
    /// The rule of a policy that decided: which limit, which rule of `authorize`.
    pub rule: Option<Box<str>>,
    pub request_bytes: u64,
    pub answer_bytes: u64,
    /// After which another request may be answered otherwise, in seconds; for `Retry-After`.
    pub retry_after: Option<u64>,
    /// Who answered in the place of the service, and why: the word of a [`Code`], or of a status.
    pub fallback: Option<Fallen>,
    /// On the clock's line, when the service's head came; 0 while it has not.
    pub answered_micros: u64,
    /// What the problem document says beyond its code.
    pub told: Option<Box<Told>>,
    /// Which calls of a composition failed, and why: `shipment=timeout user=status:500`.
    pub failed_calls: Option<Box<str>>,
    /// How long calls have waited for the client: what a service took does not include that.
    pub client_micros: u64,
}

/// What a problem document says beyond its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In the place of the code's own.
    pub status: u16,
    /// JSON members, each with a comma before it.
    pub members: Box<[u8]>,
}

/// A fallback took the place of a service.
#[derive(Debug, Clone)]
pub struct Fallen {
    /// `fixed`, `service:name` or `handler:module:function`.
    pub to: Box<str>,
    /// The code of what happened to the call, or the status of the answer that was let go.
    pub why: &'static str,
}

/// One request and its answer. Leased from the worker for as long as it lasts, so its buffers are reused.
pub struct Exchange {
    pub snapshot: Pinned,
    pub connection: Rc<Connection>,
    pub request: Request,
    pub answer: Answer,
    /// Index into `snapshot.routes`.
    pub route: Option<usize>,
    pub captures: Captures,
    /// Index into the sides of the route's `split`, once one is chosen.
    pub side: Option<u16>,
    /// The peer is a trusted proxy: what it says about the client is believed. Set by `policies::trust::admit`.
    pub trusted: bool,
    /// The client came over TLS: to us, or to a trusted proxy that says so. Set with `trusted`.
    pub secure: bool,
    /// Who asks: the peer, or what a trusted proxy says.
    pub client_ip: IpAddr,
    /// Empty until the `request_id` policy has run.
    pub id: Vec<u8>,
    pub started_micros: u64,
    /// Who calls, once a policy has found out.
    pub identity: Option<Arc<Identity>>,
    /// What would have said who calls, had the client shown a credential; it was free to show none.
    pub unmet: Option<Arc<Authentication>>,
    /// What the `cors` policy found out.
    pub cors: cors::Asked,
    /// Fields that policies put on the gateway's own refusal: `Retry-After`, `WWW-Authenticate`.
    pub refusal: Head,
    /// Fields that go on the answer, whoever makes it: a renewed session cookie.
    pub answer_lines: Vec<Line>,
    /// How far the consumer's policies have come that stand before the one that found the consumer, and that one's rank.
    pub(crate) early: Option<(u8, u8)>,
    /// A policy has waited for something: `started_micros` is not now any more.
    pub waited: bool,
    /// The body of the request, where a policy asked for it.
    pub collected: Option<Bytes>,
    /// The client has shown credentials, and they were no good (401).
    pub refused_credentials: bool,
    /// The limits that `rate_limit` has met, by its stage.
    pub limits: [Meeting; 2],
    /// The answer has `RateLimit` fields of the gateway's.
    pub tells_limits: bool,
    /// Those of `quota`.
    pub quotas: MetQuotas,
    /// Those of `concurrency`; they end with the exchange, however it ends.
    pub leases: Vec<Lease>,
    /// Those that other gateways count too.
    pub shared_leases: Vec<SharedLease>,
    /// The request's idempotency key, until the action begins.
    pub idempotency: Option<Box<idempotency::Asked>>,
    /// Keeps the head of the answer as the action made it.
    pub kept: Option<Rc<idempotency::Kept>>,
    /// Those that have hooks for the answer or the end of the exchange.
    pub plugins: Option<Arc<Plugins>>,
    pub notes: Notes,
    pub scratch: Vec<u8>,
}

impl Exchange {
    pub fn new(snapshot: Pinned, connection: Rc<Connection>, started_micros: u64) -> Self {
        Self {
            snapshot,
            client_ip: connection.peer.ip(),
            connection,
            request: Request::default(),
            answer: Answer::default(),
            route: None,
            captures: Captures::default(),
            side: None,
            trusted: false,
            secure: false,
            id: Vec::new(),
            started_micros,
            identity: None,
            unmet: None,
            cors: cors::Asked::default(),
            refusal: Head::default(),
            answer_lines: Vec::new(),
            early: None,
            waited: false,
            collected: None,
            refused_credentials: false,
            limits: Default::default(),
            tells_limits: false,
            quotas: MetQuotas::default(),
            leases: Vec::new(),
            shared_leases: Vec::new(),
            idempotency: None,
            kept: None,
            plugins: None,
            notes: Notes::default(),
            scratch: Vec::new(),
        }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.request.clear();
        self.answer.status = 0;
        self.answer.protocol = None;
        self.trusted = false;
        self.answer.head.clear();
        self.route = None;
        self.side = None;
        self.id.clear();
        self.identity = None;
        self.unmet = None;
        self.cors.clear();
        self.refusal.clear();
        self.answer_lines.clear();
        self.early = None;
        self.waited = false;
        self.collected = None;
        self.refused_credentials = false;
        self.limits.iter_mut().for_each(Meeting::clear);
        self.tells_limits = false;
        self.quotas.clear();
        self.leases.clear();
        self.shared_leases.clear();
        self.idempotency = None;
        self.kept = None;
        self.plugins = None;
        self.notes = Notes::default();
        self.scratch.clear();
    }

    /// The host and port that the client asked for, as it wrote them; behind a trusted proxy, as that says.
    pub fn host_as_sent(&self) -> &[u8] {
        let forwarded = self.request.head.get_known(Known::XForwardedHost).filter(|_| self.trusted);
        let first = forwarded.and_then(|hosts| hosts.split(|byte| *byte == b',').next());
        first.map_or(self.request.authority(), <[u8]>::trim_ascii)
    }

    /// The target of the last attempt, as written in the document.
    pub fn target_name(&self) -> Option<&str> {
        self.notes.target.as_ref().map(|target| &*target.name)
    }

    /// The service that the route calls; empty where it calls none, or none is chosen yet.
    pub fn service_name(&self) -> &str {
        self.route().map_or("", |route| route.action.service_name(self.side))
    }

    /// The side of the route's `split`, once one is chosen.
    pub fn side_name(&self) -> Option<&str> {
        self.route()?.action.split()?.side(self.side).map(|side| &*side.name)
    }

    /// The compiled route; `None` while no route was found.
    pub fn route(&self) -> Option<&crate::snapshot::Route> {
        self.route.map(|index| &self.snapshot.routes[index])
    }
}
