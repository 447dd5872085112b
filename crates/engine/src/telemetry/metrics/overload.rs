//! What is counted for the gateway's own overload.

use std::sync::Arc;

use crate::overload::shed::Reason;
use crate::overload::{Memory, NOTCHES, Priority};
use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::histogram::{Histogram, Reading};
use crate::telemetry::metrics::registry::Registry;
use crate::telemetry::metrics::shards::Shards;
use crate::telemetry::metrics::text::{Kind, Text};

pub struct OverloadSeries {
    parts: Shards<Part>,
}

#[derive(Default)]
struct Part {
    delay: Histogram,
    notches: Counter,
    /// By priority, and why.
    shed: [[Counter; Reason::ALL.len()]; Priority::SHED],
}

impl OverloadSeries {
    pub(super) fn new(workers: usize) -> Self {
        Self { parts: Shards::new(workers) }
    }

    /// A worker was so late.
    pub fn delayed(&self, worker: usize, micros: u64) {
        self.parts.of(worker).delay.observe(micros);
    }

    /// The pressure of a worker's delay is this now.
    pub fn pressed(&self, worker: usize, notches: u32) {
        self.parts.of(worker).notches.set(notches.into());
    }

    /// A request was refused.
    pub fn shed(&self, worker: usize, priority: Priority, reason: Reason) {
        if let Some(counters) = self.parts.of(worker).shed.get(priority as usize) {
            counters[reason as usize].add(1);
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }
}

impl Registry {
    pub(super) fn render_overload(&self, text: &mut Text) {
        let Some(series) = self.overloads().into_iter().next() else { return };
        let memory = self.state.get().map(|state| state.memory.clone()).unwrap_or_default();
        render(&series, &memory, text);
    }
}

fn render(series: &Arc<OverloadSeries>, memory: &Memory, text: &mut Text) {
    let help = "How late workers are to what is ready, looked at some hundred times a second while requests come.";
    text.family("tidegate_overload_delay_seconds", Kind::Histogram, help);
    let mut delay = Reading::default();
    series.parts.iter().for_each(|part| part.delay.add_to(&mut delay));
    text.histogram(&[], &delay);
    text.family("tidegate_overload_shed", Kind::Counter, "Requests refused because the gateway is overloaded.");
    for priority in &Priority::ALL[..Priority::SHED] {
        for reason in Reason::ALL {
            let count = series.parts.sum(|part| part.shed[*priority as usize][reason as usize].get());
            text.sample(&[("priority", priority.word()), ("reason", reason.word())], count);
        }
    }
    let help = "Percent of the requests of a priority that are refused at present, on the worker that refuses most.";
    text.family("tidegate_overload_refusing_percent", Kind::Gauge, help);
    let notches = series.parts.iter().map(|part| part.notches.get()).max().unwrap_or(0).max(memory.notches().into());
    for priority in &Priority::ALL[..Priority::SHED] {
        let notches = notches.saturating_sub(*priority as u64 * u64::from(NOTCHES)).min(NOTCHES.into());
        text.sample(&[("priority", priority.word())], notches * 100 / u64::from(NOTCHES));
    }
    let (used, limit) = memory.reading();
    if limit > 0 {
        text.family("tidegate_overload_memory_bytes", Kind::Gauge, "Memory in use, as `overload.memory` counts it.");
        text.sample(&[], used);
        text.family("tidegate_overload_memory_limit_bytes", Kind::Gauge, "The memory that there may be.");
        text.sample(&[], limit);
    }
}
