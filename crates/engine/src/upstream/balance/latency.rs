//! A moving average of latencies that rises at once and falls slowly.
//!
//! After the peak EWMA of Twitter's Finagle: what is slower than the average becomes the average; what is faster pulls it
//! down by how long ago the last observation was. While nothing is observed it decays, so that a target that was slow once
//! is tried again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Millis;

/// Milliseconds after which an observation weighs 1/e.
const DECAY_MS: f32 = 10_000.0;

/// Microseconds in the lower half, when they were written (milliseconds, wrapping) in the upper: one word, so that no
/// reader meets half an update. Of two workers that write at once, one observation is lost.
#[derive(Default)]
pub struct Latency(AtomicU64);

impl Latency {
    pub fn observe(&self, now: Millis, micros: u64) {
        let (written, known) = self.read();
        let micros = u32::try_from(micros).unwrap_or(u32::MAX).max(1);
        let average = match micros >= known {
            true => micros,
            false => {
                let weight = decay(now, written);
                (known as f32 * weight + micros as f32 * (1.0 - weight)) as u32
            }
        };
        self.0.store(u64::from(now as u32) << 32 | u64::from(average), Relaxed);
    }

    /// The average as it is by now; 0 when nothing was ever observed.
    pub fn at(&self, now: Millis) -> u64 {
        let (written, known) = self.read();
        if known == 0 {
            return 0;
        }
        // Never back to unknown.
        ((known as f32 * decay(now, written)) as u64).max(1)
    }

    fn read(&self) -> (u32, u32) {
        let word = self.0.load(Relaxed);
        ((word >> 32) as u32, word as u32)
    }
}

fn decay(now: Millis, written: u32) -> f32 {
    // A worker's clock may be read just before another's is written.
    let elapsed = (now as u32).wrapping_sub(written) as i32;
    (-(elapsed.max(0) as f32) / DECAY_MS).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_at_once_and_falls_by_and_by() {
        let latency = Latency::default();
        assert_eq!(latency.at(5), 0);
        latency.observe(0, 1000);
        assert_eq!(latency.at(0), 1000);
        latency.observe(0, 9000);
        assert_eq!(latency.at(0), 9000);
        latency.observe(0, 1000);
        assert_eq!(latency.at(0), 9000, "no time has passed");
        latency.observe(10_000, 1000);
        let after = latency.at(10_000);
        assert!((3900..4000).contains(&after), "{after}");
    }

    #[test]
    fn it_is_forgotten_in_silence_but_never_unknown_again() {
        let latency = Latency::default();
        latency.observe(1000, 50_000);
        assert!(latency.at(31_000) < 2600);
        assert_eq!(latency.at(10_000_000), 1);
        assert_eq!(latency.at(0), 50_000, "a clock that is behind changes nothing");
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let latency = Latency::default();
        latency.observe(u64::from(u32::MAX) + 7, u64::MAX);
        assert!(latency.at(u64::from(u32::MAX) + 7) >= u64::from(u32::MAX));
    }
}
