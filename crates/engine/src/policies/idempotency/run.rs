//! What happens around the action of a request with a key.

use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::digest::Context as Digest;
use bytes::Bytes;

use super::answer::Answer;
use super::recording::{Kept, Recording};
use super::shared::{self, SharedLease};
use super::table::{Begun, Bounds, Lease};
use super::{Asked, Fingerprint, Idempotency, Name, Outcome, add, finished};
use crate::actions::Action;
use crate::clock::Millis;
use crate::collect::collect;
use crate::exchange::Exchange;
use crate::pipeline::Reply;
use crate::respond::{Code, Failure};
use crate::sides::Client;
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
    let body = collect(worker, client, exchange, alarm, policy.plan.body_bytes).await?;
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
            let answer = body.map(|body| Arc::new(Answer::new(kept.status(), &kept.head(), body)));
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
