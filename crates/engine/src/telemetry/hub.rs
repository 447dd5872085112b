//! The one place that is told what happens to exchanges.

use std::io;
use std::sync::Arc;

use crate::clock::Clock;
use crate::exchange::{Connection, Exchange};
use crate::respond::Code;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{Registry, Sample};
use crate::telemetry::record::Record;
use crate::telemetry::wall::Wall;

/// Shared by all workers; every call names the worker it comes from and writes to that worker's part only.
pub struct Telemetry {
    pub registry: Arc<Registry>,
    pub access_log: AccessLog,
    pub wall: Arc<Wall>,
}

impl Telemetry {
    /// Starts the thread that writes the access log; it writes nothing until [`AccessLog::apply`].
    pub fn start(workers: usize, clock: Clock) -> io::Result<Arc<Self>> {
        let wall = Arc::new(Wall::new(clock));
        let registry = Arc::new(Registry::new(workers, wall.clone()));
        let access_log = AccessLog::start(workers, wall.clone(), registry.clone())?;
        Ok(Arc::new(Self { registry, access_log, wall }))
    }

    /// A request came whose head could be read; [`Telemetry::complete`] must follow.
    pub fn begin(&self, worker: usize) {
        self.registry.worker(worker, |shard| shard.begun.add(1));
    }

    /// An exchange is over, however it ended.
    pub fn complete(&self, worker: usize, exchange: &Exchange, ended_micros: u64) {
        let snapshot = &exchange.snapshot;
        let series =
            exchange.route.map_or(&snapshot.unrouted_series, |route| snapshot.routes[route].series(exchange.side));
        let notes = &exchange.notes;
        let sample = Sample {
            status: final_status(exchange),
            duration_micros: ended_micros.saturating_sub(exchange.started_micros),
            upstream_micros: notes.answered_micros.checked_sub(exchange.started_micros),
            request_bytes: notes.request_bytes,
            answer_bytes: notes.answer_bytes,
        };
        self.registry.worker(worker, |shard| {
            shard.ended.add(1);
            if let Some(code) = notes.code {
                shard.refused(code);
            }
        });
        series.observe(worker, &sample);
        if self.access_log.is_on() {
            let record =
                Record { exchange, sample: &sample, epoch_micros: self.wall.epoch_micros(exchange.started_micros) };
            self.access_log.append(worker, |out| record.write(out));
        }
    }

    /// A message was refused before it became an exchange: a head that cannot be read, or did not come in time.
    pub fn refused(&self, worker: usize, connection: &Connection, code: Code, detail: &str) {
        self.registry.worker(worker, |shard| shard.refused(code));
        if self.access_log.is_on() {
            let time = self.wall.now_millis() * 1000;
            self.access_log.append(worker, |out| Record::write_refused(out, time, connection, code, detail));
        }
    }

    /// Writes what is still buffered and ends the thread. Call it when the workers have ended.
    pub fn stop(&self) {
        self.access_log.stop();
    }
}

/// What the client was told; 499 (after nginx) when it left before it could be told anything.
fn final_status(exchange: &Exchange) -> u16 {
    match (exchange.answer.status, exchange.notes.code) {
        (0, Some(code)) => code.status(),
        (0, None) => Code::ClientGone.status(),
        (status, _) => status,
    }
}
