//! Idle connections to services, per worker and target, the one used last on top.
//!
//! A connection that is taken is checked by its readiness, without a system call unless the request must not be sent twice:
//! one that has something to say while nobody asked is dead or out of step. A sweep drops those that were idle for too long.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::clock::Millis;
use crate::upstream::http1::Wire;
use crate::upstream::service::Service;
use crate::worker::Worker;

/// Milliseconds between two sweeps.
pub const SWEEP_MS: Millis = 1000;

struct Idle {
    wire: Box<Wire>,
    since: Millis,
}

/// The pools of one service.
struct ServicePools {
    service: Arc<Service>,
    targets: Vec<Vec<Idle>>,
    /// The snapshot has the service; only meant within a sweep.
    current: bool,
}

impl ServicePools {
    fn new(service: &Arc<Service>) -> Self {
        Self { service: service.clone(), targets: service.targets.iter().map(|_| Vec::new()).collect(), current: false }
    }
}

/// All pools of a worker, by [`Service::slot`]: of the services of this snapshot and, until the next sweep, of the last ones.
#[derive(Default)]
pub struct Pools {
    slots: RefCell<FxHashMap<usize, ServicePools>>,
}

impl Pools {
    /// An idle connection that still lives. `once`: the request cannot be sent again, so the kernel is asked too.
    pub fn take(&self, worker: &Worker, service: &Service, target: usize, once: bool) -> Option<Box<Wire>> {
        let mut slots = self.slots.borrow_mut();
        let idle = slots.get_mut(&service.slot)?.targets.get_mut(target)?;
        while let Some(mut candidate) = idle.pop() {
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
    pub fn give_back(&self, worker: &Worker, service: &Arc<Service>, target: usize, wire: Box<Wire>, clean: bool) {
        let kept = clean && !worker.drain.has_begun() && {
            let mut slots = self.slots.borrow_mut();
            let pools = slots.entry(service.slot).or_insert_with(|| ServicePools::new(service));
            let idle = &mut pools.targets[target];
            if idle.len() < service.plan.pool.max_idle {
                idle.push(Idle { wire, since: worker.now() });
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

    /// Drops connections that were idle too long or have died, and the pools of services that are gone.
    pub fn sweep(&self, worker: &Worker) {
        let now = worker.now();
        let mut slots = self.slots.borrow_mut();
        // Marked first, so that the cost is that of the services and not of their square.
        for service in &worker.snapshot().services {
            if let Some(pools) = slots.get_mut(&service.slot) {
                pools.current = true;
            }
        }
        slots.retain(|_, pools| {
            let current = std::mem::take(&mut pools.current);
            let longest = pools.service.plan.pool.idle_timeout_ms;
            for idle in &mut pools.targets {
                let before = idle.len();
                idle.retain_mut(|it| current && now.saturating_sub(it.since) < longest && it.wire.is_idle());
                (idle.len()..before).for_each(|_| pools.service.series.closed_idle(worker.index));
            }
            current
        });
    }

    /// Sweeps for ever; one task a worker.
    pub async fn keep_swept(worker: Rc<Worker>) {
        loop {
            worker.wheel.sleep_until(worker.now() + SWEEP_MS).await;
            worker.pools.sweep(&worker);
        }
    }
}
