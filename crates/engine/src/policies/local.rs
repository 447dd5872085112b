//! What the policies of one worker keep for themselves.

use std::cell::RefCell;
use std::sync::Arc;

use crate::policies::random::Random;
use crate::policies::signed_identity::Signed;
use crate::telemetry::Wall;

/// Made once a worker and handed to every hook; never shared, so nothing in it locks.
pub struct Local {
    pub(super) random: RefCell<Random>,
    pub(super) signed: RefCell<Signed>,
    wall: Arc<Wall>,
}

impl Local {
    pub fn new(wall: Arc<Wall>) -> Self {
        Self { random: RefCell::new(Random::from_system()), signed: RefCell::default(), wall }
    }

    /// Milliseconds since the Unix epoch at a moment of the engine's clock, without reading a clock.
    pub(super) fn epoch_millis(&self, micros: u64) -> u64 {
        self.wall.epoch_micros(micros) / 1000
    }
}
