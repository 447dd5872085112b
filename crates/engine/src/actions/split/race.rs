//! Which side a key falls to: a race of exponential clocks, one for each side, with the weights for their speeds.
//!
//! Each side draws a time for each key; the earliest wins. A side wins as often as its weight says, and the draws do not change
//! when weights do: a side that gets more only wins keys, one that gets less only loses some. Of two sides just the share that
//! moved changes; of more at most twice as much, which no rule that knows only the weights betters (Bavarian et al.,
//! "Optimality of Correlated Sampling Strategies", 2020). Cutting a line into pieces, by contrast, would move every boundary.
//!
//! A draw is made of the key and the name of the service, and of nothing else: every gateway, every worker and every route with
//! the same services puts a key on the same side, also after a restart.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::policies::random::mixed;

/// The sides' weights, which may change while they are used.
pub struct Weights(Box<[Clock]>);

struct Clock {
    /// Tells the draws of the sides apart.
    salt: u64,
    weight: AtomicU32,
}

impl Weights {
    /// Of the services by name.
    pub fn new<'a>(sides: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let clock = |(name, weight): (&str, u32)| Clock { salt: point(name.as_bytes()), weight: weight.into() };
        Self(sides.map(clock).collect())
    }

    /// Gives a side another weight, from the next request on.
    pub fn set(&self, side: usize, weight: u32) {
        if let Some(clock) = self.0.get(side) {
            clock.weight.store(weight, Relaxed);
        }
    }

    /// The side that wins the race at a point. Without any weight it is the first.
    pub fn draw(&self, point: u64) -> usize {
        let mut first = (0, f64::INFINITY);
        for (side, clock) in self.0.iter().enumerate() {
            let time = clock.time(point);
            if time < first.1 {
                first = (side, time);
            }
        }
        first.0
    }
}

impl Clock {
    fn time(&self, point: u64) -> f64 {
        match self.weight.load(Relaxed) {
            0 => f64::INFINITY,
            weight => -unit(mixed(point ^ self.salt)).ln() / f64::from(weight),
        }
    }
}

/// Where a key stands: FNV-1a, stirred. It is the same in every version, or a new one would change everybody's side.
pub fn point(key: &[u8]) -> u64 {
    let hashed = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mixed(hashed)
}

/// A number above 0 and up to 1.
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    fn sides(weights: &[(&str, u32)]) -> Vec<usize> {
        let weights = Weights::new(weights.iter().copied());
        (0..KEYS).map(|key| weights.draw(point(&key.to_le_bytes()))).collect()
    }

    fn share(sides: &[usize], side: usize) -> f64 {
        sides.iter().filter(|&&known| known == side).count() as f64 / KEYS as f64
    }

    #[test]
    fn each_side_gets_its_share() {
        let drawn = sides(&[("a", 90), ("b", 9), ("c", 1), ("d", 0)]);
        for (side, expected) in [(0, 0.9), (1, 0.09), (2, 0.01)] {
            assert!((share(&drawn, side) - expected).abs() < 0.01, "{side}: {}", share(&drawn, side));
        }
        assert_eq!(share(&drawn, 3), 0.0);
    }

    #[test]
    fn of_two_sides_only_the_share_that_moved_changes() {
        let (before, after) = (sides(&[("a", 95), ("b", 5)]), sides(&[("a", 75), ("b", 25)]));
        assert!(before.iter().zip(&after).all(|pair| pair != (&1, &0)), "nobody goes back");
        let moved = before.iter().zip(&after).filter(|(left, right)| left != right).count() as f64 / KEYS as f64;
        assert!((moved - 0.2).abs() < 0.02, "{moved}");
    }

    #[test]
    fn a_side_that_gets_more_loses_no_key() {
        let (before, after) = (sides(&[("a", 4), ("b", 3), ("c", 3)]), sides(&[("a", 6), ("b", 3), ("c", 3)]));
        assert!(before.iter().zip(&after).all(|(left, right)| left == right || *right == 0));
    }

    #[test]
    fn a_key_stays_when_the_sides_are_named_in_another_order() {
        let (one, other) = (sides(&[("a", 1), ("b", 2)]), sides(&[("b", 2), ("a", 1)]));
        assert!(one.iter().zip(&other).all(|(left, right)| left + right == 1));
    }

    // A change here would put every user of every gateway on another side.
    #[test]
    fn points_are_what_they_always_were() {
        assert_eq!(point(b""), 0xc381_7c01_6ba4_ff30);
        assert_eq!(point(b"ada"), 0x5b1b_2855_ac89_22ba);
    }
}
