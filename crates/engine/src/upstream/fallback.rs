//! Answers in the place of a service that cannot.
//!
//! It is part of the call, so whoever calls a service (a route, a policy, a handler) gets what the document says, and need not
//! know that it was not the service.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::actions::handler::{HandlerUpstream, Place};
use crate::bridge::JobRequest;
use crate::clock::NEVER;
use crate::exchange::{Fallen, Method, Request};
use crate::head::Head;
use crate::plan::{self, FallbackAnswer, FixedAnswer};
use crate::respond::{Code, Failure, Side};
use crate::sides::{Answered, BodySize, Client, Filled, Sink, Source, Upstream};
use crate::transfer::{Begin, Patience, Transfer};
use crate::upstream::attempt::{Attempt, Begun};
use crate::upstream::call::{Asked, Order, call};
use crate::upstream::deadline::Deadline;
use crate::upstream::discard::discard;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Why the service's own answer is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Failed(Code),
    Status(u16),
}

impl plan::Fallback {
    /// Whether it takes the place of a failure.
    pub fn takes(&self, code: Code) -> bool {
        let on = &self.on;
        match code {
            Code::CircuitOpen => on.open,
            Code::BulkheadFull | Code::QueueTimeout => on.full,
            Code::Timeout
            | Code::UpstreamTimeout
            | Code::UpstreamTryTimeout
            | Code::UpstreamFirstByteTimeout
            | Code::UpstreamConnectTimeout
            | Code::UpstreamWriteTimeout => on.timeout,
            code => code.side() == Side::Upstream && on.failed,
        }
    }

    /// Whether it takes the place of an answer. Where the request may be needed again, it is to be out of the first one's hands.
    pub fn takes_answer(&self, begun: &Begun<'_>) -> bool {
        self.on.statuses.iter().any(|range| range.contains(begun.answered.status()))
            && (self.kept_body() == 0 || !begun.transfer.is_sending())
    }

    /// Of a request body so much must be kept for it.
    pub fn kept_body(&self) -> u64 {
        match self.answer {
            FallbackAnswer::Fixed(_) => 0,
            FallbackAnswer::Service(_) | FallbackAnswer::Handler(_) => KEPT_BYTES,
        }
    }
}

/// Of a request body, for another service or a handler. What is longer can only be answered by a fixed answer.
const KEPT_BYTES: u64 = 64 * 1024;

/// Answers in the place of an answer, which is kept for the case that this cannot.
pub async fn answer_or_keep<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    fallback: &plan::Fallback,
    begun: Begun<'a>,
) -> Begun<'a> {
    let (head, protocol) = (std::mem::take(&mut asked.answer.head), asked.answer.protocol);
    let answered_micros = asked.notes.answered_micros;
    let why = Why::Status(begun.answered.status());
    if let Some(instead) = answer_instead(worker, client, asked, alarm, order, fallback, why).await {
        discard(worker, begun);
        return instead;
    }
    asked.answer.head = head;
    asked.answer.protocol = protocol;
    asked.notes.answered_micros = answered_micros;
    Begun { transfer: begun.transfer.with_alarm(&worker.clock, alarm), ..begun }
}

/// Answers instead; `None` when this cannot either, and the failure stands.
pub async fn answer_instead<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    fallback: &plan::Fallback,
    why: Why,
) -> Option<Begun<'a>> {
    asked.answer.head.clear();
    asked.answer.protocol = None;
    let begun = match &fallback.answer {
        FallbackAnswer::Fixed(fixed) => fixed_answer(worker, client, asked, alarm, fixed),
        FallbackAnswer::Service(name) => another_service(worker, client, asked, alarm, order, name).await?,
        FallbackAnswer::Handler(handler) => handled(worker, client, asked, alarm, order, handler, why)
            .await
            .inspect_err(|failure| {
                tracing::debug!(handler = handler.name, detail = failure.detail.as_deref(), "fallback failed");
            })
            .ok()?,
    };
    let to = match &fallback.answer {
        FallbackAnswer::Fixed(_) => "fixed".into(),
        FallbackAnswer::Service(name) => format!("service:{name}"),
        FallbackAnswer::Handler(handler) => format!("handler:{}", handler.name),
    };
    let service = &asked.snapshot.services[order.service];
    service.series.fell_back(worker.index, &fallback.answer);
    asked.notes.fallback = Some(Fallen { to: to.into(), why: why.word() });
    Some(begun)
}

impl Why {
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed(code) => code.word(),
            Self::Status(_) => "status",
        }
    }
}

fn fixed_answer<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    fixed: &FixedAnswer,
) -> Begun<'a> {
    let head = &mut asked.answer.head;
    for (name, value) in &fixed.headers {
        head.add(name.as_bytes(), value.as_bytes());
    }
    if let Some(seconds) = asked.notes.retry_after
        && head.get(b"retry-after").is_none()
    {
        head.add(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
    if asked.request.expect_continue {
        client.close_after();
    }
    // What other attempts have measured is of another answer.
    asked.notes.answered_micros = 0;
    let (text, answered) = Fixed::new(fixed, asked.request);
    let transfer =
        Transfer::new(&worker.clock, alarm, patience(client, Deadline::default()), worker.now(), Begin::Nothing);
    Begun::of_the_gateway(Attempt::Fixed(text), transfer, answered)
}

async fn another_service<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    name: &str,
) -> Option<Begun<'a>> {
    let snapshot = asked.snapshot;
    let service = snapshot.services.iter().position(|service| &*service.name == name)?;
    let (from, to) = (&snapshot.services[order.service].plan, &snapshot.services[service].plan);
    if !again(client, asked.request) {
        return None;
    }
    // The path of one service begins with its base path; that of the other takes its place.
    let path = order.target.strip_prefix(from.base_path.as_bytes()).unwrap_or(order.target);
    let target = [to.base_path.as_bytes(), path].concat();
    let host = if order.host == from.host.as_bytes() { to.host.as_bytes() } else { order.host };
    let order = Order {
        service,
        calling: &snapshot.callings[service],
        target: &target,
        host,
        hash: order.hash,
        deadline: order.deadline,
    };
    let retry_after = asked.notes.retry_after.take();
    // Boxed, as it may come back to here for the fallback of that service.
    let calling: std::pin::Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(call(worker, client, asked, alarm, &order));
    match calling.await {
        Ok(begun) => Some(begun),
        Err(failure) => {
            tracing::debug!(service = name, reason = failure.code.word(), "fallback failed");
            asked.notes.retry_after = retry_after;
            None
        }
    }
}

async fn handled<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    handler: &plan::Handler,
    why: Why,
) -> Result<Begun<'a>, Failure> {
    let request = asked.request;
    let (Some(bridge), Some(caller)) = (&worker.bridge, &asked.caller) else {
        return Err(Failure::with(
            Code::HandlerFailed,
            "there is nobody to run handlers, or no client to run them for",
        ));
    };
    if !again(client, request) {
        return Err(Failure::with(Code::HandlerFailed, "the request body was not kept"));
    }
    let job = JobRequest { instead_of: Some(why.word()), ..JobRequest::new(request, asked.snapshot, caller) };
    let begin = match request.body {
        BodySize::Empty => Begin::Nothing,
        _ if request.expect_continue => Begin::AwaitHandler,
        _ => Begin::Send,
    };
    let place = Place { worker, bridge, snapshot: asked.snapshot, route: caller.route, deadline: order.deadline };
    let mut upstream = HandlerUpstream::new(handler.id, job, &place);
    asked.notes.answered_micros = 0;
    let patience = patience(client, order.deadline);
    let mut transfer = Transfer::new(&worker.clock, alarm, patience, worker.now(), begin);
    let head = &mut asked.answer.head;
    let answered = poll_fn(|cx| transfer.poll_until_answer(cx, client, &mut upstream, head)).await?;
    Ok(Begun::of_the_gateway(Attempt::Handler(Box::new(upstream)), transfer, answered))
}

/// Whether the request can be sent from its first byte.
fn again<C: Client>(client: &mut C, request: &Request) -> bool {
    request.body == BodySize::Empty || client.rewind()
}

fn patience<C: Client>(client: &C, deadline: Deadline) -> Patience {
    Patience {
        read: NEVER,
        write: NEVER,
        client: client.patience(),
        deadline,
        first_byte: NEVER,
        attempt: NEVER,
        began: 0,
    }
}

/// A fixed answer, as an upstream.
pub struct Fixed {
    left: Bytes,
}

impl Fixed {
    fn new(fixed: &FixedAnswer, request: &Request) -> (Self, Answered) {
        let (status, length) = (fixed.status, fixed.body.len() as u64);
        let without_body = matches!(status, 204 | 205 | 304);
        if without_body || request.method == Method::Head {
            let length = (!without_body).then_some(length);
            return (Self { left: Bytes::new() }, Answered::Final { status, size: BodySize::Empty, length });
        }
        let left = Bytes::copy_from_slice(fixed.body.as_bytes());
        (Self { left }, Answered::Final { status, size: BodySize::Length(length), length: None })
    }
}

impl Source for Fixed {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        Poll::Ready(Ok(if self.left.is_empty() { Filled::End } else { Filled::Data }))
    }

    fn chunk(&self) -> &[u8] {
        &self.left
    }

    fn consume(&mut self, count: usize) {
        let _ = self.left.split_to(count.min(self.left.len()));
    }

    fn is_last(&self) -> bool {
        true
    }

    fn trailers(&self) -> Option<&Head> {
        None
    }
}

impl Sink for Fixed {
    fn poll_send<S: Source>(&mut self, _cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        source.consume(source.chunk().len());
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, _trailers: Option<&Head>) {}

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

impl Upstream for Fixed {
    /// Its head is known before it is asked.
    fn poll_answer(&mut self, _cx: &mut Context<'_>, _head: &mut Head) -> Poll<Result<Answered, Failure>> {
        Poll::Pending
    }

    fn is_stale(&self) -> bool {
        false
    }
}
