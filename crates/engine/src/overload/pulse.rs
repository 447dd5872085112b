//! How late a worker is: the time between being ready and being at it, felt by a task that stands in the same queue.
//!
//! A socket that becomes readable and a timer that comes due are found by the same look at the kernel, and what they wake waits in
//! the same queue of tasks. So a task that asks to be woken at a time is late by just as much as a request that arrives at that
//! time. One look a beat tells it, and no request has to read a clock for it. A worker that hears of no request does not beat.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::clock::Millis;
use crate::overload::pressure::{Pressure, Turns};
use crate::overload::shed::Overload;
use crate::worker::Worker;

/// Between two beats; that of the wheel.
const BEAT_MS: Millis = 8;
/// Beats without a request before the pulse stops.
const PATIENCE: u32 = 32;

/// What one worker knows of its own lateness.
#[derive(Default)]
pub struct Guard {
    notches: Cell<u32>,
    pub(super) turns: Turns,
    beats: Cell<bool>,
    heard: Cell<bool>,
    wake: Notify,
    pressure: RefCell<Option<Pressure>>,
}

impl Guard {
    /// The pressure of this worker's delay.
    pub fn notches(&self) -> u32 {
        self.notches.get()
    }

    /// A request came.
    pub fn hear(&self) {
        self.heard.set(true);
        if !self.beats.replace(true) {
            self.wake.notify_one();
        }
    }
}

/// Beats for ever; one task a worker.
pub async fn keep(worker: Rc<Worker>) {
    loop {
        worker.local.guard.wake.notified().await;
        let mut silent = 0;
        while silent < PATIENCE {
            // On a tick of the wheel, so that the wait for the tick is not taken for lateness.
            let due = (worker.now() / BEAT_MS + 1) * BEAT_MS;
            worker.wheel.sleep_until(due).await;
            let snapshot = worker.snapshot();
            let Some(overload) = &snapshot.overload else { break };
            let pressed = beat(&worker, overload, due);
            silent = if worker.local.guard.heard.take() || pressed { 0 } else { silent + 1 };
        }
        worker.local.guard.rest();
    }
}

/// Takes one sample; true while there is pressure.
fn beat(worker: &Worker, overload: &Arc<Overload>, due: Millis) -> bool {
    let now = worker.clock.now_micros();
    let late = now.saturating_sub(due * 1000) + overload.injected();
    overload.series.delayed(worker.index, late);
    let Some(delay) = &overload.plan.queue_delay else { return false };
    let (target, interval) = (delay.target_ms * 1000, delay.interval_ms * 1000);
    let mut known = worker.local.guard.pressure.borrow_mut();
    let pressure = match &mut *known {
        Some(pressure) if pressure.is_for(target, interval) => pressure,
        other => other.insert(Pressure::new(target, interval)),
    };
    let before = pressure.notches();
    let notches = pressure.take(now, late);
    worker.local.guard.notches.set(notches);
    overload.series.pressed(worker.index, notches);
    if before == 0 && notches > 0 {
        tracing::warn!(worker = worker.index, late_us = late, "worker is overloaded, requests are refused");
    } else if before > 0 && notches == 0 {
        tracing::info!(worker = worker.index, "worker keeps up again");
    }
    notches > 0
}

impl Guard {
    fn rest(&self) {
        self.notches.set(0);
        self.pressure.take();
        self.beats.set(false);
    }
}
