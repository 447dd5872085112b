//! Two attempts at one call, where the first was late: [`hedge`](crate::upstream::hedge) begins it, and goes on with what came.
//!
//! The first attempt has the client and the exchange, as ever. The second writes beside them, with a stand-in for the client that
//! sends the same body. Neither knows of the other; who loses is dropped, which cancels it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;

use crate::exchange::{Answer, Notes, Request};
use crate::head::Head;
use crate::sides::Client;
use crate::snapshot::Pinned;
use crate::upstream::attempt::{Aim, Begun, Failed, attempt};
use crate::upstream::call::{Asked, Order, pick};
use crate::upstream::collector::Collector;
use crate::upstream::hedge::Hedge;
use crate::wheel::Alarm;
use crate::worker::Worker;

pub type Ended<'s> = Result<Begun<'s>, Failed>;

/// What a second attempt is made of.
pub struct Second<'f, 's> {
    pub worker: &'s Rc<Worker>,
    pub snapshot: &'f Pinned,
    pub request: &'f Request,
    pub alarm: &'s Alarm,
    pub order: &'f Order<'f>,
}

/// A second attempt that ended, with what belongs to it.
pub struct Raced<'s> {
    pub ended: Ended<'s>,
    pub answer: Answer,
    pub notes: Notes,
    /// Bytes of the request body that were sent.
    pub sent: u64,
}

/// A second attempt under way.
pub struct Runs<'f, 's> {
    pub racing: Pin<Box<dyn Future<Output = Raced<'s>> + 'f>>,
    pub started_micros: u64,
}

/// How a race ended, or how it stands when only the second attempt is left.
#[expect(clippy::large_enum_variant, reason = "it is moved once, and only where there is a race")]
pub enum Came<'f, 's> {
    /// The first has ended, well or not: its head is in the exchange.
    First(Ended<'s>, Other<'f, 's>),
    /// The second has an answer that needs no other.
    Second(Raced<'s>),
}

#[expect(clippy::large_enum_variant, reason = "it is moved once, and only where there is a race")]
pub enum Other<'f, 's> {
    Runs(Runs<'f, 's>),
    /// It ended before, and not well.
    Over(Raced<'s>),
}

impl<'f, 's: 'f> Second<'f, 's> {
    /// Begins it, where there is a target for it and the budget allows one more.
    pub fn begin(self, hedge: &Hedge, first: &Aim, body: Bytes) -> Option<Runs<'f, 's>> {
        let service = &self.snapshot.services[self.order.service];
        let started_micros = self.worker.clock.now_micros();
        let mut tried = first.tried.clone();
        tried.add(&first.target);
        let target = pick(self.worker, service, self.order, &tried, started_micros / 1000).ok()?;
        if !hedge.withdraw(started_micros / 1000) {
            service.series.hedge_out_of_budget(self.worker.index);
            return None;
        }
        service.series.hedged(self.worker.index);
        let aim = Aim { target, tried, fresh: false, started_micros };
        Some(Runs { racing: Box::pin(self.run(aim, body)), started_micros })
    }

    async fn run(self, aim: Aim, body: Bytes) -> Raced<'s> {
        let Self { worker, snapshot, request, alarm, order } = self;
        let (mut answer, mut notes) = (Answer::default(), Notes::default());
        let mut client = Collector::new(body, 0);
        let mut asked = Asked { snapshot, request, answer: &mut answer, notes: &mut notes, caller: None };
        let ended = attempt(worker, &mut client, &mut asked, alarm, order, &aim).await;
        Raced { ended, answer, notes, sent: client.bytes_received() }
    }
}

/// Waits until the first attempt has ended, or the second has an answer that is good enough.
pub async fn race<'f, 's>(
    order: &Order<'_>,
    mut first: Pin<&mut impl Future<Output = Ended<'s>>>,
    second: Runs<'f, 's>,
) -> Came<'f, 's> {
    let mut other = Some(Other::Runs(second));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = first.as_mut().poll(cx) {
            return Poll::Ready(Came::First(ended, other.take().expect("it is taken once, at the end")));
        }
        if let Some(Other::Runs(runs)) = &mut other
            && let Poll::Ready(raced) = runs.racing.as_mut().poll(cx)
        {
            if raced.is_good(order) {
                return Poll::Ready(Came::Second(raced));
            }
            other = Some(Other::Over(raced));
        }
        Poll::Pending
    })
    .await
}

impl Raced<'_> {
    fn is_good(&self, order: &Order<'_>) -> bool {
        self.ended.as_ref().is_ok_and(|begun| is_good(order, begun, &self.answer.head))
    }
}

/// An answer that would not be tried again.
pub fn is_good(order: &Order<'_>, begun: &Begun<'_>, head: &Head) -> bool {
    order.calling.retry.of_answer(begun.answered.status(), head).is_none()
}
