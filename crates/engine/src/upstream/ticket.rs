//! What an attempt says of its target.

use std::sync::Arc;

use crate::upstream::attempt::Aim;
use crate::upstream::outcome::Outcome;
use crate::upstream::target::Target;

/// What is told, exactly once, about an attempt when it is over: from the choice of its target to the end of its answer.
pub struct Ticket {
    target: Arc<Target>,
    worker: usize,
    started_micros: u64,
    /// To the head of the answer, or to the failure, but for the time in which the client was waited for.
    micros: u64,
    client_micros: u64,
    outcome: Outcome,
}

impl Ticket {
    pub fn new(worker: usize, aim: &Aim) -> Self {
        let target = aim.target.clone();
        target.begin(worker);
        Self {
            target,
            worker,
            started_micros: aim.started_micros,
            micros: 0,
            client_micros: 0,
            outcome: Outcome::Abandoned,
        }
    }

    /// What it took the service, to the head of the answer or to the failure.
    pub fn micros(&self) -> u64 {
        self.micros
    }

    /// So long it was the client that was waited for.
    pub fn waited(&mut self, client_micros: u64) {
        self.client_micros = client_micros;
    }

    /// The head of the answer came.
    pub fn answered(&mut self, status: u16, now_micros: u64) {
        self.came(Outcome::Answered { status }, now_micros);
    }

    /// It failed, also in the middle of its answer.
    pub fn failed(&mut self, outcome: Outcome, now_micros: u64) {
        if outcome != Outcome::Abandoned {
            self.came(outcome, now_micros);
        }
    }

    fn came(&mut self, outcome: Outcome, now_micros: u64) {
        if self.outcome == Outcome::Abandoned {
            self.micros = now_micros.saturating_sub(self.started_micros + self.client_micros);
        }
        self.outcome = outcome;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let came = (self.started_micros + self.client_micros + self.micros) / 1000;
        self.target.ended(self.worker, self.outcome, self.micros, came);
    }
}
