//! The connections to one service, over all workers.
//!
//! A connection holds a slot for as long as it is open, idle or busy. When there is none, a call waits in line: a connection that
//! becomes free on its own worker, to its own target, is handed to it as it is; one that becomes free elsewhere is closed, so that
//! its slot goes to the first in line. Idle connections are closed for those who wait.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::clock::Millis;
use crate::plan;
use crate::respond::{Code, Failure};
use crate::state::State;
use crate::telemetry::metrics::{BulkheadSeries, Entrance, Registry};
use crate::upstream::bulkhead::slots::{Claim, Got, Place, Slot, Slots, Turn};
use crate::worker::Worker;

/// Tells the workers that somebody waits for a connection: they look whether they have idle ones.
static WANTED: Notify = Notify::const_new();

pub struct Connections {
    pub slots: Arc<Slots>,
    most_pending: u32,
    queue_timeout_ms: Millis,
    series: Arc<BulkheadSeries>,
}

impl Connections {
    /// `None`: there may be any number.
    pub fn compile(plan: &plan::Bulkhead, registry: &Registry, state: &State) -> Option<Self> {
        Some(Self {
            slots: slots_of(plan, state)?,
            most_pending: plan.max_pending,
            queue_timeout_ms: plan.queue_timeout_ms,
            series: registry.bulkhead(&plan.name),
        })
    }

    /// Asks for a connection; waits for its turn, until `due` at most. What is handed lies in the worker's pools.
    pub async fn ask(&self, worker: &Worker, target: usize, due: Millis) -> Result<Got, Failure> {
        match self.slots.claim_at(self.most_pending, Place { worker: worker.index, target }) {
            Claim::Granted(slot) => Ok(Got::Slot(slot)),
            Claim::Queued(turn) => self.wait(worker, turn, due).await,
            Claim::Full => {
                self.series.count(worker.index, Entrance::Full);
                let most = self.slots.most();
                Err(Failure::with(Code::BulkheadFull, format_args!("{most} connections are open")))
            }
        }
    }

    async fn wait(&self, worker: &Worker, turn: Turn, due: Millis) -> Result<Got, Failure> {
        WANTED.notify_waiters();
        let until = worker.now().saturating_add(self.queue_timeout_ms).min(due);
        let late =
            || Failure::with(Code::QueueTimeout, format_args!("no connection within {}ms", self.queue_timeout_ms));
        let waiting = Waiting { series: &self.series, worker: worker.index, entrance: Entrance::Left };
        let got = tokio::select! {
            biased;
            got = turn => got.ok_or_else(late),
            () = worker.wheel.sleep_until(until) => Err(late()),
        };
        waiting.over(if got.is_ok() { Entrance::Waited } else { Entrance::Late });
        got
    }
}

/// Those of the service and the bound, over reloads.
pub fn slots_of(plan: &plan::Bulkhead, state: &State) -> Option<Arc<Slots>> {
    let key = (plan.name.as_str().into(), plan.max_connections?);
    Some(state.connections.of(&key, || Slots::with(key.1)))
}

/// Counts one that waits, also when its client leaves.
struct Waiting<'a> {
    series: &'a BulkheadSeries,
    worker: usize,
    entrance: Entrance,
}

impl Waiting<'_> {
    fn over(mut self, entrance: Entrance) {
        self.entrance = entrance;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.series.count(self.worker, self.entrance);
    }
}

/// A slot that a connection holds, where its service bounds them.
pub type Held = Option<Slot>;

/// Closes idle connections for those who wait, for ever; one task a worker.
pub async fn keep_reclaimed(worker: Rc<Worker>) {
    loop {
        let wanted = WANTED.notified();
        let snapshot = worker.snapshot();
        for service in &snapshot.services {
            let waiting = service.connections.as_ref().map_or(0, |connections| connections.slots.waiting());
            if waiting > 0 {
                worker.pools.reclaim(&worker, service, waiting as usize);
                worker.links.reclaim(&worker, service);
            }
        }
        drop(snapshot);
        wanted.await;
    }
}
