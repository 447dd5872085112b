//! Idle connections to services, per worker and target, the one used last on top.
//!
//! A connection that is taken is checked by its readiness, without a system call unless the request must not be sent twice:
//! one that has something to say while nobody asked is dead or out of step. A sweep drops those that were idle for too long.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

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
#[derive(Default)]
struct ServicePools {
    service: Option<Arc<Service>>,
    targets: Vec<Vec<Idle>>,
}

/// All pools of a worker, by [`Service::slot`].
#[derive(Default)]
pub struct Pools {
    slots: RefCell<Vec<ServicePools>>,
}

impl Pools {
    /// An idle connection that still lives. `once`: the request cannot be sent again, so the kernel is asked too.
    pub fn take(&self, worker: &Worker, service: &Service, target: usize, once: bool) -> Option<Box<Wire>> {
        let mut slots = self.slots.borrow_mut();
        let idle = slots.get_mut(service.slot)?.targets.get_mut(target)?;
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
            if slots.len() <= service.slot {
                slots.resize_with(service.slot + 1, ServicePools::default);
            }
            let pools = &mut slots[service.slot];
            if pools.service.is_none() {
                pools.service = Some(service.clone());
                pools.targets.resize_with(service.targets.len(), Vec::new);
            }
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
        let snapshot = worker.snapshot();
        for pools in self.slots.borrow_mut().iter_mut() {
            let Some(service) = pools.service.clone() else { continue };
            let current = snapshot.services.iter().any(|known| Arc::ptr_eq(known, &service));
            let longest = service.plan.pool.idle_timeout_ms;
            for idle in &mut pools.targets {
                let before = idle.len();
                idle.retain_mut(|it| current && now.saturating_sub(it.since) < longest && it.wire.is_idle());
                (idle.len()..before).for_each(|_| service.series.closed_idle(worker.index));
            }
            if !current {
                *pools = ServicePools::default();
            }
        }
    }

    /// Sweeps for ever; one task a worker.
    pub async fn keep_swept(worker: Rc<Worker>) {
        loop {
            worker.wheel.sleep_until(worker.now() + SWEEP_MS).await;
            worker.pools.sweep(&worker);
        }
    }
}
