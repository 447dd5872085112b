//! What would happen to a request, worked out without sending anything.
//!
//! The request is written as HTTP/1.1 and goes through the parser, the checks, the router and the policies that traffic goes
//! through, so that an explanation cannot tell another story.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use tidegate_http1 as codec;

use crate::actions::Action;
use crate::clock::Clock;
use crate::exchange::{Connection, Exchange};
use crate::intake;
use crate::pipeline::{Flow, Pipeline};
use crate::plan::{self, Plan};
use crate::policies::{Local, trust};
use crate::preflight::{self, Announced};
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::routing::{self, Explanation, Found, Loser, Winner};
use crate::serve::check_method;
use crate::snapshot::{Pinned, Snapshot};
use crate::state::State;
use crate::telemetry::Wall;
use crate::telemetry::metrics::Registry;

/// A request that is asked about.
pub struct Question<'a> {
    pub method: &'a str,
    /// `http` or `https` URL, or a path.
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    /// Who connects.
    pub client: IpAddr,
}

#[derive(Debug, Serialize)]
pub struct Explained {
    /// `route`, `no_route`, `method_not_allowed` or `refused`. With a winner, `method_not_allowed` is the gateway's own rule.
    pub outcome: &'static str,
    /// Why the gateway itself refuses the request.
    pub reason: Option<String>,
    pub winner: Option<Winner>,
    /// The value of `Allow`, for `method_not_allowed`.
    pub allow: Option<String>,
    /// The nearest first.
    pub losers: Vec<Loser>,
    pub more_losers: usize,
    /// What goes to the service, for a route that has one.
    pub upstream: Option<Sent>,
    /// For a route that makes its answer of several.
    pub composed: Option<Composed>,
}

/// What a composition does for the request, as far as it is known before a call is made.
#[derive(Debug, Serialize)]
pub struct Composed {
    /// The view that shapes the answer; `None`: the plain response.
    pub view: Option<String>,
    /// Names of the calls that the answer needs, in the document's order.
    pub calls: Vec<String>,
}

/// A request as a service gets it.
#[derive(Debug, Serialize)]
pub struct Sent {
    pub method: String,
    /// At the first target of the service.
    pub url: String,
    pub headers: Vec<(String, String)>,
}

/// Why there is no explanation.
#[derive(Debug)]
pub enum ExplainError {
    /// The plan does not compile.
    Problems(Vec<Problem>),
    /// The question is no request.
    Question(String),
}

/// Explains one request.
pub fn explain(plan: Plan, question: &Question<'_>) -> Result<Explained, ExplainError> {
    let asked = Asked::of(question).map_err(ExplainError::Question)?;
    let wall = Arc::new(Wall::new(Clock::default()));
    let registry = Registry::new(1, wall.clone());
    let snapshot = Snapshot::compile(plan, None, &registry, &State::new()).map_err(ExplainError::Problems)?;
    let local = Local::new(wall, 0);
    let mut exchange = exchange(Arc::new(snapshot), question.client, &asked);
    if let Err(failure) = take(&mut exchange, &asked) {
        return Ok(refused(&failure));
    }
    trust::admit(&mut exchange);
    let snapshot = exchange.snapshot.clone();
    let (router, routes) = (&snapshot.router, &snapshot.plan.routes);
    let preflight = preflight::route(&snapshot, &mut exchange);
    let mut explained = Explained::from(match Announced::by(&exchange.request).filter(|_| preflight.is_some()) {
        Some(announced) => routing::explain(router, routes, &announced),
        None => routing::explain(router, routes, &exchange.request),
    });
    let found = preflight.unwrap_or_else(|| router.find(&exchange.request, &mut exchange.captures));
    if let Found::Route(index) = found {
        exchange.route = Some(index);
        match upstream(&snapshot, index, &local, &mut exchange) {
            Ok(sent) => {
                explained.upstream = sent;
                match composed(&snapshot, index, &exchange) {
                    Ok(composed) => explained.composed = composed,
                    Err(failure) => explained.refuse(words(&failure), &exchange),
                }
            }
            Err(reason) => explained.refuse(reason, &exchange),
        }
    }
    Ok(explained)
}

/// A question taken apart.
struct Asked {
    tls: bool,
    local: SocketAddr,
    /// The request as bytes.
    head: Vec<u8>,
}

impl Asked {
    fn of(question: &Question<'_>) -> Result<Self, String> {
        let (tls, rest) = match question.url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, Some(rest)),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, Some(rest)),
            _ if question.url.starts_with('/') || question.url == "*" => (false, None),
            _ => {
                return Err(format!(
                    "expected an `http` or `https` URL or a path that begins with `/`, got `{}`",
                    question.url
                ));
            }
        };
        let (authority, target) = match rest {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("localhost", question.url),
        };
        // A fragment stays with the client (RFC 9110 section 4.2.5).
        let target = target.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') || target == "*" { "" } else { "/" };
        let given = question.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = given.map_or(authority, |(_, value)| value);
        let mut head = format!("{} {slash}{target} HTTP/1.1\r\nhost: {host}\r\n", question.method);
        for (name, value) in question.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let all = question.headers.iter().flat_map(|(name, value)| [name.as_str(), value]);
        if all.chain([question.method, target, host]).any(|text| text.contains(['\r', '\n'])) {
            return Err("a request has no line breaks in its parts".to_owned());
        }
        head.push_str("\r\n");
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, local: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), head: head.into_bytes() })
    }
}

fn exchange(snapshot: Arc<Snapshot>, client: IpAddr, asked: &Asked) -> Exchange {
    let listener = snapshot.plan.listeners.first().map_or("", |listener| listener.name.as_str());
    let connection = Connection {
        peer: SocketAddr::from((client, 50000)),
        local: asked.local,
        tls: asked.tls,
        listener: Rc::from(listener),
        server_name: None,
        client_certificate: None,
    };
    Exchange::new(Pinned::new(snapshot), Rc::new(connection), 0)
}

/// Parses and checks the request as a listener does.
fn take(exchange: &mut Exchange, asked: &Asked) -> Result<(), Failure> {
    let limits = exchange.snapshot.plan.listeners.first().map(|listener| &listener.limits);
    let limits = limits.map_or_else(codec::Limits::default, |limits| codec::Limits {
        head: limits.head_bytes,
        fields: limits.head_fields,
        target: limits.target_bytes,
    });
    let mut parser = codec::RequestParser::new(limits);
    match parser.parse(&asked.head) {
        Ok(codec::Parse::Complete) => {}
        Ok(codec::Parse::Partial) => return Err(Failure::with(Code::MalformedRequest, "the head does not end")),
        Err(error) => return Err(Failure::with(Code::MalformedRequest, error.code())),
    }
    intake::fill_http1(&mut exchange.request, parser.head(), &asked.head).map(drop)
}

/// Runs the policies of the route, and shows what its service would get.
fn upstream(snapshot: &Snapshot, route: usize, local: &Local, exchange: &mut Exchange) -> Result<Option<Sent>, String> {
    admit(&snapshot.routes[route].pipeline, local, exchange)?;
    check_method(exchange, &snapshot.plan.routes[route]).map_err(|failure| words(&failure))?;
    let Some(proxy) = snapshot.routes[route].action.proxy(exchange.side) else { return Ok(None) };
    let mut target = Vec::new();
    let (service, host) = proxy.preview(exchange, &mut target).map_err(|failure| words(&failure))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers = vec![("host".to_owned(), text(host))];
    headers.extend(exchange.request.head.iter().map(|(_, name, value)| (text(name).to_ascii_lowercase(), text(value))));
    Ok(Some(Sent {
        method: text(exchange.request.method_name()),
        url: format!("{}{}", base(&snapshot.plan.services[service]), text(&target)),
        headers,
    }))
}

fn composed(snapshot: &Snapshot, route: usize, exchange: &Exchange) -> Result<Option<Composed>, Failure> {
    let Action::Compose(compose) = &snapshot.routes[route].action else { return Ok(None) };
    let (view, calls) = compose.preview(exchange)?;
    Ok(Some(Composed { view: view.map(str::to_owned), calls: calls.map(str::to_owned).collect() }))
}

fn admit(pipeline: &Pipeline, local: &Local, exchange: &mut Exchange) -> Result<(), String> {
    match pipeline.on_request(&mut 0, local, exchange) {
        Flow::Respond(failure) => Err(words(&failure)),
        Flow::Answer(reply) => Err(format!("a policy answers with {}", reply.status)),
        // Nothing is waited for here: what such a policy and those behind it would add is not shown.
        Flow::Continue | Flow::Wait(_) | Flow::Body(_) => Ok(()),
    }
}

fn base(service: &plan::Service) -> String {
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    match service.targets.first() {
        Some(target) if target.address.starts_with("unix:") => target.address.clone(),
        Some(target) => format!("{scheme}://{}", target.address),
        None => format!("{scheme}://"),
    }
}

fn words(failure: &Failure) -> String {
    failure.to_string()
}

fn refused(failure: &Failure) -> Explained {
    Explained {
        outcome: "refused",
        reason: Some(words(failure)),
        winner: None,
        allow: None,
        losers: Vec::new(),
        more_losers: 0,
        upstream: None,
        composed: None,
    }
}

impl Explained {
    /// The route is found, and the request refused all the same.
    fn refuse(&mut self, reason: String, exchange: &Exchange) {
        self.reason = Some(reason);
        if let Some(allow) = &exchange.notes.allow {
            self.outcome = "method_not_allowed";
            self.allow = Some(allow.to_string());
        }
    }
}

impl From<Explanation> for Explained {
    fn from(found: Explanation) -> Self {
        Self {
            outcome: found.outcome,
            reason: None,
            winner: found.winner,
            allow: found.allow,
            losers: found.losers,
            more_losers: found.more_losers,
            upstream: None,
            composed: None,
        }
    }
}
