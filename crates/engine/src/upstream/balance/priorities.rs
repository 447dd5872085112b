//! How requests divide over priorities, and when health is disregarded: as Envoy does it.
//!
//! A priority counts as whole until less than 1/1.4 of its targets can be used; what it cannot take, the next one gets.
//! While all of them together are whole, health rules. When not, a priority in which too few can be used goes into panic:
//! all of its targets are used, since the few would only fall too.

/// Targets can take this much more than their share, in percent, before the next priority helps.
const OVERPROVISIONING: u32 = 140;

/// The targets of one priority.
#[derive(Debug, Clone, Copy)]
pub struct Census {
    pub usable: u32,
    /// Not 0.
    pub all: u32,
}

/// What one priority gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub percent: u32,
    /// All of its targets are used, whatever their health.
    pub panic: bool,
}

/// The shares of priorities, the first one first; they add up to 100, or to 0 when no target may be used.
pub fn divide(levels: &[Census], panic_percent: u32) -> Vec<Share> {
    let availability: Vec<u32> =
        levels.iter().map(|level| (OVERPROVISIONING * level.usable / level.all).min(100)).collect();
    let total = availability.iter().sum::<u32>().min(100);
    let in_panic = |level: &Census| total < 100 && 100 * level.usable / level.all < panic_percent;
    let panics: Vec<bool> = levels.iter().map(in_panic).collect();
    let percents = if panics.iter().all(|panic| *panic) {
        let all = levels.iter().map(|level| level.all).sum::<u32>().max(1);
        spread(levels.iter().map(|level| 100 * level.all / all))
    } else if total == 0 {
        vec![0; levels.len()]
    } else {
        spread(availability.iter().map(|percent| 100 * percent / total))
    };
    percents.into_iter().zip(panics).map(|(percent, panic)| Share { percent, panic }).collect()
}

/// At most 100 in all; what rounding left goes to the first that has any.
fn spread(wanted: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut left = 100;
    let mut percents: Vec<u32> = wanted
        .map(|percent| {
            let percent = percent.min(left);
            left -= percent;
            percent
        })
        .collect();
    if let Some(first) = percents.iter_mut().find(|percent| **percent > 0) {
        *first += left;
    }
    percents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(usable: &[u32], panic_percent: u32) -> Vec<(u32, bool)> {
        let levels: Vec<Census> = usable.iter().map(|usable| Census { usable: *usable, all: 100 }).collect();
        divide(&levels, panic_percent).iter().map(|share| (share.percent, share.panic)).collect()
    }

    #[test]
    fn it_is_as_the_tables_of_envoy_say() {
        // docs/root/intro/arch_overview/upstream/load_balancing/priority and panic_threshold.
        type Row = (&'static [u32], &'static [(u32, bool)]);
        let table: &[Row] = &[
            (&[100, 100], &[(100, false), (0, false)]),
            (&[72, 100], &[(100, false), (0, false)]),
            (&[71, 100], &[(99, false), (1, false)]),
            (&[50, 100], &[(70, false), (30, false)]),
            (&[25, 100], &[(35, false), (65, false)]),
            (&[0, 100], &[(0, false), (100, false)]),
            (&[25, 25], &[(50, true), (50, true)]),
            (&[5, 65], &[(8, true), (92, false)]),
            (&[100, 100, 100], &[(100, false), (0, false), (0, false)]),
            (&[25, 25, 100], &[(35, false), (35, false), (30, false)]),
            (&[0, 0, 60], &[(0, true), (0, true), (100, false)]),
        ];
        for (usable, expected) in table {
            assert_eq!(divided(usable, 50), *expected, "{usable:?}");
        }
        // Where all are in panic, shares are by the number of targets.
        assert_eq!(divided(&[0, 0, 20], 50), [(34, true), (33, true), (33, true)]);
    }

    #[test]
    fn without_a_panic_threshold_none_is_used_when_none_is_usable() {
        assert_eq!(divided(&[0], 0), [(0, false)]);
        assert_eq!(divided(&[0], 1), [(100, true)]);
        assert_eq!(divided(&[0, 0], 0), [(0, false), (0, false)]);
    }

    #[test]
    fn shares_add_up() {
        for first in 0..=100 {
            for second in 0..=100 {
                for panic in [0, 20, 50, 100] {
                    let sum: u32 = divided(&[first, second, 7], panic).iter().map(|(percent, _)| percent).sum();
                    assert_eq!(sum, 100, "{first} {second} {panic}");
                }
            }
        }
    }
}
