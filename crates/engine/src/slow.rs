//! The thread for slow work, off the workers: names, probes, memory, and taking old snapshots apart.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{LocalSet, spawn_local};

use crate::clock::Clock;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::telemetry::Telemetry;
use crate::upstream::health::prober::Probers;
use crate::upstream::resolve;
use crate::wheel::Wheel;

/// Between two looks at what changes by itself.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks at snapshots that nobody may use any more.
const AGAIN: Duration = Duration::from_secs(10);

/// What the thread is told.
pub enum Told {
    /// There is another snapshot.
    Changed,
    /// The clock was moved.
    Turn { taken: mpsc::Sender<()> },
}

/// Snapshots that were swapped out, until their last exchange is over: taking a large one apart would hold a worker up.
#[derive(Default)]
pub struct Retired(Mutex<Vec<Arc<Snapshot>>>);

impl Retired {
    pub fn push(&self, snapshot: Arc<Snapshot>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(snapshot);
    }

    /// Drops those that nobody uses any more, on the calling thread.
    fn drop_unused(&self) {
        let mut unused = Vec::new();
        let mut retired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|snapshot| {
            let used = Arc::strong_count(snapshot) > 1;
            if !used {
                unused.push(snapshot.clone());
            }
            used
        });
        drop(retired);
    }
}

/// What the thread works with.
pub struct Start {
    pub clock: Clock,
    pub current: Arc<ArcSwap<Snapshot>>,
    pub retired: Arc<Retired>,
    pub state: Arc<State>,
    pub telemetry: Arc<Telemetry>,
}

/// Works until the engine is dropped or stopped.
pub fn run(start: &Start, inbox: UnboundedReceiver<Told>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let Ok(runtime) = builder.enable_all().max_blocking_threads(resolve::THREADS).build() else { return };
    let local = LocalSet::new();
    local.block_on(&runtime, work(start, inbox));
    drop(local);
    // A name server that does not answer must not keep the process from ending.
    runtime.shutdown_background();
}

async fn work(start: &Start, mut inbox: UnboundedReceiver<Told>) {
    let wheel = Wheel::new(start.clock.clone());
    spawn_local(wheel.clone().drive());
    let names = Rc::new(Notify::new());
    let (clock, telemetry) = (start.clock.clone(), start.telemetry.clone());
    spawn_local(resolve::keep_fresh(clock, telemetry, start.current.clone(), names.clone()));
    let mut probers = Probers::new(&wheel, &start.clock);
    let mut look = tokio::time::interval(LOOK);
    loop {
        start.retired.drop_unused();
        let snapshot = start.current.load_full();
        if snapshot.is_empty() {
            return;
        }
        probers.reconcile(&snapshot);
        let mut again = std::pin::pin!(tokio::time::sleep(AGAIN));
        loop {
            tokio::select! {
                () = &mut again => break,
                _ = look.tick() => {
                    let overload = snapshot.plan.overload.as_ref();
                    start.state.memory.look(overload.and_then(|overload| overload.memory.as_ref()));
                    // Names may lead to other targets by now.
                    probers.reconcile(&snapshot);
                }
                told = inbox.recv() => match told {
                    None => return,
                    Some(Told::Changed) => {
                        names.notify_one();
                        break;
                    }
                    Some(Told::Turn { taken }) => {
                        wheel.clock_moved();
                        names.notify_one();
                        let _ = taken.send(());
                    }
                }
            }
        }
    }
}
