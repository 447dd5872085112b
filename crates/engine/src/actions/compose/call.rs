//! One call of a composition: its request, and what counts as its answer.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::fault::{Fault, RESULTS, Reason};
use super::graph::{Graph, Landed};
use super::items::Lined;
use super::{Calls, Compose, bit, under};
use crate::clock::Millis;
use crate::exchange::{Exchange, Notes};
use crate::head::Head;
use crate::json::{self, Document, Hole, RequestFrame, When};
use crate::pipeline::Context;
use crate::plan;
use crate::problem::Problem;
use crate::telemetry::metrics::CallSeries;
use crate::upstream::call::Caller;
use crate::upstream::calling::Calling;
use crate::upstream::carried::Carried;
use crate::upstream::deadline::Deadline;
use crate::upstream::fetch::{Errand, Fetched, Manner, fetch_for};
use crate::worker::Worker;

/// Entries of a list that is gone through. Equal ones are one request, but each is looked at, while others wait for the worker.
const MOST_ITEMS: usize = 10_000;

/// Bytes of a request body that is made.
const MOST_BODY: usize = 8 << 20;

pub struct Call {
    pub name: Box<str>,
    pub service_name: Box<str>,
    /// Index into the snapshot's services.
    service: usize,
    calling: Arc<Calling>,
    host: Arc<[u8]>,
    /// Of the service, without a slash at the end.
    base_path: Box<[u8]>,
    method: Box<[u8]>,
    request: json::Request,
    /// Headers of the client that go to this call alone.
    forward_headers: Box<[Box<[u8]>]>,
    /// Its own, or that of its service.
    timeout_ms: Option<Millis>,
    pub when: Option<When>,
    pub for_each: Option<ForEach>,
    pub optional: bool,
    pub default: Document,
    pub has_default: bool,
    pub fallback: Option<usize>,
    pub pass_errors: bool,
    expect: Box<[(u16, u16)]>,
    /// Equal requests are one; see [`Call::key`].
    pub share: bool,
    /// Calls that must be over before.
    pub needs: Calls,
    pub series: Arc<CallSeries>,
}

pub struct ForEach {
    concurrency: u32,
    distinct: bool,
}

/// A request, ready to be sent.
pub struct Prepared {
    target: Vec<u8>,
    /// Without a span.
    pub head: Head,
    body: Bytes,
    hash: Option<u64>,
}

/// What a service answered.
pub struct Answer {
    status: u16,
    document: Result<Document, Reason>,
}

impl Call {
    /// Problems have a path relative to the call.
    pub fn compile(
        plan: &plan::compose::Call,
        to_all: &[Box<[u8]>],
        route: &str,
        context: &Context<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let Some((service, of_service)) = context.services.get(plan.proxy.service.as_str()) else {
            let message = format!("no service is named `{}`", plan.proxy.service);
            return Err(vec![Problem::new("service", "config.unknown_name", message)]);
        };
        let request = json::Request::compile(plan)?;
        let when = plan.when.as_ref().map(When::compile).transpose().map_err(|found| under(found, "when"))?;
        let default = Document::parse(plan.default.as_bytes().to_vec(), json::MOST_DEPTH)
            .map_err(|_| vec![Problem::new("default", "config.bad_value", "the default is no JSON")])?;
        let calling = plan.proxy.calling.as_deref().unwrap_or(&of_service.plan.calling);
        let base_path = of_service.plan.base_path.strip_suffix('/').unwrap_or(&of_service.plan.base_path);
        // What goes to all calls is not looked for again.
        let own = plan.forward_headers.iter().filter(|name| !to_all.iter().any(|all| **all == *name.as_bytes()));
        Ok(Self {
            name: plan.name.as_str().into(),
            service_name: plan.proxy.service.as_str().into(),
            service: *service,
            calling: context.calling(&of_service.name, calling),
            host: of_service.host.clone(),
            base_path: base_path.as_bytes().into(),
            method: plan.method.as_bytes().into(),
            request,
            forward_headers: own.map(|name| name.as_bytes().into()).collect(),
            timeout_ms: plan.timeout_ms.or(calling.timeout_ms),
            when,
            for_each: plan
                .for_each
                .as_ref()
                .map(|each| ForEach { concurrency: each.concurrency.max(1), distinct: each.distinct }),
            optional: plan.optional,
            has_default: !default.root().is_null(),
            default,
            fallback: plan.fallback.map(usize::from),
            pass_errors: plan.pass_errors,
            expect: plan.expect.as_slice().into(),
            share: plan.share,
            needs: plan.needs.iter().map(|need| bit(usize::from(*need))).fold(0, |all, one| all | one),
            series: context.registry.call(route, &plan.name, RESULTS),
        })
    }

    /// By when it must be over, begun now.
    pub fn due(&self, compose: &Compose, exchange: &Exchange, now: Millis) -> Deadline {
        let whole = Deadline::of(exchange, Some(compose.timeout_ms), &self.calling);
        self.timeout_ms.map_or(whole, |timeout| whole.or_at(now.saturating_add(timeout)))
    }

    pub fn concurrency(&self) -> u32 {
        self.for_each.as_ref().map_or(1, |each| each.concurrency)
    }

    /// Items that fail leave the others be.
    pub fn fails_singly(&self) -> bool {
        self.optional && self.fallback.is_none()
    }

    pub fn prepare(&self, graph: &Graph<'_>, carried: &Carried) -> Result<Prepared, Fault> {
        let mut frame = self.request.locate(graph);
        self.prepare_in(&mut frame, graph, carried)
    }

    fn prepare_in<'a>(
        &self,
        frame: &mut RequestFrame<'a>,
        graph: &'a Graph<'_>,
        carried: &Carried,
    ) -> Result<Prepared, Fault> {
        let exchange = graph.exchange;
        let mut target = Vec::with_capacity(96);
        target.extend_from_slice(&self.base_path);
        self.request.write_target(frame, graph, &mut target).map_err(no_request)?;
        let mut head = carried.without_trace();
        Carried::allow(exchange, &self.forward_headers, &mut head);
        self.request.write_headers(frame, graph, |name, value| head.set(name, value)).map_err(no_request)?;
        let mut body = Vec::new();
        if self.request.has_body() {
            self.request.write_body(frame, graph, MOST_BODY, &mut body).map_err(no_request)?;
            if !head.contains(b"content-type") {
                head.add(b"content-type", b"application/json");
            }
        }
        if !head.contains(b"accept") {
            head.add(b"accept", b"application/json");
        }
        let hash = exchange.snapshot.services[self.service].affinity.of(exchange, &mut Vec::new());
        Ok(Prepared { target, head, body: body.into(), hash })
    }

    /// The requests for all items, of which there may be so many.
    pub fn line_up(&self, graph: &Graph<'_>, carried: &Carried, room: u32) -> Result<Lined, Fault> {
        let mut frame = self.request.locate(graph);
        let Some(items) = self.request.items(&frame) else {
            return Err(Fault::with(Reason::MissingField, "what `for_each` goes through is no list"));
        };
        let distinct = self.for_each.as_ref().is_some_and(|each| each.distinct);
        let mut lined = Lined::default();
        let mut known = rustc_hash::FxHashMap::default();
        for (index, item) in items.enumerate() {
            if index == MOST_ITEMS {
                return Err(Reason::Limit.into());
            }
            self.request.set_item(&mut frame, item, index);
            let place = match self.prepare_in(&mut frame, graph, carried) {
                Ok(prepared) => {
                    let next = lined.requests.len() as u32;
                    let place = if distinct { *known.entry(self.key(&prepared)).or_insert(next) } else { next };
                    if place == next {
                        lined.requests.push(prepared);
                    }
                    Ok(place)
                }
                Err(fault) => Err(fault),
            };
            lined.places.push(place);
            if lined.requests.len() > room as usize {
                return Err(Reason::Limit.into());
            }
        }
        Ok(lined)
    }

    /// What makes two requests equal: all but their spans.
    pub fn key(&self, prepared: &Prepared) -> Box<[u8]> {
        let Prepared { target, head, body, .. } = prepared;
        let mut key = Vec::with_capacity(target.len() + 64);
        key.extend_from_slice(&self.service.to_le_bytes());
        let parts = [&*self.method, target, body].into_iter();
        for part in parts.chain(head.iter().flat_map(|(_, name, value)| [name, value])) {
            key.extend_from_slice(&part.len().to_le_bytes());
            key.extend_from_slice(part);
        }
        key.into()
    }

    /// Sends a request and takes its whole answer.
    pub async fn ask(
        &self,
        worker: &Rc<Worker>,
        compose: &Compose,
        exchange: &Exchange,
        prepared: Prepared,
        due: Deadline,
    ) -> Landed {
        let Prepared { target, head, body, hash } = prepared;
        let errand = Errand {
            service: self.service,
            method: &self.method,
            target: &target,
            host: &self.host,
            head,
            body,
            deadline: due.at,
            most_bytes: compose.answer_bytes,
        };
        let Exchange { captures, client_ip, connection, id, route, .. } = exchange;
        let caller = Caller { captures, client_ip: *client_ip, connection, id, route: *route };
        let manner = Manner { calling: &self.calling, hash, deadline: due, caller: Some(caller) };
        let mut notes = Notes::default();
        let fetched = fetch_for(worker, &exchange.snapshot, errand, &manner, &mut notes).await;
        let answer = match fetched {
            Ok(fetched) => Ok(self.read(fetched, compose.max_depth)),
            Err(failure) => Err(Fault::of(failure, notes.retry_after)),
        };
        Landed { answer, attempts: notes.attempts }
    }

    fn read(&self, fetched: Fetched, most_depth: usize) -> Answer {
        let Fetched { status, head, body } = fetched;
        let empty = body.is_empty() && (matches!(status, 204 | 205) || *self.method == *b"HEAD");
        let document = match empty {
            true => Ok(Document::null()),
            false if head.get(b"content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) => {
                Err(Reason::NotJson)
            }
            // Where nobody will look at it, it need not be read.
            false if !self.share && !self.expects(status) => Err(Reason::NotJson),
            false => Document::parse(body, most_depth).map_err(|fault| match fault {
                json::Fault::NotJson => Reason::NotJson,
                json::Fault::TooDeep => Reason::TooDeep,
            }),
        };
        Answer { status, document }
    }

    fn expects(&self, status: u16) -> bool {
        self.expect.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Whether an answer is a success, for this call.
    pub fn judge(&self, answer: &Answer) -> Result<Document, Fault> {
        match (&answer.document, answer.status) {
            (document, status) if self.expects(status) => document.clone().map_err(Fault::from),
            (_, status @ 300..400) => Err(Reason::Redirect(status).into()),
            (_, status) => Err(Reason::Status(status).into()),
        }
    }
}

fn no_request(hole: Hole) -> Fault {
    match hole {
        Hole::Missing => Fault::with(Reason::MissingField, "a value that the path needs is missing or empty"),
        Hole::Path(error) => Fault::with(Reason::MissingField, &error.to_string()),
        Hole::TooLong => Fault::with(Reason::MissingField, "the target, a header or the body would be too long"),
    }
}
