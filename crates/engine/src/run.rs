//! A worker's thread: one runtime, its listeners, and what the engine tells it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{LocalSet, spawn_local};

use crate::bridge::Bridge;
use crate::canary;
use crate::clock::Clock;
use crate::listener::accept::{self, Census, Listener, Settings};
use crate::listener::tls::ServerTls;
use crate::overload::pulse;
use crate::plan;
use crate::snapshot::{Pinned, Snapshot};
use crate::telemetry::Telemetry;
use crate::upstream::breaker::share::keep_shared;
use crate::upstream::bulkhead::keep_reclaimed;
use crate::upstream::pool::Pools;
use crate::upstream::resolve;
use crate::worker::Worker;

/// What a thread is started with.
pub struct Start {
    pub index: usize,
    pub clock: Clock,
    pub snapshot: Arc<Snapshot>,
    pub telemetry: Arc<Telemetry>,
    pub bridge: Option<Arc<dyn Bridge>>,
}

/// One listener of the document, for one worker.
pub struct Opening {
    pub plan: plan::Listener,
    pub tls: Option<ServerTls>,
    pub census: Arc<Census>,
    /// `None`: the listener is open already and only its settings change.
    pub socket: Option<Socket>,
}

pub enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

pub enum Control {
    Swap {
        snapshot: Arc<Snapshot>,
        openings: Vec<Opening>,
        taken: mpsc::Sender<()>,
    },
    /// The clock was moved.
    Turn {
        taken: mpsc::Sender<()>,
    },
    Drain {
        done: mpsc::Sender<()>,
    },
    Stop,
}

/// Runs a worker until it is stopped.
pub fn run(start: Start, inbox: UnboundedReceiver<Control>) {
    // As many events at once as a busy worker can use; ticks are rare since timers are in the wheel.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(resolve::THREADS).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(worker = start.index, %error, "worker cannot start");
            return;
        }
    };
    let Start { index, clock, snapshot, telemetry, bridge } = start;
    let worker = Worker::new(index, clock, Pinned::new(snapshot), telemetry, bridge);
    let local = LocalSet::new();
    local.block_on(&runtime, control(worker, inbox));
    drop(local);
    // A name that is just being resolved must not hold the stop up.
    runtime.shutdown_background();
}

async fn control(worker: Rc<Worker>, mut inbox: UnboundedReceiver<Control>) {
    spawn_local(worker.wheel.clone().drive());
    spawn_local(Pools::keep_swept(worker.clone()));
    if worker.index == 0 {
        spawn_local(canary::keep(worker.clone()));
    }
    spawn_local(pulse::keep(worker.clone()));
    spawn_local(keep_reclaimed(worker.clone()));
    if worker.index == 0 {
        spawn_local(keep_shared(worker.clone()));
    }
    let mut listeners: Vec<Rc<Listener>> = Vec::new();
    while let Some(control) = inbox.recv().await {
        match control {
            Control::Swap { snapshot, openings, taken } => {
                worker.swap(Pinned::new(snapshot));
                reconcile(&worker, &mut listeners, openings);
                let _ = taken.send(());
            }
            Control::Turn { taken } => {
                worker.wheel.clock_moved();
                let _ = taken.send(());
            }
            Control::Drain { done } => {
                listeners.drain(..).for_each(|listener| listener.close());
                worker.local.redis.farewell();
                worker.drain.begin();
                worker.wheel.wake_all();
                spawn_local(drained(worker.clone(), done));
            }
            Control::Stop => return,
        }
    }
}

/// Opens what is new, gives new settings to what stays, and closes what is gone.
fn reconcile(worker: &Rc<Worker>, listeners: &mut Vec<Rc<Listener>>, openings: Vec<Opening>) {
    let mut next = Vec::with_capacity(openings.len());
    for opening in openings {
        let settings = Settings::new(opening.plan, opening.tls);
        match opening.socket {
            None => {
                let known = listeners.iter().position(|listener| *listener.name == *settings.plan.name);
                if let Some(known) = known {
                    let listener = listeners.swap_remove(known);
                    if listener.reset(settings) {
                        worker.wheel.wake_all();
                    }
                    next.push(listener);
                }
            }
            Some(socket) => {
                let name = settings.plan.name.clone();
                let listener = Listener::new(settings, opening.census, worker.telemetry.registry.listener(&name));
                next.push(listener.clone());
                let worker = worker.clone();
                worker.listening.set(worker.listening.get() + 1);
                spawn_local(async move {
                    let accepted = match socket {
                        Socket::Tcp(socket) => accept::accept_tcp(worker.clone(), listener, socket).await,
                        Socket::Unix(socket) => accept::accept_unix(worker.clone(), listener, socket).await,
                    };
                    if let Err(error) = accepted {
                        tracing::error!(worker = worker.index, %error, "listener failed");
                    }
                    worker.listening.set(worker.listening.get() - 1);
                    worker.drain.connection_ended();
                });
            }
        }
    }
    if !listeners.is_empty() {
        listeners.drain(..).for_each(|listener| listener.close());
        worker.wheel.wake_all();
    }
    *listeners = next;
}

/// Tells when the last connection of a draining worker has ended.
async fn drained(worker: Rc<Worker>, done: mpsc::Sender<()>) {
    // A listener that is still closing may take more connections.
    while worker.listening.get() > 0 || worker.connections.get() > 0 {
        worker.drain.one_ended().await;
    }
    let _ = done.send(());
}
