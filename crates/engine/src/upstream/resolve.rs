//! Keeps names fresh: each is looked up again when what it led to does not hold any longer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::{Clock, Millis};
use crate::snapshot::Snapshot;
use crate::telemetry::Telemetry;
use crate::upstream::name::Name;
use crate::upstream::service::Service;

/// Threads that wait for the system's resolver, per runtime.
pub const THREADS: usize = 32;

/// Lookups at the same time. A name server that is slow for some must not make the others old.
const MOST_LOOKUPS: usize = 256;
/// The longest wait between two looks at what is due.
const LONGEST_MS: Millis = 10_000;

/// Looks names up until there is nothing to serve. `told` that there is another snapshot, or another time, it looks at once.
pub async fn keep_fresh(clock: Clock, telemetry: Arc<Telemetry>, current: Arc<ArcSwap<Snapshot>>, told: Rc<Notify>) {
    let mut lookups = JoinSet::new();
    loop {
        let snapshot = current.load_full();
        if snapshot.is_empty() {
            return;
        }
        let next = begin_what_is_due(&snapshot, &clock, &telemetry, &mut lookups);
        // Held no longer than it is looked at.
        drop(snapshot);
        let wait = next.saturating_sub(clock.now()).clamp(1, LONGEST_MS);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            Some(_) = lookups.join_next() => while lookups.try_join_next().is_some() {},
            () = told.notified() => {}
        }
    }
}

/// Returns when the next name is due.
fn begin_what_is_due(
    snapshot: &Snapshot,
    clock: &Clock,
    telemetry: &Arc<Telemetry>,
    lookups: &mut JoinSet<()>,
) -> Millis {
    let now = clock.now();
    let mut next = now + LONGEST_MS;
    for service in &snapshot.services {
        for name in service.targets.names().iter() {
            let due = name.due();
            if due > now {
                next = next.min(due);
            } else if lookups.len() < MOST_LOOKUPS {
                name.begin();
                lookups.spawn(look_up(service.clone(), name.clone(), clock.clone(), telemetry.clone()));
            }
        }
    }
    next
}

async fn look_up(service: Arc<Service>, name: Arc<Name>, clock: Clock, telemetry: Arc<Telemetry>) {
    match name.look_up(clock.now()).await {
        Ok(changed) => {
            // Somebody else may have found it meanwhile.
            service.targets.resolved(&telemetry.registry, clock.now());
            if changed {
                tracing::info!(service = %service.name, %name, addresses = name.known().len(), "name resolved");
            }
        }
        Err(error) => {
            let kept = name.known().len();
            tracing::warn!(service = %service.name, %name, %error, addresses_kept = kept, "resolve failed");
        }
    }
}
