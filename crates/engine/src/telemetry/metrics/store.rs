//! What is counted for the store that gateways share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::redis::StoreError;
use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::histogram::{Histogram, Reading};
use crate::telemetry::metrics::registry::Registry;
use crate::telemetry::metrics::shards::Shards;
use crate::telemetry::metrics::text::{Kind, Text};

pub struct StoreSeries {
    parts: Shards<Part>,
    pub(crate) open: AtomicBool,
    pub(crate) opened: AtomicU64,
    pub(crate) gateways: AtomicU64,
}

#[derive(Default)]
struct Part {
    duration: Histogram,
    /// By kind of error.
    errors: [Counter; StoreError::WORDS.len()],
}

impl StoreSeries {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            parts: Shards::new(workers),
            open: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            gateways: AtomicU64::new(1),
        }
    }

    /// A command got its answer.
    pub fn answered(&self, worker: usize, micros: u64) {
        self.parts.of(worker).duration.observe(micros);
    }

    /// A command got none, or was not even sent.
    pub fn failed(&self, worker: usize, error: &StoreError) {
        self.parts.of(worker).errors[error.index()].add(1);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }
}

impl Registry {
    pub(super) fn render_stores(&self, text: &mut Text) {
        let stores: Vec<Arc<StoreSeries>> = self.stores();
        let Some(store) = stores.first() else { return };
        let mut duration = Reading::default();
        store.parts.iter().for_each(|part| part.duration.add_to(&mut duration));
        text.family("tidegate_redis_duration_seconds", Kind::Histogram, "From a command to Redis to its answer.");
        text.histogram(&[], &duration);
        text.family("tidegate_redis_errors", Kind::Counter, "Commands to Redis that got no answer, by the reason.");
        for (index, word) in StoreError::WORDS.iter().enumerate() {
            let count = store.parts.sum(|part| part.errors[index].get());
            if count > 0 {
                text.sample(&[("reason", word)], count);
            }
        }
        text.family("tidegate_redis_breaker_open", Kind::Gauge, "1 while Redis is not asked because it failed.");
        text.sample(&[], u64::from(store.open.load(Relaxed)));
        text.family("tidegate_redis_breaker_opened", Kind::Counter, "Times that the breaker on Redis opened.");
        text.sample(&[], store.opened.load(Relaxed));
        text.family("tidegate_redis_gateways", Kind::Gauge, "Gateways that share this Redis, as last known.");
        text.sample(&[], store.gateways.load(Relaxed));
    }
}
