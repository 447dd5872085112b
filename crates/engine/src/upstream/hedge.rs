//! A second attempt when the first is late: the quicker answer is taken, and the other attempt is cancelled.
//!
//! After Dean and Barroso, "The Tail at Scale", 2013. Only where `hedging` is set: then a request costs an allocation or two more, and
//! its body is here whole before it is sent.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::clock::Millis;
use crate::exchange::{Answer, Method, Notes, Request, Upgrade};
use crate::plan::{self, HedgeAfter};
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled};
use crate::snapshot::Pinned;
use crate::upstream::attempt::{Aim, Begun, Failed, attempt};
use crate::upstream::budget::Budget;
use crate::upstream::call::{Asked, Order, pick};
use crate::upstream::collector::Collector;
use crate::upstream::latency::Latency;
use crate::upstream::retry::method_list;
use crate::wheel::{Alarm, TICK};
use crate::worker::Worker;

/// When a second attempt begins, and how many there may be. One for all calls of a service with equal settings; outlives a reload.
pub struct Hedge {
    after: After,
    budget: Budget,
    methods: Option<Box<[Box<[u8]>]>>,
}

enum After {
    Delay(Millis),
    Quantile(Latency),
}

impl Hedge {
    pub fn new(plan: &plan::Hedging, workers: usize) -> Self {
        Self {
            after: match plan.after {
                HedgeAfter::DelayMs(delay) => After::Delay(delay),
                HedgeAfter::Permille(permille) => After::Quantile(Latency::new(permille)),
            },
            budget: Budget::new(&plan.budget, workers),
            methods: plan.methods.as_deref().map(method_list),
        }
    }

    /// The request may be sent twice.
    pub fn takes(&self, request: &Request) -> bool {
        let by_method = match &self.methods {
            None => matches!(request.method, Method::Get | Method::Head | Method::Options | Method::Trace),
            Some(methods) => methods.iter().any(|method| **method == *request.method_name()),
        };
        by_method && request.upgrade == Upgrade::None && !request.expect_continue
    }

    /// A call begins.
    pub fn deposit(&self, worker: usize, now: Millis) {
        self.budget.deposit(worker, now);
    }

    fn delay(&self, now: Millis) -> Option<Millis> {
        match &self.after {
            After::Delay(delay) => Some(*delay),
            After::Quantile(latency) => latency.quantile(now),
        }
    }

    fn took(&self, micros: u64) {
        if let After::Quantile(latency) = &self.after {
            latency.record(micros);
        }
    }
}

/// An attempt that ended, with what belongs to it.
struct Raced<'s> {
    ended: Result<Begun<'s>, Failed>,
    answer: Answer,
    notes: Notes,
    /// Bytes of the request body that were sent.
    sent: u64,
}

/// Borrows what it was made of for `'f`, and what its answer goes on with for `'s`.
type Racing<'f, 's> = Pin<Box<dyn Future<Output = Raced<'s>> + 'f>>;

/// As [`attempt`], with a second one when the first is late.
pub async fn hedged<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    aim: &Aim,
    hedge: &Hedge,
) -> Result<Begun<'a>, Failed> {
    let delay = hedge.delay(aim.started_micros / 1000);
    let body = match delay {
        Some(_) => collect(worker, client, asked.request, alarm, order).await?,
        None => None,
    };
    // What the client took for its body does not make the service late.
    let begun;
    let aim = match asked.request.body {
        BodySize::Empty => aim,
        _ => {
            begun = Aim { started_micros: worker.clock.now_micros(), ..aim.clone() };
            asked.notes.client_micros += begun.started_micros.saturating_sub(aim.started_micros);
            &begun
        }
    };
    let began = aim.started_micros / 1000;
    let (Some(delay), Some(body)) = (delay, body) else {
        let ended = attempt(worker, client, asked, alarm, order, aim).await;
        if let Ok(begun) = &ended {
            hedge.took(begun.micros());
        }
        return ended;
    };
    let (snapshot, request) = (asked.snapshot, asked.request);
    let service = &snapshot.services[order.service];
    let own = worker.wheel.alarm();
    let late;
    // The wheel turns in ticks: less than one would make late what is just not there at the next.
    own.set(began.saturating_add(delay.max(TICK)));
    // It writes where the answer is wanted in the end, into memory that has its size.
    let answer = std::mem::take(asked.answer);
    let mut first: Racing<'_, 'a> = Box::pin(race(worker, snapshot, request, alarm, order, aim, body.clone(), answer));
    let early = poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(raced) => Poll::Ready(Ok(Some(raced))),
        Poll::Pending if client.poll_gone(cx).is_ready() => Poll::Ready(Err(gone())),
        Poll::Pending => own.poll(cx).map(|()| Ok(None)),
    });
    let raced = match early.await? {
        Some(raced) => raced,
        None if !hedge.budget.withdraw(worker.now()) => {
            service.series.hedge_out_of_budget(worker.index);
            alone(client, &mut first).await?
        }
        None => {
            service.series.hedged(worker.index);
            asked.notes.attempts += 1;
            let started_micros = worker.clock.now_micros();
            let mut tried = aim.tried.clone();
            tried.add(&aim.target);
            let target = pick(worker, service, order, &tried, started_micros / 1000).map_err(not_sent)?;
            late = Aim { target, tried, fresh: false, started_micros };
            let mut second: Racing<'_, '_> =
                Box::pin(race(worker, snapshot, request, &own, order, &late, body, Answer::default()));
            let both = both(client, order, &mut first, &mut second).await?;
            let lost = if both.second { aim } else { &late };
            if both.other_runs {
                // It would have taken longer than this, which is better known than not.
                hedge.took(worker.clock.now_micros().saturating_sub(lost.started_micros));
            }
            if both.second && both.raced.ended.is_ok() {
                service.series.hedge_won(worker.index);
            }
            both.raced
        }
    };
    if let Ok(begun) = &raced.ended {
        hedge.took(begun.micros());
    }
    take(worker, client, asked, alarm, raced)
}

#[expect(clippy::too_many_arguments, reason = "all of what an attempt needs, and nothing belongs together")]
async fn race<'s>(
    worker: &'s Rc<Worker>,
    snapshot: &Pinned,
    request: &Request,
    alarm: &'s Alarm,
    order: &Order<'_>,
    aim: &Aim,
    body: Bytes,
    mut answer: Answer,
) -> Raced<'s> {
    let mut notes = Notes::default();
    let mut client = Collector::new(body, 0);
    let mut asked = Asked { snapshot, request, answer: &mut answer, notes: &mut notes, caller: None };
    let ended = attempt(worker, &mut client, &mut asked, alarm, order, aim).await;
    Raced { ended, answer, notes, sent: client.bytes_received() }
}

async fn alone<'s, C: Client>(client: &mut C, first: &mut Racing<'_, 's>) -> Result<Raced<'s>, Failed> {
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(raced) => Poll::Ready(Ok(raced)),
        Poll::Pending => client.poll_gone(cx).map(|()| Err(gone())),
    })
    .await
}

struct Finished<'s> {
    raced: Raced<'s>,
    /// It was the second attempt.
    second: bool,
    other_runs: bool,
}

/// The first answer that needs no other; when there is none, what came last, but rather an answer than a failure.
async fn both<'a: 's, 's, C: Client>(
    client: &mut C,
    order: &Order<'_>,
    first: &mut Racing<'_, 'a>,
    second: &mut Racing<'_, 's>,
) -> Result<Finished<'s>, Failed> {
    let mut spare: Option<Finished<'s>> = None;
    poll_fn(|cx| {
        for is_second in [false, true] {
            if spare.as_ref().is_some_and(|spare| spare.second == is_second) {
                continue;
            }
            let polled: Poll<Raced<'s>> = match is_second {
                false => first.as_mut().poll(cx).map(|raced| raced),
                true => second.as_mut().poll(cx),
            };
            let Poll::Ready(raced) = polled else { continue };
            let good = raced.is_good(order);
            let finished = Finished { raced, second: is_second, other_runs: spare.is_none() };
            match spare.take() {
                Some(other) if !good && other.raced.ended.is_ok() => {
                    return Poll::Ready(Ok(Finished { other_runs: false, ..other }));
                }
                None if !good => spare = Some(finished),
                _ => return Poll::Ready(Ok(finished)),
            }
        }
        client.poll_gone(cx).map(|()| Err(gone()))
    })
    .await
}

impl Raced<'_> {
    /// An answer, and none that would be tried again.
    fn is_good(&self, order: &Order<'_>) -> bool {
        let Ok(begun) = &self.ended else { return false };
        order.calling.retry.of_answer(begun.answered.status(), &self.answer.head).is_none()
    }
}

/// Puts what came into the exchange, and lets its own client go on where the stand-in was.
fn take<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    raced: Raced<'_>,
) -> Result<Begun<'a>, Failed> {
    let Raced { ended, answer, notes, sent } = raced;
    *asked.answer = answer;
    asked.notes.target = notes.target;
    asked.notes.answered_micros = notes.answered_micros;
    let Begun { upstream, transfer, answered, ticket, guard } = ended?;
    if transfer.is_sending() && client.rewind() {
        skip(client, sent);
    }
    Ok(Begun { upstream, transfer: transfer.with_alarm(&worker.clock, alarm), answered, ticket, guard })
}

/// Consumes what was sent already of a body that is all here.
fn skip<C: Client>(client: &mut C, mut count: u64) {
    let mut cx = Context::from_waker(Waker::noop());
    while count > 0 && matches!(client.poll_fill(&mut cx), Poll::Ready(Ok(Filled::Data))) {
        let piece = client.chunk().len().min(usize::try_from(count).unwrap_or(usize::MAX));
        client.consume(piece);
        count -= piece as u64;
    }
}

/// The whole request body, where it is short enough to be kept and has no trailers; else it starts again.
async fn collect<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    request: &Request,
    alarm: &Alarm,
    order: &Order<'_>,
) -> Result<Option<Bytes>, Failed> {
    if request.body == BodySize::Empty {
        return Ok(Some(Bytes::new()));
    }
    let most = order.calling.retry.body_bytes;
    if let BodySize::Length(length) = request.body
        && length > most
    {
        return Ok(None);
    }
    let mut body = Vec::new();
    let patience = client.patience();
    let mut quiet = true;
    let whole = poll_fn(|cx| {
        loop {
            match client.poll_fill(cx) {
                Poll::Ready(Ok(Filled::Data)) if (body.len() + client.chunk().len()) as u64 > most => {
                    return Poll::Ready(Ok(false));
                }
                Poll::Ready(Ok(Filled::Data)) => {
                    body.extend_from_slice(client.chunk());
                    client.consume(usize::MAX);
                    quiet = true;
                }
                Poll::Ready(Ok(Filled::End)) => return Poll::Ready(Ok(client.trailers().is_none())),
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => break,
            }
        }
        let deadline = order.deadline;
        if std::mem::take(&mut quiet) {
            alarm.set(worker.now().saturating_add(patience).min(deadline.at));
        }
        alarm.poll(cx).map(|()| {
            let late = worker.now() >= deadline.at;
            Err(if late { deadline.late } else { Code::BodyTimeout }.into())
        })
    })
    .await
    .map_err(not_sent)?;
    if whole {
        return Ok(Some(body.into()));
    }
    match client.rewind() {
        true => Ok(None),
        false => Err(Failed { sent: false, ..Failure::from(Code::InternalError).into() }),
    }
}

fn not_sent(failure: Failure) -> Failed {
    Failed { sent: false, ..failure.into() }
}

fn gone() -> Failed {
    Failure::from(Code::ClientGone).into()
}
