//! Idle connections to services, per worker and target, the one used last on top.
//!
//! A connection that is taken is checked by its readiness, without a system call unless the request must not be sent twice:
//! one that has something to say while nobody asked is dead or out of step. A sweep drops those that were idle for too long.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::clock::Millis;
use crate::telemetry::metrics::ServiceSeries;
use crate::upstream::bulkhead::Place;
use crate::upstream::http1::Wire;
use crate::upstream::service::Service;
use crate::upstream::target::Target;
use crate::worker::Worker;

/// Milliseconds between two sweeps.
pub const SWEEP_MS: Millis = 1000;

struct Idle {
    wire: Box<Wire>,
    since: Millis,
}

/// The idle connections to one target.
struct Pool {
    idle: Vec<Idle>,
    idle_timeout_ms: Millis,
    series: Arc<ServiceSeries>,
    /// A service of the snapshot has the target; only meant within a sweep.
    current: bool,
}

/// All pools of a worker, by [`Target::slot`]: of the targets there are and, until the next sweep, of those that were.
#[derive(Default)]
pub struct Pools {
    slots: RefCell<FxHashMap<usize, Pool>>,
    /// Connections for those who waited for one, by the number under which they look for it.
    handed: RefCell<FxHashMap<u64, Handed>>,
}

struct Handed {
    idle: Idle,
    series: Arc<ServiceSeries>,
}

impl Pools {
    /// An idle connection that still lives. `once`: the request cannot be sent again, so the kernel is asked too.
    pub fn take(&self, worker: &Worker, service: &Service, target: &Target, once: bool) -> Option<Box<Wire>> {
        let mut slots = self.slots.borrow_mut();
        let pool = slots.get_mut(&target.slot)?;
        while let Some(mut candidate) = pool.idle.pop() {
            let alive = if once { candidate.wire.is_surely_idle() } else { candidate.wire.is_idle() };
            if alive {
                service.series.reused(worker.index);
                return Some(candidate.wire);
            }
            service.series.closed_idle(worker.index);
        }
        None
    }

    /// Takes a connection back when it is clean and there is room; else it is closed.
    pub fn give_back(&self, worker: &Worker, service: &Service, target: &Target, wire: Box<Wire>, clean: bool) {
        let plan = &service.plan.pool;
        let waited_for = service.connections.as_ref().filter(|connections| connections.slots.waiting() > 0);
        if let Some(connections) = waited_for
            && clean
        {
            match connections.slots.hand(Place { worker: worker.index, target: target.slot }) {
                Some(number) => {
                    service.series.parked(worker.index);
                    let handed = Handed { idle: Idle { wire, since: worker.now() }, series: service.series.clone() };
                    self.handed.borrow_mut().insert(number, handed);
                }
                // Somebody waits elsewhere: its place goes there.
                None => service.series.closed_busy(worker.index),
            }
            return;
        }
        let kept = clean && !worker.drain.has_begun() && {
            let mut slots = self.slots.borrow_mut();
            let pool = slots.entry(target.slot).or_insert_with(|| Pool::new(service));
            // A reload may have changed it.
            pool.idle_timeout_ms = plan.idle_timeout_ms;
            if pool.idle.len() < plan.max_idle {
                pool.idle.push(Idle { wire, since: worker.now() });
                true
            } else {
                false
            }
        };
        if kept {
            service.series.parked(worker.index);
        } else {
            service.series.closed_busy(worker.index);
        }
    }

    /// What was handed to somebody who waited; `None` when it has died meanwhile.
    pub fn handed(&self, worker: &Worker, number: u64) -> Option<Box<Wire>> {
        let mut handed = self.handed.borrow_mut().remove(&number)?;
        if handed.idle.wire.is_surely_idle() {
            handed.series.reused(worker.index);
            return Some(handed.idle.wire);
        }
        handed.series.closed_idle(worker.index);
        None
    }

    /// Closes idle connections to a service for those who wait for one, those idle for longest first.
    pub fn reclaim(&self, worker: &Worker, service: &Service, mut most: usize) {
        let mut slots = self.slots.borrow_mut();
        for member in &service.targets.set().members {
            let Some(pool) = slots.get_mut(&member.target.slot) else { continue };
            let count = pool.idle.len().min(most);
            pool.idle.drain(..count).for_each(|_| pool.series.closed_idle(worker.index));
            most -= count;
        }
    }

    /// Drops connections that were idle too long or have died, and the pools of targets that are gone.
    pub fn sweep(&self, worker: &Worker) {
        let now = worker.now();
        // Those for whom they were have left.
        self.handed.borrow_mut().retain(|_, handed| {
            let kept = now.saturating_sub(handed.idle.since) < SWEEP_MS;
            if !kept {
                handed.series.closed_idle(worker.index);
            }
            kept
        });
        let mut slots = self.slots.borrow_mut();
        if slots.is_empty() {
            return;
        }
        // Marked first, so that the cost is that of the targets and not of their square.
        for service in &worker.snapshot().services {
            for member in &service.targets.set().members {
                if let Some(pool) = slots.get_mut(&member.target.slot) {
                    pool.current = true;
                }
            }
        }
        slots.retain(|_, pool| {
            let current = std::mem::take(&mut pool.current);
            let longest = pool.idle_timeout_ms;
            let before = pool.idle.len();
            pool.idle.retain_mut(|it| current && now.saturating_sub(it.since) < longest && it.wire.is_idle());
            (pool.idle.len()..before).for_each(|_| pool.series.closed_idle(worker.index));
            current
        });
    }

    /// Sweeps for ever; one task a worker.
    pub async fn keep_swept(worker: Rc<Worker>) {
        loop {
            worker.wheel.sleep_until(worker.now() + SWEEP_MS).await;
            worker.pools.sweep(&worker);
            worker.links.sweep(&worker);
        }
    }
}

impl Pool {
    fn new(service: &Service) -> Self {
        let idle_timeout_ms = service.plan.pool.idle_timeout_ms;
        Self { idle: Vec::new(), idle_timeout_ms, series: service.series.clone(), current: false }
    }
}
