//! What happens around the action of a request with a key.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::Context as Digest;
use bytes::Bytes;

use super::answer::Answer;
use super::recording::{Kept, Recording};
use super::shared::{self, SharedLease};
use super::table::{Begun, Bounds, Lease};
use super::{Asked, Fingerprint, Idempotency, Name, Outcome, add, finished};
use crate::actions::Action;
use crate::clock::Millis;
use crate::exchange::Exchange;
use crate::head::Head;
use crate::pipeline::Reply;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled};
use crate::upstream::call;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Seconds after which a client may ask again about a request that runs.
const RETRY_AFTER: &[u8] = b"1";

/// A key that is held, in one place or the other.
enum Hold {
    Here(Lease),
    Shared(SharedLease),
}

/// Runs the action, if it is for this request to run it; an answer that is there already comes back.
pub async fn run<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    action: &Action,
    asked: Asked,
) -> Result<Option<Reply>, Failure> {
    let Asked { policy, name, fingerprint } = asked;
    let body = collect(worker, client, exchange, alarm, &policy).await?;
    let fingerprint = with_body(fingerprint, &body);
    let begun = call::unless_gone(client, async { Ok(policy.begin(worker, &name, &fingerprint).await) }).await?;
    let hold = match begun {
        Ok(Begun::First(hold)) => hold,
        Ok(begun) => return policy.answer_other(worker, exchange, begun).map(Some),
        Err(failure) => {
            policy.count(&worker.local, Outcome::Unavailable);
            return Err(failure);
        }
    };
    policy.count(&worker.local, Outcome::Ran);
    let kept = Rc::new(Kept::default());
    exchange.kept = Some(kept.clone());
    let most = policy.plan.answer_bytes;
    let of_worker = worker.clone();
    // Dropped without being told of an end, it gives the key back.
    let at_end = Box::new(move |body: Option<Bytes>| {
        if policy.keeps(kept.status()) {
            let answer = body.map(|body| Arc::new(Answer::new(kept.status(), &kept.take_head(), body)));
            policy.finish(&of_worker, hold, answer, &name, &fingerprint);
        }
    });
    let mut recording = Recording::new(client, body, most, at_end);
    let ran = action.run(worker, &mut recording, exchange, alarm).await;
    exchange.kept = None;
    ran?;
    if recording.is_gone() { Err(Code::ClientGone.into()) } else { Ok(None) }
}

impl Idempotency {
    async fn begin(
        self: &Arc<Self>,
        worker: &Rc<Worker>,
        name: &Name,
        fingerprint: &Fingerprint,
    ) -> Result<Begun<Hold>, Failure> {
        let Some(store) = &self.store else {
            return Ok(self.table.begin(name, fingerprint, worker.now()).map(Hold::Here));
        };
        // What the store did not take, or what began while it was away.
        if let Some(known) = self.table.known(name, fingerprint, worker.now()) {
            return Ok(known.map(Hold::Here));
        }
        let client = worker.local.redis.of(store);
        let token = worker.local.random();
        match shared::begin(client, name, fingerprint, self.plan.lease_ms, token).await {
            Ok(begun) => Ok(begun.map(Hold::Shared)),
            Err(_) if self.plan.local_on_failure => {
                self.count(&worker.local, Outcome::Unavailable);
                Ok(self.table.begin(name, fingerprint, worker.now()).map(Hold::Here))
            }
            Err(error) => Err(Failure::with(Code::IdempotencyUnavailable, format_args!("idempotency: redis: {error}"))),
        }
    }

    /// Answers a request that is not the first with its key.
    fn answer_other(&self, worker: &Worker, exchange: &mut Exchange, begun: Begun<Hold>) -> Result<Reply, Failure> {
        let (outcome, code) = match begun {
            Begun::Done(Some(answer)) => {
                self.count(&worker.local, Outcome::Replayed);
                exchange.notes.rule = Some("idempotency:replayed".into());
                return Ok(answer.reply());
            }
            Begun::InUse => {
                exchange.refusal.set(b"retry-after", RETRY_AFTER);
                (Outcome::InUse, Code::IdempotencyKeyInUse)
            }
            Begun::Other => (Outcome::Reused, Code::IdempotencyKeyReused),
            Begun::First(_) | Begun::Done(None) => (Outcome::NotKept, Code::IdempotencyAnswerNotKept),
        };
        self.count(&worker.local, outcome);
        Err(code.into())
    }

    fn finish(
        self: &Arc<Self>,
        worker: &Rc<Worker>,
        hold: Hold,
        answer: Option<Arc<Answer>>,
        name: &Name,
        fingerprint: &Fingerprint,
    ) {
        match hold {
            Hold::Here(lease) => self.finish_here(lease, answer, worker.now()),
            Hold::Shared(lease) => {
                let (policy, worker, name, fingerprint) = (self.clone(), worker.clone(), *name, *fingerprint);
                lease.finish(answer.clone(), self.plan.ttl_ms, move || {
                    tracing::warn!(
                        scope = &*policy.plan.scope,
                        "redis did not take an answer, kept by this gateway only"
                    );
                    let now = worker.now();
                    if let Begun::First(lease) = policy.table.begin(&name, &fingerprint, now) {
                        policy.finish_here(lease, answer, now);
                    }
                });
            }
        }
    }

    fn finish_here(&self, lease: Lease, answer: Option<Arc<Answer>>, now: Millis) {
        let bounds = Bounds { entries: self.plan.entries, bytes: self.plan.memory_bytes };
        lease.finish(answer, now, now.saturating_add(self.plan.ttl_ms), bounds);
    }
}

impl<L> Begun<L> {
    fn map<M>(self, lease: impl FnOnce(L) -> M) -> Begun<M> {
        match self {
            Self::First(held) => Begun::First(lease(held)),
            Self::InUse => Begun::InUse,
            Self::Other => Begun::Other,
            Self::Done(answer) => Begun::Done(answer),
        }
    }
}

fn with_body(mut digest: Digest, body: &[u8]) -> Fingerprint {
    add(&mut digest, body);
    finished(digest)
}

/// Reads all of the request's body.
async fn collect<C: Client>(
    worker: &Worker,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    policy: &Idempotency,
) -> Result<Bytes, Failure> {
    let route = exchange.route();
    let most = route.map_or(u64::MAX, |route| route.body_bytes).min(policy.plan.body_bytes);
    let deadline = call::deadline(exchange.started_micros / 1000, route.and_then(|route| route.timeout_ms));
    match exchange.request.body {
        BodySize::Empty => return Ok(Bytes::new()),
        BodySize::Length(length) if length > most => return Err(Code::BodyTooLarge.into()),
        BodySize::Length(_) | BodySize::Unknown => {}
    }
    client.limit_body(most);
    if std::mem::take(&mut exchange.request.expect_continue) {
        client.send_interim(100, &Head::default());
    }
    let mut body = Vec::new();
    let mut patience = Waiting { worker, alarm, deadline };
    patience.moved(client.patience());
    poll_fn(|cx| poll_collect(cx, client, &mut body, &mut patience)).await?;
    if exchange.request.body == BodySize::Unknown && client.trailers().is_none() {
        exchange.request.body = BodySize::Length(body.len() as u64);
    }
    Ok(body.into())
}

/// Bounds how long a client may take.
struct Waiting<'a> {
    worker: &'a Worker,
    alarm: &'a Alarm,
    deadline: Millis,
}

impl Waiting<'_> {
    fn moved(&mut self, patience: Millis) {
        self.alarm.set(self.worker.now().saturating_add(patience).min(self.deadline));
    }
}

fn poll_collect<C: Client>(
    cx: &mut Context<'_>,
    client: &mut C,
    body: &mut Vec<u8>,
    patience: &mut Waiting<'_>,
) -> Poll<Result<(), Failure>> {
    loop {
        match client.poll_fill(cx)? {
            Poll::Ready(Filled::Data) => {
                let count = client.chunk().len();
                body.extend_from_slice(client.chunk());
                client.consume(count);
                patience.moved(client.patience());
            }
            Poll::Ready(Filled::End) => return Poll::Ready(Ok(())),
            Poll::Pending => {
                // The 100 that the client waits for.
                let _ = client.poll_flush(cx)?;
                return patience.alarm.poll(cx).map(|()| {
                    let late = patience.worker.now() >= patience.deadline;
                    Err(if late { Code::Timeout } else { Code::BodyTimeout }.into())
                });
            }
        }
    }
}
