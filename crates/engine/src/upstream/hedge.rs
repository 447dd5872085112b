//! A second attempt when the first is late: the quicker answer is taken, and the other attempt is cancelled.
//!
//! After Dean and Barroso, "The Tail at Scale", 2013. The first attempt runs as it would without `hedging`, under one more due time;
//! only when that has passed something is allocated, and [`race`](crate::upstream::race) begins. A request body is here whole before
//! it is sent.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::clock::{Millis, NEVER};
use crate::collect::gather;
use crate::exchange::{Method, Request, Upgrade};
use crate::plan::{self, HedgeAfter};
use crate::respond::{Failure, Side};
use crate::sides::{BodySize, Client, Filled};
use crate::upstream::attempt::{Aim, Failed, attempt};
use crate::upstream::budget::Budget;
use crate::upstream::call::{Asked, Order, not_kept, unless_gone};
use crate::upstream::discard::discard;
use crate::upstream::latency::Latency;
use crate::upstream::race::{Came, Ended, Other, Raced, Second, is_good, race};
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

    /// There may be one attempt more.
    pub fn withdraw(&self, now: Millis) -> bool {
        self.budget.withdraw(now)
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

    fn seen<'a>(&self, ended: Ended<'a>) -> Ended<'a> {
        if let Ok(begun) = &ended {
            self.took(begun.micros());
        }
        ended
    }
}

/// As [`attempt`], with a second one when the first is late.
pub async fn hedged<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    aim: &mut Aim,
    hedge: &Hedge,
) -> Ended<'a> {
    let mut delay = hedge.delay(aim.started_micros / 1000);
    let mut body = Bytes::new();
    if delay.is_some() && asked.request.body != BodySize::Empty {
        match collect(worker, client, asked, alarm, order, aim).await? {
            Some(whole) => body = whole,
            None => delay = None,
        }
    }
    let aim = &*aim;
    let own = alarm.beside();
    // A service that is so fast has no tail that is worth a second call.
    own.set(delay.map_or(NEVER, |delay| (aim.started_micros / 1000).saturating_add(delay.max(TICK))));
    let second = Second { worker, snapshot: asked.snapshot, request: asked.request, alarm: own, order };
    let came = {
        let mut first = pin!(attempt(worker, client, asked, alarm, order, aim));
        let early = poll_fn(|cx| match first.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => own.poll(cx).map(|()| None),
        });
        if let Some(ended) = early.await {
            own.set(NEVER);
            return hedge.seen(ended);
        }
        match second.begin(hedge, aim, body) {
            // Where the first one is it stays; what it needs no more is gone when this block ends.
            Some(runs) => Box::pin(race(order, first, runs)).await,
            None => return hedge.seen(first.await),
        }
    };
    asked.notes.attempts += 1;
    // Apart, so that calls that are not late do not carry its state.
    Box::pin(settle(worker, client, asked, alarm, order, aim, hedge, came)).await
}

/// What comes of a race when the first attempt has ended or is cancelled.
#[expect(clippy::too_many_arguments, reason = "those of the call, and what is known of the race")]
async fn settle<'a, C: Client>(
    worker: &'a Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &'a Alarm,
    order: &Order<'_>,
    aim: &Aim,
    hedge: &Hedge,
    came: Came<'_, 'a>,
) -> Ended<'a> {
    // It would have taken longer than this, which is better known than not.
    let lost = |started_micros: u64| hedge.took(worker.clock.now_micros().saturating_sub(started_micros));
    let (raced, spare) = match came {
        Came::Second(raced) => {
            lost(aim.started_micros);
            (raced, None)
        }
        Came::First(ended, other) => {
            let settled = match &ended {
                Ok(begun) => is_good(order, begun, &asked.answer.head),
                Err(failed) => failed.failure.code.side() == Side::Client,
            };
            match other {
                Other::Runs(runs) if settled => {
                    if ended.is_ok() {
                        lost(runs.started_micros);
                    }
                    alarm.beside().set(NEVER);
                    return hedge.seen(ended);
                }
                Other::Runs(runs) => (unless_gone(client, async { Ok(runs.racing.await) }).await?, Some(ended)),
                // An answer rather than a failure, and of those what came last.
                Other::Over(raced) if !settled && ended.is_err() && raced.ended.is_ok() => (raced, Some(ended)),
                Other::Over(_) => return hedge.seen(ended),
            }
        }
    };
    match spare {
        Some(Ok(begun)) if raced.ended.is_err() => return hedge.seen(Ok(begun)),
        Some(Ok(begun)) => discard(worker, begun),
        Some(Err(_)) | None => {}
    }
    alarm.set(NEVER);
    if raced.ended.is_ok() {
        asked.snapshot.services[order.service].series.hedge_won(worker.index);
    }
    hedge.seen(take(client, asked, raced))
}

/// Puts what came of the second attempt into the exchange, and lets the client go on where the stand-in was.
fn take<'a, C: Client>(client: &mut C, asked: &mut Asked<'_>, raced: Raced<'a>) -> Ended<'a> {
    let Raced { ended, answer, notes, sent } = raced;
    *asked.answer = answer;
    asked.notes.target = notes.target;
    asked.notes.answered_micros = notes.answered_micros;
    let begun = ended?;
    if asked.request.body != BodySize::Empty {
        if !client.rewind() {
            return Err(not_kept().into());
        }
        skip(client, if begun.transfer.is_sending() { sent } else { u64::MAX });
    }
    Ok(begun)
}

/// Consumes so much of a body that is all here.
fn skip<C: Client>(client: &mut C, mut count: u64) {
    let mut cx = Context::from_waker(Waker::noop());
    while count > 0 && matches!(client.poll_fill(&mut cx), Poll::Ready(Ok(Filled::Data))) {
        let piece = client.chunk().len().min(usize::try_from(count).unwrap_or(usize::MAX));
        client.consume(piece);
        count -= piece as u64;
    }
}

/// The whole request body, which begins again; `None` where it is not kept or has trailers, and cannot be sent twice.
async fn collect<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    asked: &mut Asked<'_>,
    alarm: &Alarm,
    order: &Order<'_>,
    aim: &mut Aim,
) -> Result<Option<Bytes>, Failed> {
    let most = order.calling.retry.body_bytes;
    if let BodySize::Length(length) = asked.request.body
        && length > most
    {
        return Ok(None);
    }
    let body = gather(worker, client, alarm, order.deadline, most).await.map_err(not_sent)?;
    let whole = body.filter(|_| client.trailers().is_none());
    // What the client took for its body does not make the service late.
    let now_micros = worker.clock.now_micros();
    asked.notes.client_micros += now_micros.saturating_sub(aim.started_micros);
    aim.started_micros = now_micros;
    match client.rewind() {
        true => Ok(whole.map(Bytes::from)),
        false => Err(not_sent(not_kept())),
    }
}

fn not_sent(failure: Failure) -> Failed {
    Failed { sent: false, ..failure.into() }
}
