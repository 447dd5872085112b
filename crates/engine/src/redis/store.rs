//! What all workers know of one store.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::limits::synced::Ledger;
use crate::plan;
use crate::problem::Problem;
use crate::redis::breaker::Breaker;
use crate::redis::error::StoreError;
use crate::telemetry::metrics::{Registry, StoreSeries};
use crate::upstream::tls::ClientTls;

pub struct Store {
    /// What it was compiled from; an equal plan keeps the store and its connections over a reload.
    pub plan: plan::Redis,
    pub tls: Option<ClientTls>,
    pub breaker: Breaker,
    pub series: Arc<StoreSeries>,
    /// Names this gateway among those that share the store.
    pub gateway: Box<str>,
    /// Gateways that were alive when the store last answered, this one too.
    live: AtomicU32,
    /// What was last said to be wrong, so that it is said once.
    complaint: Mutex<String>,
    /// Limits that are settled now and then, by how often.
    ledgers: Mutex<Vec<Arc<Ledger>>>,
}

impl Store {
    /// Problems are placed relative to `redis`.
    pub fn compile(plan: &plan::Redis, registry: &Registry) -> Result<Self, Problem> {
        let tls = plan.tls.as_ref().map(ClientTls::without_alpn).transpose()?;
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|error| Problem::new("", "engine.io", error.to_string()))?;
        let mut gateway = String::with_capacity(24);
        for byte in random {
            write!(gateway, "{byte:02x}").expect("a string takes every character");
        }
        Ok(Self {
            plan: plan.clone(),
            tls,
            breaker: Breaker::default(),
            series: registry.store(),
            gateway: gateway.into(),
            live: AtomicU32::new(1),
            complaint: Mutex::default(),
            ledgers: Mutex::default(),
        })
    }

    /// The limits that are settled at this interval.
    pub fn ledger(&self, sync: Duration) -> Arc<Ledger> {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ledgers.iter().find(|known| known.sync == sync) {
            return known.clone();
        }
        ledgers.push(Arc::new(Ledger::new(sync)));
        ledgers[ledgers.len() - 1].clone()
    }

    pub(super) fn ledgers(&self) -> Vec<Arc<Ledger>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.plan.timeout_ms)
    }

    /// Gateways that share the limits, as far as is known; at least this one.
    pub fn live_gateways(&self) -> u32 {
        self.live.load(Relaxed)
    }

    pub fn set_live_gateways(&self, count: u32) {
        self.live.store(count.max(1), Relaxed);
        self.series.gateways.store(u64::from(count.max(1)), Relaxed);
    }

    /// A command got an answer or did not: counts for the breaker, and warns when it opens.
    pub fn observe(&self, outcome: Result<(), &StoreError>) {
        match outcome {
            Ok(()) => self.breaker.succeeded(),
            Err(error) => {
                if self.breaker.failed() {
                    self.series.open.store(true, Relaxed);
                    self.series.opened.store(self.breaker.opened(), Relaxed);
                    tracing::warn!(store = self.plan.name(), error = %error, "limit store failed, no longer asked");
                }
            }
        }
    }

    /// The keeper's probe got an answer.
    pub fn probed(&self) {
        if self.breaker.probed() {
            self.series.open.store(false, Relaxed);
            tracing::info!(store = self.plan.name(), "limit store answers again");
        }
    }

    pub(super) fn connected(&self, _address: &str) {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Says what is wrong with a node, once until it changes.
    pub(super) fn complain(&self, address: &str, problem: &dyn Display) {
        let text = format!("{address}: {problem}");
        let mut said = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != text {
            tracing::warn!(node = address, problem = %problem, "limit store connection failed");
            *said = text;
        }
    }
}
