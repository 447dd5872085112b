//! The bounds of one service, or of one route to it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Millis;
use crate::plan;
use crate::respond::{Code, Failure};
use crate::sides::Client;
use crate::telemetry::metrics::{BulkheadSeries, Entrance};
use crate::upstream::bulkhead::gradient::Gradient;
use crate::upstream::bulkhead::slots::{Claim, Got, Slot, Slots, Turn};
use crate::upstream::call::unless_gone;
use crate::worker::Worker;

pub struct Bulkhead {
    pub settings: plan::Bulkhead,
    requests: Option<Arc<Slots>>,
    /// Of the service; calls ask for one when they need it.
    connections: Option<Arc<Slots>>,
    adaptive: Option<Mutex<Gradient>>,
    /// Microseconds, as the gradient has measured it last; 0 before.
    least: AtomicU64,
    series: Arc<BulkheadSeries>,
}

/// One call within the bounds, until it is dropped.
pub struct Entered {
    bulkhead: Arc<Bulkhead>,
    _slot: Slot,
}

impl Bulkhead {
    pub fn new(
        settings: &plan::Bulkhead,
        connections: Option<Arc<Slots>>,
        now: Millis,
        series: Arc<BulkheadSeries>,
    ) -> Self {
        let gradient = settings.adaptive.clone().map(|adaptive| Gradient::new(adaptive, now));
        let most = gradient.as_ref().map(Gradient::limit).or(settings.max_requests);
        Self {
            settings: settings.clone(),
            requests: most.map(Slots::new),
            connections,
            adaptive: gradient.map(Mutex::new),
            least: AtomicU64::new(0),
            series,
        }
    }

    /// The service's name, or `service/route`.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Slots of calls; `None`: there may be any number.
    pub fn requests(&self) -> Option<&Arc<Slots>> {
        self.requests.as_ref()
    }

    /// Slots of connections; `None`: there may be any number.
    pub fn connections(&self) -> Option<&Arc<Slots>> {
        self.connections.as_ref()
    }

    pub fn least_micros(&self) -> Option<u64> {
        Some(self.least.load(Relaxed)).filter(|micros| *micros > 0)
    }

    /// Takes a slot, or waits for one in the queue, until `deadline` at most. `None`: calls are not bounded.
    pub async fn enter<C: Client>(
        self: &Arc<Self>,
        worker: &Worker,
        client: &mut C,
        deadline: Millis,
    ) -> Result<Option<Entered>, Failure> {
        let Some(requests) = &self.requests else { return Ok(None) };
        let slot = match requests.claim(self.settings.max_pending) {
            Claim::Granted(slot) => slot,
            Claim::Queued(turn) => self.wait(worker, client, turn, deadline).await?,
            Claim::Full => {
                self.series.count(worker.index, Entrance::Full);
                let most = requests.most();
                let detail = format_args!("bulkhead {}: {most} calls are under way", self.name());
                return Err(Failure::with(Code::BulkheadFull, detail));
            }
        };
        Ok(Some(Entered { bulkhead: self.clone(), _slot: slot }))
    }

    async fn wait<C: Client>(
        &self,
        worker: &Worker,
        client: &mut C,
        turn: Turn,
        deadline: Millis,
    ) -> Result<Slot, Failure> {
        let longest = self.settings.queue_timeout_ms;
        let until = worker.now().saturating_add(longest);
        let code = if deadline < until { Code::Timeout } else { Code::QueueTimeout };
        let late = || Failure::with(code, format_args!("bulkhead {}: no turn within {longest}ms", self.name()));
        let waiting = async {
            tokio::select! {
                biased;
                got = turn => match got {
                    Some(Got::Slot(slot)) => Ok(slot),
                    Some(Got::Handed(_)) | None => Err(late()),
                },
                () = worker.wheel.sleep_until(until.min(deadline)) => Err(late()),
            }
        };
        let waited = unless_gone(client, waiting).await;
        let entrance = match &waited {
            Ok(_) => Entrance::Waited,
            Err(failure) if failure.code == Code::ClientGone => Entrance::Left,
            Err(_) => Entrance::Late,
        };
        self.series.count(worker.index, entrance);
        waited
    }
}

impl Entered {
    /// The head of an answer came, or the service was silent for so long.
    pub fn took(&self, micros: u64, now: Millis) {
        let Bulkhead { adaptive: Some(gradient), requests: Some(requests), least, .. } = &*self.bulkhead else {
            return;
        };
        let mut gradient = gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if gradient.answered(micros, now) {
            least.store(gradient.least().unwrap_or_default(), Relaxed);
            requests.set_most(gradient.limit());
        }
    }
}
