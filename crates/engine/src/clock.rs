//! The engine's clock: milliseconds since it was made, which a test may move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point on the engine's own time line, in milliseconds.
pub type Millis = u64;

/// Later than every time that can be reached.
pub const NEVER: Millis = u64::MAX;

#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    moved: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now(), moved: Arc::default() }
    }
}

impl Clock {
    pub fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as u64 + self.moved.load(Ordering::Relaxed)
    }

    /// Microseconds on the same line, for durations in logs and histograms.
    pub fn now_micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64 + self.moved.load(Ordering::Relaxed) * 1000
    }

    /// Moves the time forward by that many milliseconds; the caller then wakes the workers.
    pub fn advance(&self, by: Millis) {
        self.moved.fetch_add(by, Ordering::Relaxed);
    }

    /// Milliseconds since the Unix epoch, moved like the rest.
    pub fn wall(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as u64 + self.moved.load(Ordering::Relaxed)
    }
}
