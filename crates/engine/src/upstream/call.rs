//! `call`: the one way from an action to a service.
//!
//! ```text
//! choose a target -> take a connection from the pool, or open one -> send -> wait for the head of the answer
//!        ^                                                                             |
//!        +--------------- another attempt, where that is safe ------------------------+
//! ```

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::clock::{Millis, NEVER};
use crate::exchange::{Answer, Exchange, Notes, Protocol, Request, Upgrade};
use crate::head::Head;
use crate::plan::UpstreamProtocol;
use crate::respond::{Code, Failure, Side};
use crate::sides::{Answered, BodySize, Client, Filled, Sink, Source, Upstream};
use crate::snapshot::Pinned;
use crate::transfer::{Begin, Patience, Transfer};
use crate::upstream::connect::connect;
use crate::upstream::http1::{Http1Upstream, Wire};
use crate::upstream::http2::{self, Http2Upstream};
use crate::upstream::service::Service;
use crate::upstream::target::Target;
use crate::upstream::targets::{Pick, Tried};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// What is asked of which service.
pub struct Order<'a> {
    /// Index of the service in the exchange's snapshot.
    pub service: usize,
    /// Path and query as they go upstream.
    pub target: &'a [u8],
    pub host: &'a [u8],
    /// Where requests of the same kind go, for algorithms that care.
    pub hash: Option<u64>,
    /// When the exchange must be over; [`NEVER`] without a limit.
    pub deadline: Millis,
}

/// The parts of an exchange that a call reads and fills; a call that the gateway makes itself brings its own.
pub struct Asked<'a> {
    pub snapshot: &'a Pinned,
    pub request: &'a Request,
    pub answer: &'a mut Answer,
    pub notes: &'a mut Notes,
}

impl<'a> Asked<'a> {
    /// By the client of an exchange.
    pub fn by(exchange: &'a mut Exchange) -> Self {
        let Exchange { snapshot, request, answer, notes, .. } = exchange;
        Self { snapshot, request, answer, notes }
    }
}

/// What a request line and the framing of a request are made of.
pub struct Outgoing<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    pub host: &'a [u8],
    pub head: &'a Head,
    pub body: BodySize,
}

/// One attempt at a service, over either protocol.
pub enum Attempt {
    Http1(Http1Upstream),
    Http2(Box<Http2Upstream>),
}

/// An answer has begun: its head is in the exchange, its body is to be transferred.
pub struct Begun<'a> {
    pub upstream: Attempt,
    pub transfer: Transfer<'a>,
    pub answered: Answered,
}

/// Calls a service with the request that was asked, and tries again where that is safe.
pub async fn call<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
) -> Result<Begun<'a>, Failure> {
    let service = &asked.snapshot.services[order.service];
    let mut retries = service.plan.retries;
    let mut tried = Tried::default();
    let mut target = pick(worker, service, order, &tried)?;
    // A connection that had gone stale is no fault of the target: one more attempt, on a new connection, counts for nothing.
    let mut fresh = false;
    loop {
        asked.notes.attempts += 1;
        let failure = match attempt(worker, client, asked, alarm, order, &target, fresh).await {
            Ok(begun) => return Ok(begun),
            Err(failure) => failure,
        };
        let Failed { failure, stale, sent } = failure;
        if failure.code.side() == Side::Upstream {
            tracing::warn!(
                service = &*service.name,
                target = &*target.name,
                attempt = asked.notes.attempts,
                reason = failure.code.word(),
                detail = failure.detail.as_deref(),
                "upstream call failed"
            );
        }
        if !may_repeat(&failure, sent, asked.request) || !client.rewind() || worker.now() >= order.deadline {
            return Err(failure);
        }
        if stale && !fresh {
            fresh = true;
        } else if retries > 0 {
            retries -= 1;
            fresh = false;
            tried.add(&target);
            target = pick(worker, service, order, &tried)?;
        } else {
            return Err(failure);
        }
        asked.answer.head.clear();
    }
}

struct Failed {
    failure: Failure,
    stale: bool,
    /// The service may have seen the request.
    sent: bool,
}

/// RFC 9110 section 9.2.2: what the service may have seen is repeated only when repeating it does no more.
fn may_repeat(failure: &Failure, sent: bool, request: &Request) -> bool {
    let transient = matches!(
        failure.code,
        Code::UpstreamConnectFailed
            | Code::UpstreamConnectTimeout
            | Code::UpstreamUnresolved
            | Code::UpstreamReset
            | Code::UpstreamClosed
    );
    transient && request.upgrade == Upgrade::None && (!sent || request.method.is_idempotent())
}

async fn attempt<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    target: &Arc<Target>,
    fresh: bool,
) -> Result<Begun<'a>, Failed> {
    let (snapshot, request) = (asked.snapshot, asked.request);
    let service = &snapshot.services[order.service];
    asked.notes.target = Some(target.clone());
    let now = worker.now();
    let once = !request.method.is_idempotent() || request.upgrade != Upgrade::None;
    let not_sent = |failure| Failed { failure, stale: false, sent: false };
    let (mut upstream, began) = match pooled(worker, snapshot, order.service, target, fresh, once) {
        Some(upstream) => (upstream, now),
        None => {
            let due = now.saturating_add(service.plan.connect_timeout_ms).min(order.deadline);
            let opening = open(worker, snapshot, order.service, target, due);
            let opened = unless_gone(client, opening).await.map_err(|failure| {
                // The exchange's own time was shorter than the service's.
                let late = failure.code == Code::UpstreamConnectTimeout && worker.now() >= order.deadline;
                not_sent(if late { Code::Timeout.into() } else { failure })
            })?;
            // What connecting took is not the service's silence.
            (opened, worker.now())
        }
    };
    upstream
        .send_head(
            request,
            &Outgoing {
                method: request.method_name(),
                target: order.target,
                host: order.host,
                head: &request.head,
                body: request.body,
            },
        )
        .map_err(not_sent)?;
    let patience = Patience {
        read: service.plan.read_timeout_ms,
        write: service.plan.write_timeout_ms,
        client: client.patience(),
        deadline: order.deadline,
    };
    let mut transfer = Transfer::new(&worker.clock, alarm, patience, began, begin(request));
    let head = &mut asked.answer.head;
    let answered = poll_fn(|cx| transfer.poll_until_answer(cx, client, &mut upstream, head)).await;
    match answered {
        Ok(answered) => {
            asked.answer.protocol = Some(upstream.protocol());
            Ok(Begun { upstream, transfer, answered })
        }
        Err(failure) => Err(Failed { failure, stale: upstream.is_stale(), sent: !upstream.is_unseen() }),
    }
}

fn begin(request: &Request) -> Begin {
    match (request.upgrade, request.body) {
        (Upgrade::Http1 | Upgrade::Connect(_), BodySize::Empty) => Begin::AwaitSwitch,
        (_, BodySize::Empty) => Begin::Nothing,
        _ if request.expect_continue => Begin::AwaitContinue,
        _ => Begin::Send,
    }
}

/// Waits for something, and stops when the client leaves meanwhile. Of what it sends, a bounded part is read ahead.
pub async fn unless_gone<C: Client, T>(
    client: &mut C,
    opening: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut opening = std::pin::pin!(opening);
    poll_fn(|cx| match opening.as_mut().poll(cx) {
        Poll::Pending => client.poll_gone(cx).map(|()| Err(Code::ClientGone.into())),
        polled => polled,
    })
    .await
}

fn pooled(
    worker: &Rc<Worker>,
    snapshot: &Pinned,
    service: usize,
    target: &Arc<Target>,
    fresh: bool,
    once: bool,
) -> Option<Attempt> {
    let plan = &snapshot.services[service];
    if fresh || plan.plan.protocol != UpstreamProtocol::Http1 {
        return None;
    }
    let wire = worker.pools.take(worker, plan, target, once)?;
    Some(Attempt::Http1(Http1Upstream::new(worker, snapshot, service, target, wire)))
}

async fn open(
    worker: &Rc<Worker>,
    snapshot: &Pinned,
    service: usize,
    target: &Arc<Target>,
    due: Millis,
) -> Result<Attempt, Failure> {
    let plan = &snapshot.services[service];
    match plan.plan.protocol {
        UpstreamProtocol::Http1 => {
            let socket = connect(worker, plan, target, due).await?;
            plan.series.opened(worker.index);
            Ok(Attempt::Http1(Http1Upstream::new(worker, snapshot, service, target, Wire::new(socket))))
        }
        UpstreamProtocol::H2 => http2::open(worker, snapshot, service, target, due).await.map(Attempt::Http2),
    }
}

/// The target for one attempt: not one that was tried, while there are others.
fn pick(worker: &Worker, service: &Service, order: &Order<'_>, tried: &Tried) -> Result<Arc<Target>, Failure> {
    let pick = Pick { hash: order.hash, tried, now: worker.now() };
    let picked = service.pick(worker, &pick);
    picked.ok_or_else(|| Failure::with(Code::NoTarget, format_args!("service {}: no target may be used", service.name)))
}

impl Attempt {
    fn send_head(&mut self, request: &Request, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        match self {
            Self::Http1(upstream) => {
                upstream.send_head(request, outgoing);
                Ok(())
            }
            Self::Http2(upstream) => upstream.send_head(request, outgoing),
        }
    }

    fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http11,
            Self::Http2(_) => Protocol::Http2,
        }
    }

    /// The service is known not to have seen the request.
    fn is_unseen(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(upstream) => upstream.is_unseen(),
        }
    }
}

macro_rules! on_either {
    ($self:expr, $upstream:ident => $call:expr) => {
        match $self {
            Attempt::Http1($upstream) => $call,
            Attempt::Http2($upstream) => $call,
        }
    };
}

impl Source for Attempt {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        on_either!(self, upstream => upstream.poll_fill(cx))
    }

    fn chunk(&self) -> &[u8] {
        on_either!(self, upstream => upstream.chunk())
    }

    fn consume(&mut self, count: usize) {
        on_either!(self, upstream => upstream.consume(count));
    }

    fn take(&mut self, most: usize) -> Bytes {
        on_either!(self, upstream => upstream.take(most))
    }

    fn is_last(&self) -> bool {
        on_either!(self, upstream => upstream.is_last())
    }

    fn trailers(&self) -> Option<&Head> {
        on_either!(self, upstream => upstream.trailers())
    }
}

impl Sink for Attempt {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        on_either!(self, upstream => upstream.poll_send(cx, source))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        on_either!(self, upstream => upstream.end(trailers));
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        on_either!(self, upstream => upstream.poll_flush(cx))
    }
}

impl Upstream for Attempt {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Answered, Failure>> {
        on_either!(self, upstream => upstream.poll_answer(cx, head))
    }

    fn is_stale(&self) -> bool {
        on_either!(self, upstream => upstream.is_stale())
    }
}

/// The deadline of an exchange that began at `started`, for a route's timeout.
pub fn deadline(started: Millis, timeout: Option<u64>) -> Millis {
    timeout.map_or(NEVER, |timeout| started.saturating_add(timeout))
}
