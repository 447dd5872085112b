//! Asks every target that is to be asked, from one thread: one task a target, however many routes, workers and reloads there are.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::task::{AbortHandle, spawn_local};

use crate::clock::{Clock, Millis};
use crate::policies::random::Random;
use crate::snapshot::Snapshot;
use crate::upstream::health::passive;
use crate::upstream::health::probe::{Question, Way, ask};
use crate::upstream::service::Service;
use crate::upstream::target::{Target, health};
use crate::wheel::Wheel;

/// The tasks that ask, by the slot of the target.
pub struct Probers {
    wheel: Rc<Wheel>,
    clock: Clock,
    running: FxHashMap<usize, Running>,
}

struct Running {
    /// It is asked as this service says.
    service: Arc<Service>,
    target: Arc<Target>,
    task: AbortHandle,
    /// Only meant while the snapshot is gone through.
    wanted: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probers {
    pub fn new(wheel: &Rc<Wheel>, clock: &Clock) -> Self {
        Self { wheel: wheel.clone(), clock: clock.clone(), running: FxHashMap::default() }
    }

    /// Asks the targets of this snapshot as it says, and no others. To be called when it, or a set of targets, changes.
    pub fn reconcile(&mut self, snapshot: &Snapshot) {
        let now = self.clock.now();
        for service in &snapshot.services {
            if service.passive().is_some() {
                // A target that nobody asks for returns in time, too.
                service.targets.refresh(now);
            }
            for member in &service.targets.set().members {
                let target = &member.target;
                if service.passive().is_none() && target.outlier.until().is_some() {
                    passive::pardon(target, now);
                }
                match &service.question {
                    Some(_) => self.want(service, target, now),
                    None if target.health() & health::UNHEALTHY != 0 => acquit(target, now),
                    None => {}
                }
            }
        }
        self.running.retain(|_, running| {
            let wanted = std::mem::take(&mut running.wanted);
            if !wanted {
                acquit(&running.target, now);
            }
            wanted
        });
    }

    fn want(&mut self, service: &Arc<Service>, target: &Arc<Target>, now: Millis) {
        if let Some(running) = self.running.get_mut(&target.slot)
            && Arc::ptr_eq(&running.service, service)
        {
            running.wanted = true;
            return;
        }
        let Some(check) = service.active() else { return };
        let (healthy, _) = target.probed.begin(check, now);
        mark(target, healthy, now);
        let (wheel, clock) = (self.wheel.clone(), self.clock.clone());
        let task = spawn_local(keep_asking(service.clone(), target.clone(), wheel, clock)).abort_handle();
        let running = Running { service: service.clone(), target: target.clone(), task, wanted: true };
        self.running.insert(target.slot, running);
    }
}

/// Nobody asks it any more.
fn acquit(target: &Target, now: Millis) {
    target.probed.end();
    target.bring_back(health::UNHEALTHY, now);
}

fn mark(target: &Target, healthy: bool, now: Millis) {
    match healthy {
        true => target.bring_back(health::UNHEALTHY, now),
        false => target.take_out(health::UNHEALTHY),
    };
}

async fn keep_asking(service: Arc<Service>, target: Arc<Target>, wheel: Rc<Wheel>, clock: Clock) {
    let (Some(check), Some(question)) = (service.active().cloned(), &service.question) else { return };
    let mut random = Random::from_system();
    loop {
        let (_, next) = target.probed.begin(&check, clock.now());
        wheel.sleep_until(next).await;
        let began = clock.now();
        let result = within(&wheel, began + check.timeout_ms, check.timeout_ms, &service, &target, question).await;
        let now = clock.now();
        let fault = result.as_ref().err().cloned();
        let changed = target.probed.take(result, now, |healthy| {
            let interval = if healthy { check.interval_ms } else { check.unhealthy_interval_ms };
            let jitter = interval * check.jitter_percent / 100;
            began + interval + random.next() % (jitter + 1)
        });
        let (service, name) = (&*service.name, &*target.name);
        let fault = fault.as_deref().unwrap_or_default();
        match changed {
            Some(true) => tracing::info!(service, target = name, "target is healthy"),
            Some(false) => tracing::warn!(service, target = name, fault, "target is unhealthy"),
            None if !fault.is_empty() => tracing::debug!(service, target = name, fault, "probe failed"),
            None => {}
        }
        if let Some(healthy) = changed {
            mark(&target, healthy, now);
        }
    }
}

async fn within(
    wheel: &Rc<Wheel>,
    due: Millis,
    timeout_ms: Millis,
    service: &Service,
    target: &Target,
    question: &Question,
) -> Result<(), Box<str>> {
    let way = Way {
        service: &service.name,
        place: &target.place,
        port: service.active().and_then(|check| check.port),
        tls: service.tls.as_ref(),
        protocol: service.plan.protocol,
        now: due.saturating_sub(timeout_ms),
    };
    tokio::select! {
        biased;
        asked = ask(way, question) => asked,
        () = wheel.sleep_until(due) => Err(format!("no answer within {timeout_ms}ms").into()),
    }
}
