//! One attempt at a service: a connection, the request, the head of an answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::actions::handler::HandlerUpstream;
use crate::clock::{Millis, NEVER};
use crate::exchange::{Protocol, Request, Upgrade};
use crate::head::Head;
use crate::plan::UpstreamProtocol;
use crate::respond::{Code, Failure};
use crate::sides::{Answered, BodySize, Client, Filled, Sink, Source, Upstream};
use crate::snapshot::Pinned;
use crate::transfer::{Begin, Patience, Transfer};
use crate::upstream::bulkhead::Got;
use crate::upstream::call::{Asked, Order, Outgoing, unless_gone};
use crate::upstream::connect::connect;
use crate::upstream::fallback::Fixed;
use crate::upstream::guard::Guard;
use crate::upstream::http1::{Http1Upstream, Wire};
use crate::upstream::http2::{self, Http2Upstream};
use crate::upstream::outcome::Outcome;
use crate::upstream::target::Target;
use crate::upstream::targets::Tried;
use crate::upstream::ticket::Ticket;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// An attempt, over either protocol.
pub enum Attempt {
    Http1(Http1Upstream),
    Http2(Box<Http2Upstream>),
    /// A fallback's: no service is asked.
    Fixed(Fixed),
    Handler(Box<HandlerUpstream>),
}

/// Where an attempt goes.
#[derive(Clone)]
pub struct Aim {
    pub target: Arc<Target>,
    /// Where the call has been before.
    pub tried: Tried,
    /// Over a new connection, as one of the pool had gone stale.
    pub fresh: bool,
    /// On the clock's line.
    pub started_micros: u64,
}

/// An answer has begun: its head is in the exchange, its body is to be transferred.
pub struct Begun<'a> {
    pub upstream: Attempt,
    pub transfer: Transfer<'a>,
    pub answered: Answered,
    /// `None`: no target was asked.
    pub ticket: Option<Ticket>,
    /// Of the call that it is the answer to.
    pub guard: Guard,
}

/// No answer has begun.
pub struct Failed {
    pub failure: Failure,
    /// It may be nothing but a pooled connection that the service had closed.
    pub stale: bool,
    /// The service may have seen the request.
    pub sent: bool,
    pub outcome: Outcome,
}

impl From<Failure> for Failed {
    /// Of the client's side, or the gateway's: it would be the same the next time.
    fn from(failure: Failure) -> Self {
        let outcome = Outcome::of(&failure);
        Self { failure, stale: false, sent: true, outcome }
    }
}

impl<'a> Begun<'a> {
    /// An answer that no service gave.
    pub fn of_the_gateway(upstream: Attempt, transfer: Transfer<'a>, answered: Answered) -> Self {
        Self { upstream, transfer, answered, ticket: None, guard: Guard::default() }
    }

    /// What it took the service, to the head of the answer.
    pub fn micros(&self) -> u64 {
        self.ticket.as_ref().map_or(0, Ticket::micros)
    }

    /// The answer is over, or was cut off.
    pub fn over(mut self, worker: &Worker, ended: &Result<(), Failure>) {
        match ended {
            Ok(()) => self.guard.ended(),
            Err(failure) => {
                let (outcome, now_micros) = (self.transfer.outcome(failure), worker.clock.now_micros());
                self.ticket.iter_mut().for_each(|ticket| ticket.failed(outcome, now_micros));
                self.guard.broke_off(outcome, now_micros / 1000);
            }
        }
    }
}

/// Asks a target. What comes is in the exchange: the head of the answer, the target and the time.
pub async fn attempt<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    aim: &Aim,
) -> Result<Begun<'a>, Failed> {
    let mut ticket = Ticket::new(worker.index, aim);
    asked.notes.target = Some(aim.target.clone());
    let (mut upstream, mut transfer) = match begin(worker, client, asked, alarm, order, aim).await {
        Ok(begun) => begun,
        Err(failure) => {
            // Who waits for a connection waits for the service.
            let outcome = match failure.code {
                Code::Timeout => Outcome::Failed(Code::Timeout),
                _ => Outcome::of(&failure),
            };
            ticket.failed(outcome, worker.clock.now_micros());
            return Err(Failed { failure, stale: false, sent: false, outcome });
        }
    };
    let head = &mut asked.answer.head;
    let answered = poll_fn(|cx| transfer.poll_until_answer(cx, client, &mut upstream, head)).await;
    let now_micros = worker.clock.now_micros();
    let client_micros = transfer.client_ms(now_micros / 1000) * 1000;
    ticket.waited(client_micros);
    asked.notes.client_micros += client_micros;
    match answered {
        Ok(answered) => {
            ticket.answered(answered.status(), now_micros);
            asked.answer.protocol = upstream.protocol();
            asked.notes.answered_micros = now_micros;
            Ok(Begun { upstream, transfer, answered, ticket: Some(ticket), guard: Guard::default() })
        }
        Err(failure) => {
            let (stale, outcome) = (upstream.is_stale(), transfer.outcome(&failure));
            if !stale {
                ticket.failed(outcome, now_micros);
            }
            Err(Failed { failure, stale, sent: !upstream.is_unseen(), outcome })
        }
    }
}

/// Takes or opens a connection and sends the head of the request.
async fn begin<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    aim: &Aim,
) -> Result<(Attempt, Transfer<'a>), Failure> {
    let (snapshot, request) = (asked.snapshot, asked.request);
    let service = &snapshot.services[order.service];
    let started = aim.started_micros / 1000;
    let once = !request.method.is_idempotent() || request.upgrade != Upgrade::None;
    let head_due = order.calling.head_due(started);
    let (mut upstream, now) = match pooled(worker, snapshot, order.service, aim, once) {
        Some(upstream) => (upstream, started),
        None => {
            let due = order.deadline.at.min(head_due);
            let opened = unless_gone(client, open(worker, snapshot, order.service, aim, due)).await;
            // What connecting took is not the service's silence.
            let now = worker.now();
            (opened.map_err(|failure| late(failure, now, order, head_due))?, now)
        }
    };
    let passed = order.deadline.passed_on(request, order.calling, now);
    upstream.send_head(
        request,
        &Outgoing {
            method: request.method_name(),
            target: order.target,
            host: order.host,
            head: &request.head,
            instead: &passed,
            body: request.body,
        },
    )?;
    let patience = Patience {
        read: service.plan.read_timeout_ms,
        write: service.plan.write_timeout_ms,
        client: client.patience(),
        deadline: order.deadline,
        first_byte: order.calling.plan.first_byte_timeout_ms.unwrap_or(NEVER),
        attempt: order.calling.plan.try_timeout_ms.unwrap_or(NEVER),
        began: started,
    };
    Ok((upstream, Transfer::new(&worker.clock, alarm, patience, now, request_begins(request))))
}

/// The time to connect may have been shorter than the service's own.
fn late(failure: Failure, now: Millis, order: &Order<'_>, head_due: Millis) -> Failure {
    match failure.code {
        Code::UpstreamConnectTimeout | Code::QueueTimeout if now >= order.deadline.at => order.deadline.late.into(),
        Code::UpstreamConnectTimeout if now >= head_due => Failure { code: Code::UpstreamTryTimeout, ..failure },
        _ => failure,
    }
}

fn request_begins(request: &Request) -> Begin {
    match (request.upgrade, request.body) {
        (Upgrade::Http1 | Upgrade::Connect(_), BodySize::Empty) => Begin::AwaitSwitch,
        (_, BodySize::Empty) => Begin::Nothing,
        _ if request.expect_continue => Begin::AwaitContinue,
        _ => Begin::Send,
    }
}

fn pooled(worker: &Rc<Worker>, snapshot: &Pinned, service: usize, aim: &Aim, once: bool) -> Option<Attempt> {
    let plan = &snapshot.services[service];
    if aim.fresh || plan.plan.protocol != UpstreamProtocol::Http1 {
        return None;
    }
    let wire = worker.pools.take(worker, plan, &aim.target, once)?;
    Some(Attempt::Http1(Http1Upstream::new(worker, snapshot, service, &aim.target, wire)))
}

/// Opens a connection, or is handed one that has become free where there may be no more; `due` at the latest.
async fn open(
    worker: &Rc<Worker>,
    snapshot: &Pinned,
    service: usize,
    aim: &Aim,
    due: Millis,
) -> Result<Attempt, Failure> {
    let (plan, target) = (&snapshot.services[service], &aim.target);
    let connect_due = |began: Millis| began.saturating_add(plan.plan.connect_timeout_ms).min(due);
    let began = aim.started_micros / 1000;
    if plan.plan.protocol == UpstreamProtocol::H2 {
        let due = if plan.connections.is_some() { due } else { connect_due(began) };
        return http2::open(worker, snapshot, service, target, due).await.map(Attempt::Http2);
    }
    let http1 = |wire| Attempt::Http1(Http1Upstream::new(worker, snapshot, service, target, wire));
    let (held, began) = match &plan.connections {
        None => (None, began),
        Some(connections) => loop {
            match connections.ask(worker, target.slot, due).await? {
                Got::Slot(slot) => break (Some(slot), worker.now()),
                Got::Handed(number) => {
                    if let Some(wire) = worker.pools.handed(worker, number) {
                        return Ok(http1(wire));
                    }
                }
            }
        },
    };
    let socket = connect(worker, plan, target, connect_due(began)).await?;
    plan.series.opened(worker.index);
    Ok(http1(Wire::new(socket, held)))
}

impl Attempt {
    fn send_head(&mut self, request: &Request, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        match self {
            Self::Http1(upstream) => {
                upstream.send_head(request, outgoing);
                Ok(())
            }
            Self::Http2(upstream) => upstream.send_head(request, outgoing),
            Self::Fixed(_) | Self::Handler(_) => Ok(()),
        }
    }

    fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http11),
            Self::Http2(_) => Some(Protocol::Http2),
            Self::Fixed(_) | Self::Handler(_) => None,
        }
    }

    /// The service is known not to have seen the request.
    fn is_unseen(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(upstream) => upstream.is_unseen(),
            Self::Fixed(_) | Self::Handler(_) => true,
        }
    }
}

macro_rules! on_either {
    ($self:expr, $upstream:ident => $call:expr) => {
        match $self {
            Attempt::Http1($upstream) => $call,
            Attempt::Http2($upstream) => $call,
            Attempt::Fixed($upstream) => $call,
            Attempt::Handler($upstream) => $call,
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
