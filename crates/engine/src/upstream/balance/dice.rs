//! Chance, cheap and of a worker's own: for choosing, never for secrets.

use std::cell::Cell;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Dice(Cell<u64>);

impl Dice {
    /// The same seed gives the same throws.
    pub fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Throws that nobody knows beforehand.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        // Without randomness workers would only choose alike.
        let _ = getrandom::fill(&mut seed);
        Self::seeded(u64::from_le_bytes(seed))
    }

    pub fn throw(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.0.get())
    }

    /// A number below `bound`, which is not 0. Not even by less than one in 2^32.
    pub fn below(&self, bound: u32) -> u32 {
        (((self.throw() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

/// Spreads the bits of a number over all others.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
