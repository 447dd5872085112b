//! Wall-clock time of moments on the engine's clock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

/// How far the engine's clock lies behind the Unix epoch, so that a request's time of day costs no clock read.
pub struct Wall {
    clock: Clock,
    offset_micros: AtomicU64,
}

impl Wall {
    pub fn new(clock: Clock) -> Self {
        let wall = Self { clock, offset_micros: AtomicU64::new(0) };
        wall.refresh();
        wall
    }

    /// Follows the system's clock when that is set; called now and then by the telemetry thread.
    pub fn refresh(&self) {
        let offset = (self.clock.wall() * 1000).saturating_sub(self.clock.now_micros());
        self.offset_micros.store(offset, Ordering::Relaxed);
    }

    /// Microseconds since the Unix epoch at a moment of the engine's clock.
    pub fn epoch_micros(&self, micros: u64) -> u64 {
        self.offset_micros.load(Ordering::Relaxed).wrapping_add(micros)
    }

    /// Milliseconds since the Unix epoch now.
    pub fn now_millis(&self) -> u64 {
        self.clock.wall()
    }

    /// Microseconds of the engine's clock now.
    pub fn engine_micros(&self) -> u64 {
        self.clock.now_micros()
    }

    /// Milliseconds of the engine's clock now.
    pub(super) fn engine_millis(&self) -> u64 {
        self.clock.now()
    }
}
