//! Turns by weight, spread out: nginx's smooth weighted round robin, written out for one round.

/// A round is not longer; weights whose sum is larger are followed as closely as this allows.
const MOST_TURNS: u64 = 10_000;
/// Steps that writing a round out may take.
const MOST_STEPS: u64 = 2_000_000;

/// Whose turn it is, for a whole round. Weights of which none is 0.
pub fn round(weights: &[u32]) -> Box<[u16]> {
    let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, *weight)).max(1);
    let mut weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let count = weights.len() as u64;
    let most = MOST_TURNS.min(MOST_STEPS / count.max(1)).max(count) as i64;
    let total: i64 = weights.iter().sum();
    if total > most {
        weights.iter_mut().for_each(|weight| *weight = (*weight * most / total).max(1));
    }
    let total: i64 = weights.iter().sum();
    if weights.iter().all(|weight| *weight == 1) {
        return (0..weights.len() as u16).collect();
    }
    let mut current = vec![0; weights.len()];
    let mut turns = Vec::with_capacity(total as usize);
    for _ in 0..total {
        for (value, weight) in current.iter_mut().zip(&weights) {
            *value += weight;
        }
        let Some((chosen, _)) = current.iter().enumerate().max_by_key(|(index, value)| (**value, -(*index as i64)))
        else {
            break;
        };
        current[chosen] -= total;
        turns.push(chosen as u16);
    }
    turns.into()
}

fn gcd(left: u32, right: u32) -> u32 {
    if right == 0 { left } else { gcd(right, left % right) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_out() {
        assert_eq!(*round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(*round(&[10, 10, 10]), [0, 1, 2]);
        assert!(round(&[]).is_empty());
    }

    #[test]
    fn a_round_is_never_too_long_and_leaves_nobody_out() {
        let weights: Vec<u32> = (0..3000).map(|index| if index == 0 { 65_521 } else { 7 + index % 3 }).collect();
        let turns = round(&weights);
        assert!(turns.len() <= 6001, "{}", turns.len());
        assert!((0..3000).all(|index| turns.contains(&index)));
    }
}
