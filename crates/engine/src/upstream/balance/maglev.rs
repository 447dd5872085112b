//! Maglev's lookup table (Eisenbud et al., "Maglev: A fast and reliable software network load balancer", NSDI 2016,
//! section 3.4), with weights as Envoy gives them: the heaviest takes a turn in every round, others in their proportion.

use crate::upstream::balance::hash;

/// A prime, far more than the targets of a service: with N targets, their shares differ by about N in so many.
pub const ENTRIES: usize = 65_537;

pub struct Maglev(Box<[u16]>);

impl Maglev {
    /// `targets`: names, which decide about the places in the table, and weights, of which none is 0. At least one.
    pub fn new(targets: &[(&str, u32)]) -> Self {
        Self::with_entries(targets, ENTRIES)
    }

    fn with_entries(targets: &[(&str, u32)], entries: usize) -> Self {
        const FREE: u16 = u16::MAX;
        let heaviest = targets.iter().map(|(_, weight)| u64::from(*weight)).max().unwrap_or(1).max(1);
        let mut preferences: Vec<Preference> = targets.iter().map(|(name, _)| Preference::of(name, entries)).collect();
        let mut credit = vec![0; targets.len()];
        let mut table = vec![FREE; entries];
        let mut filled = 0;
        while filled < entries {
            for (index, preference) in preferences.iter_mut().enumerate() {
                credit[index] += u64::from(targets[index].1);
                if credit[index] < heaviest || filled == entries {
                    continue;
                }
                credit[index] -= heaviest;
                while table[preference.next] != FREE {
                    preference.advance(entries);
                }
                table[preference.next] = index as u16;
                filled += 1;
            }
        }
        Self(table.into())
    }

    /// The choices for a hash, the first one first. Neighbours in the table have nothing to do with each other.
    pub fn choices(&self, hash: u64) -> impl Iterator<Item = usize> {
        let from = (hash % self.0.len() as u64) as usize;
        self.0[from..].iter().chain(&self.0[..from]).map(|index| usize::from(*index))
    }
}

/// The places of the table in the order in which one target wants them.
struct Preference {
    next: usize,
    skip: usize,
}

impl Preference {
    fn of(name: &str, entries: usize) -> Self {
        let next = (hash(0, name.as_bytes()) % entries as u64) as usize;
        let skip = (hash(1, name.as_bytes()) % (entries as u64 - 1)) as usize + 1;
        Self { next, skip }
    }

    fn advance(&mut self, entries: usize) {
        self.next = (self.next + self.skip) % entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("10.0.{}.{}:8080", index / 250, index % 250)).collect()
    }

    fn table(names: &[String], weights: &[u32]) -> Maglev {
        let targets: Vec<_> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
        Maglev::new(&targets)
    }

    fn counts(table: &Maglev, targets: usize) -> Vec<usize> {
        let mut counts = vec![0; targets];
        table.0.iter().for_each(|index| counts[usize::from(*index)] += 1);
        counts
    }

    #[test]
    fn shares_are_equal_but_for_a_hundredth() {
        for targets in [1, 2, 3, 7, 50, 300] {
            let counts = counts(&table(&names(targets), &vec![1; targets]), targets);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1 + ENTRIES / targets / 100, "{targets}: {least} to {most}");
        }
    }

    #[test]
    fn shares_are_as_the_weights() {
        let weights = [1, 2, 5, 10, 100, 65_535];
        let counts = counts(&table(&names(6), &weights), 6);
        let total: u32 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(weights) {
            let expected = ENTRIES as f64 * f64::from(weight) / f64::from(total);
            assert!((*count as f64 - expected).abs() <= 2.0 + expected / 100.0, "{count}, not {expected}");
        }
    }

    #[test]
    fn one_that_leaves_moves_little_beside_its_own() {
        for count in [2, 5, 10, 50] {
            let names = names(count);
            let before = table(&names, &vec![1; count]);
            for gone in [0, count / 2, count - 1] {
                let mut left = names.clone();
                left.remove(gone);
                let after = table(&left, &vec![1; count - 1]);
                let moved = before.0.iter().zip(&after.0).filter(|(old, new)| {
                    let old = usize::from(**old);
                    old != gone && names[old] != left[usize::from(**new)]
                });
                // The paper finds about 2 % for tables of this size; what must move was not counted.
                let share = moved.count() as f64 / ENTRIES as f64;
                assert!(share < 0.06, "{count} targets, number {gone} leaves: {share:.3} of the others' moved");
            }
        }
    }
}
