//! What stands around a whole call, whatever it tries: the breaker lets it through, and the bulkhead has room for it.

use crate::clock::Millis;
use crate::exchange::Notes;
use crate::head::Head;
use crate::respond::Failure;
use crate::sides::{Answered, Client};
use crate::upstream::breaker::{Breaker, Permit, Refused};
use crate::upstream::bulkhead::Entered;
use crate::upstream::call::Order;
use crate::upstream::outcome::Outcome;
use crate::upstream::retry_after::retry_after;
use crate::worker::Worker;

/// One call that may be made. Whoever drops it without a word gives it back, as if it had never been.
#[derive(Default)]
pub struct Guard {
    permit: Option<Permit>,
    entered: Option<Entered>,
    started_micros: u64,
    /// How long calls of the exchange had waited for the client before.
    client_micros: u64,
}

impl Guard {
    /// Asks the breaker and the bulkhead; may wait for its turn. `started_micros`: now.
    pub async fn enter<C: Client>(
        worker: &Worker,
        client: &mut C,
        notes: &mut Notes,
        order: &Order<'_>,
        started_micros: u64,
    ) -> Result<Self, Failure> {
        let (breaker, bulkhead) = (&order.calling.breaker, &order.calling.bulkhead);
        let mut guard = Self { permit: None, entered: None, started_micros, client_micros: notes.client_micros };
        if let Some(bulkhead) = bulkhead {
            // Nobody waits for a service that is not called anyway.
            if let Some(breaker) = breaker
                && let Some(refused) = breaker.is_open(started_micros / 1000)
            {
                breaker.refused(worker.index);
                return Err(refuse(breaker, refused, notes));
            }
            guard.entered = bulkhead.enter(worker, client, order.deadline.at).await.inspect_err(|_| {
                // Nobody knows when another call will end.
                notes.retry_after = Some(1);
            })?;
            guard.started_micros = worker.clock.now_micros();
        }
        if let Some(breaker) = breaker {
            let permit = breaker.admit(guard.started_micros / 1000, worker.index);
            guard.permit = Some(permit.map_err(|refused| refuse(breaker, refused, notes))?);
        }
        Ok(guard)
    }

    /// When the call was let through.
    pub fn started_micros(&self) -> u64 {
        self.started_micros
    }

    /// Somebody wants to know what came of the call.
    pub fn is_there(&self) -> bool {
        self.permit.is_some() || self.entered.is_some()
    }

    /// The head of the answer that is passed on came.
    pub fn answered(&mut self, worker: &Worker, answered: &Answered, head: &Head, notes: &Notes) {
        let now_micros = notes.answered_micros;
        let micros = self.took(now_micros, notes);
        if let Some(entered) = &self.entered {
            entered.took(micros, now_micros / 1000);
        }
        let Some(permit) = &mut self.permit else { return };
        let status = answered.status();
        let wait = || retry_after(head, || worker.clock.wall());
        let wait: Option<Millis> = if permit.obeys(status) { wait() } else { None };
        permit.answered(status, wait, micros, now_micros / 1000);
        if let Answered::Tunnel { .. } = answered {
            // It may last for days, and says no more of the service.
            permit.ended();
        }
    }

    /// How long the service took; a client that takes its time with its body is not counted against it.
    fn took(&self, now_micros: u64, notes: &Notes) -> u64 {
        let of_client = notes.client_micros.saturating_sub(self.client_micros);
        now_micros.saturating_sub(self.started_micros + of_client)
    }

    /// No answer came.
    pub fn failed(mut self, outcome: Outcome, notes: &Notes, now_micros: u64) {
        let Outcome::Failed(code) = outcome else { return };
        let micros = self.took(now_micros, notes);
        if let Some(entered) = &self.entered {
            entered.took(micros, now_micros / 1000);
        }
        if let Some(permit) = &mut self.permit {
            permit.failed(code, micros, now_micros / 1000);
        }
    }

    /// The answer did not come to its end.
    pub fn broke_off(mut self, outcome: Outcome, now: Millis) {
        if let (Outcome::Failed(code), Some(permit)) = (outcome, &mut self.permit) {
            permit.failed(code, 0, now);
        }
    }

    /// The answer is complete.
    pub fn ended(mut self) {
        if let Some(permit) = &mut self.permit {
            permit.ended();
        }
    }
}

fn refuse(breaker: &Breaker, refused: Refused, notes: &mut Notes) -> Failure {
    notes.retry_after = Some(refused.retry_in_ms.div_ceil(1000).max(1));
    refused.failure(breaker.name())
}
