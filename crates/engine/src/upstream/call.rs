//! `call`: the one way from an action to a service.
//!
//! ```text
//! choose a target -> take a connection from the pool, or open one -> send -> wait for the head of the answer
//!        ^                                                                             |
//!        +------------- another attempt, where that is safe and there is time --------+
//! ```
//!
//! [`attempt`](crate::upstream::attempt) is one turn of it; [`retry`](crate::upstream::retry) decides about the next.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use crate::clock::{Millis, NEVER};
use crate::exchange::{Answer, Connection, Exchange, Notes, Request};
use crate::head::Head;
use crate::respond::{Code, Failure, Side};
use crate::routing::Captures;
use crate::sides::{BodySize, Client};
use crate::snapshot::Pinned;
use crate::upstream::attempt::{Aim, Failed, attempt};
pub use crate::upstream::attempt::{Attempt, Begun};
use crate::upstream::calling::Calling;
use crate::upstream::deadline::{Deadline, Line};
use crate::upstream::discard::discard;
use crate::upstream::fallback::{Why, answer_instead, answer_or_keep};
use crate::upstream::guard::Guard;
use crate::upstream::hedge::hedged;
use crate::upstream::retry::Reason;
use crate::upstream::retry_after::retry_after;
use crate::upstream::service::Service;
use crate::upstream::target::Target;
use crate::upstream::targets::{Pick, Tried};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// What is asked of which service.
pub struct Order<'a> {
    /// Index of the service in the exchange's snapshot.
    pub service: usize,
    pub calling: &'a Calling,
    /// Path and query as they go upstream.
    pub target: &'a [u8],
    pub host: &'a [u8],
    /// Where requests of the same kind go, for algorithms that care.
    pub hash: Option<u64>,
    /// When the exchange must be over; shared by all attempts.
    pub deadline: Deadline,
}

/// The parts of an exchange that a call reads and fills; a call that the gateway makes itself brings its own.
pub struct Asked<'a> {
    pub snapshot: &'a Pinned,
    pub request: &'a Request,
    pub answer: &'a mut Answer,
    pub notes: &'a mut Notes,
    /// Whose request it is; `None` where the gateway itself is the one that asks.
    pub caller: Option<Caller<'a>>,
}

/// What a handler is told of an exchange beside its request.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub captures: &'a Captures,
    pub client_ip: IpAddr,
    pub connection: &'a Connection,
    pub id: &'a [u8],
    pub route: Option<usize>,
}

impl<'a> Asked<'a> {
    /// By the client of an exchange.
    pub fn by(exchange: &'a mut Exchange) -> Self {
        let Exchange { snapshot, request, answer, notes, captures, client_ip, connection, id, route, .. } = exchange;
        let caller = Caller { captures, client_ip: *client_ip, connection, id, route: *route };
        Self { snapshot, request, answer, notes, caller: Some(caller) }
    }
}

/// What a request line and the framing of a request are made of.
pub struct Outgoing<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    pub host: &'a [u8],
    pub head: &'a Head,
    /// Fields that stand in the place of those of the same name in `head`.
    pub instead: &'a [Line<'a>],
    pub body: BodySize,
}

impl Outgoing<'_> {
    /// Another value, or none, stands in the place of a field of this name.
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.instead.iter().any(|line| line.name.eq_ignore_ascii_case(name))
    }
}

/// Calls a service with the request that was asked, if its breaker and its bulkhead let it; tries again where that is safe, and
/// answers otherwise where the document says so.
pub async fn call<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
) -> Result<Begun<'a>, Failure> {
    let ended = guarded(worker, client, asked, alarm, order).await;
    let Some(fallback) = &order.calling.plan.fallback else { return ended };
    // Apart, so that calls without one do not carry its state.
    match ended {
        Ok(begun) if fallback.takes_answer(&begun) => {
            Ok(Box::pin(answer_or_keep(worker, client, asked, alarm, order, fallback, begun)).await)
        }
        Err(failure) if fallback.takes(failure.code) => {
            let why = Why::Failed(failure.code);
            let instead = Box::pin(answer_instead(worker, client, asked, alarm, order, fallback, why)).await;
            instead.ok_or(failure)
        }
        ended => ended,
    }
}

/// Asks the breaker and the bulkhead first, and tells them what came of it.
async fn guarded<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
) -> Result<Begun<'a>, Failure> {
    let started_micros = worker.clock.now_micros();
    if asked.request.body != BodySize::Empty {
        let protocol = asked.snapshot.services[order.service].plan.protocol;
        client.keep_body(order.calling.kept_body(asked.request, protocol));
    }
    let mut guard = Guard::enter(worker, client, asked.notes, order, started_micros).await?;
    match tried(worker, client, asked, alarm, order, guard.started_micros()).await {
        Ok(mut begun) => {
            guard.answered(worker, &begun.answered, &asked.answer.head, asked.notes);
            begun.guard = guard;
            Ok(begun)
        }
        Err(Failed { failure, outcome, .. }) => {
            if matches!(failure.code, Code::BulkheadFull | Code::QueueTimeout) {
                asked.notes.retry_after = Some(1);
            }
            if guard.is_there() {
                guard.failed(outcome, asked.notes, worker.clock.now_micros());
            }
            Err(failure)
        }
    }
}

/// Tries until an answer comes that is good enough.
async fn tried<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    started_micros: u64,
) -> Result<Begun<'a>, Failed> {
    let service = &asked.snapshot.services[order.service];
    if let Some(budget) = &order.calling.budget {
        budget.deposit(worker.index, started_micros / 1000);
    }
    let hedge = order.calling.hedge.as_deref().filter(|hedge| hedge.takes(asked.request));
    if let Some(hedge) = hedge {
        hedge.deposit(worker.index, started_micros / 1000);
    }
    let mut again = Again { worker, service, order, request: asked.request, retries: 0 };
    let tried = Tried::default();
    let target = pick(worker, service, order, &tried, started_micros / 1000)?;
    let mut aim = Aim { target, tried, fresh: false, started_micros };
    loop {
        asked.notes.attempts += 1;
        let ended = match hedge {
            None => attempt(worker, client, asked, alarm, order, &aim).await,
            Some(hedge) => hedged(worker, client, asked, alarm, order, &mut aim, hedge).await,
        };
        let wait = match ended {
            Ok(begun) => match again.after_answer(client, begun.answered.status(), &asked.answer.head) {
                Some(wait) => {
                    discard(worker, begun);
                    wait
                }
                None => return Ok(begun),
            },
            Err(failed) => {
                again.tell(&failed, asked.notes);
                match again.after_failure(client, &failed, aim.fresh) {
                    Some(wait) => wait,
                    None => return Err(failed),
                }
            }
        };
        if !client.rewind() {
            return Err(not_kept().into());
        }
        asked.answer.head.clear();
        asked.answer.protocol = None;
        asked.notes.answered_micros = 0;
        aim.fresh = matches!(wait, Wait::Renew);
        if let Wait::For(wait) = wait {
            pause(worker, client, wait).await?;
            aim.tried.add(&aim.target);
            if let Some(target) = &asked.notes.target {
                aim.tried.add(target);
            }
            aim.target = pick(worker, service, order, &aim.tried, worker.now())?;
        }
        aim.started_micros = worker.clock.now_micros();
    }
}

/// What comes before another attempt.
enum Wait {
    /// Nothing: the connection is replaced, and the target is the same.
    Renew,
    For(Millis),
}

/// Decides about attempts after the first.
struct Again<'a> {
    worker: &'a Worker,
    service: &'a Service,
    order: &'a Order<'a>,
    request: &'a Request,
    retries: u32,
}

impl Again<'_> {
    fn after_answer<C: Client>(&mut self, client: &C, status: u16, head: &Head) -> Option<Wait> {
        let retry = &self.order.calling.retry;
        if retry.attempts == 0 {
            return None;
        }
        let reason = retry.of_answer(status, head)?;
        let wall = || self.worker.clock.wall();
        let wanted = if retry.obeys() { retry_after(head, wall) } else { None };
        self.after(client, reason, true, wanted)
    }

    fn after_failure<C: Client>(&mut self, client: &C, failed: &Failed, fresh: bool) -> Option<Wait> {
        let Failed { failure, stale, sent, .. } = failed;
        let retry = &self.order.calling.retry;
        if *stale && !fresh {
            let repeats = retry.may_repeat(self.request, *sent) && client.can_rewind() && !self.is_late(0);
            return repeats.then(|| {
                self.service.series.retried(self.worker.index, Reason::Stale);
                Wait::Renew
            });
        }
        let reason = retry.of_failure(failure, *sent)?;
        self.after(client, reason, *sent, None)
    }

    fn after<C: Client>(&mut self, client: &C, reason: Reason, sent: bool, wanted: Option<Millis>) -> Option<Wait> {
        let Calling { retry, budget, .. } = self.order.calling;
        if self.retries >= retry.attempts || !retry.may_repeat(self.request, sent) || !client.can_rewind() {
            return None;
        }
        let wait = retry.wait(self.retries + 1, wanted, |below| self.worker.local.random_below(below))?;
        if self.is_late(wait) {
            return None;
        }
        // Last, so that nothing is taken from it for an attempt that is not made.
        if let Some(budget) = budget
            && !budget.withdraw(self.worker.now())
        {
            self.service.series.out_of_budget(self.worker.index);
            return None;
        }
        self.retries += 1;
        self.service.series.retried(self.worker.index, reason);
        Some(Wait::For(wait))
    }

    /// The time of the exchange would be over before another attempt could begin.
    fn is_late(&self, wait: Millis) -> bool {
        let due = self.order.deadline.at;
        due != NEVER && self.worker.now().saturating_add(wait) >= due
    }

    fn tell(&self, failed: &Failed, notes: &Notes) {
        let Failed { failure, .. } = failed;
        if failure.code.side() == Side::Upstream {
            tracing::warn!(
                service = &*self.service.name,
                target = notes.target.as_ref().map(|target| &*target.name),
                attempt = notes.attempts,
                reason = failure.code.word(),
                detail = failure.detail.as_deref(),
                "upstream call failed"
            );
        }
    }
}

/// The gateway's own mistake: nothing is sent again whose body is not there.
pub fn not_kept() -> Failure {
    Failure::with(Code::InternalError, "the request body was not kept")
}

async fn pause<C: Client>(worker: &Rc<Worker>, client: &mut C, wait: Millis) -> Result<(), Failure> {
    if wait == 0 {
        return Ok(());
    }
    let due = worker.now().saturating_add(wait);
    unless_gone(client, async {
        worker.wheel.sleep_until(due).await;
        Ok(())
    })
    .await
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

/// The target for one attempt: not one that was tried, while there are others.
pub fn pick(
    worker: &Worker,
    service: &Service,
    order: &Order<'_>,
    tried: &Tried,
    now: Millis,
) -> Result<Arc<Target>, Failure> {
    let picked = service.pick(worker, &Pick { hash: order.hash, tried, now });
    picked.ok_or_else(|| Failure::with(Code::NoTarget, format_args!("service {}: no target may be used", service.name)))
}

/// The deadline of an exchange that began at `started`, for a route's timeout.
pub fn deadline(started: Millis, timeout: Option<u64>) -> Millis {
    timeout.map_or(NEVER, |timeout| started.saturating_add(timeout))
}
