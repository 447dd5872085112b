//! A hash ring (Karger et al., 1997, with several points a target as in ketama): whoever leaves gives its own keys only.

use crate::upstream::balance::hash;

/// Points of a target with the least weight.
const POINTS: u64 = 160;
/// Points of all together, at most.
const MOST_POINTS: u64 = 1 << 20;

pub struct Ring(Box<[(u64, u16)]>);

impl Ring {
    /// As for [`Maglev::new`](super::maglev::Maglev::new).
    pub fn new(targets: &[(&str, u32)]) -> Self {
        let divisor = targets.iter().fold(0, |divisor, (_, weight)| gcd(divisor, u64::from(*weight))).max(1);
        let total = targets.iter().map(|(_, weight)| u64::from(*weight) / divisor).sum::<u64>().max(1);
        let each = POINTS.min(MOST_POINTS / total);
        let mut points = Vec::new();
        for (index, (name, weight)) in targets.iter().enumerate() {
            let share = u64::from(*weight) / divisor;
            let count = if each > 0 { share * each } else { (share * MOST_POINTS / total).max(1) };
            points.extend((0..count).map(|point| (hash(point, name.as_bytes()), index as u16)));
        }
        points.sort_unstable();
        Self(points.into())
    }

    /// The choices for a hash, the first one first.
    pub fn choices(&self, hash: u64) -> impl Iterator<Item = usize> {
        let from = self.0.partition_point(|(point, _)| *point < hash);
        self.0[from..].iter().chain(&self.0[..from]).map(|(_, index)| usize::from(*index))
    }
}

fn gcd(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { gcd(right, left % right) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balance::dice::Dice;

    fn ring(names: &[String], weight: impl Fn(usize) -> u32) -> Ring {
        let targets: Vec<_> = names.iter().enumerate().map(|(index, name)| (name.as_str(), weight(index))).collect();
        Ring::new(&targets)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("10.0.0.{index}:8080")).collect()
    }

    #[test]
    fn one_that_leaves_moves_only_its_own() {
        let names = names(9);
        let before = ring(&names, |_| 1);
        let after = ring(&names[..8], |_| 1);
        let dice = Dice::seeded(7);
        for _ in 0..10_000 {
            let hash = dice.throw();
            let (old, new) = (before.choices(hash).next(), after.choices(hash).next());
            assert!(old == Some(8) || old == new);
        }
    }

    #[test]
    fn shares_follow_the_weights_within_a_fifth() {
        let ring = ring(&names(4), |index| 100 * (index as u32 + 1));
        let dice = Dice::seeded(11);
        let mut counts = [0_usize; 4];
        (0..100_000).for_each(|_| counts[ring.choices(dice.throw()).next().unwrap()] += 1);
        for (index, count) in counts.iter().enumerate() {
            let expected = 10_000 * (index + 1);
            assert!(count.abs_diff(expected) < expected / 5, "{counts:?}");
        }
    }

    #[test]
    fn heavy_weights_are_followed_within_the_bound() {
        let ring = ring(&names(3), |index| [65_535, 65_534, 1][index]);
        assert!(ring.0.len() as u64 <= MOST_POINTS + 3);
        assert!(ring.0.iter().any(|(_, index)| *index == 2));
    }
}
