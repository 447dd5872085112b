//! Weighted choice by chance in constant time: the alias method (Walker 1977, as built by Vose 1991).

use crate::upstream::balance::dice::Dice;

/// One cell for each thing to choose; it stands for itself up to its threshold, and for another above.
pub struct Chance(Box<[Cell]>);

#[derive(Clone, Copy)]
struct Cell {
    /// Of 2^32.
    threshold: u64,
    other: u32,
}

const WHOLE: u64 = 1 << 32;

impl Chance {
    /// Weights of which none is 0; there is at least one.
    pub fn new(weights: &[u32]) -> Self {
        let count = weights.len() as u128;
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum::<u128>().max(1);
        // In units in which a whole cell is `total`, so that no share is lost in rounding.
        let mut shares: Vec<u128> = weights.iter().map(|weight| u128::from(*weight) * count).collect();
        let mut cells: Vec<Cell> =
            (0..weights.len()).map(|index| Cell { threshold: WHOLE, other: index as u32 }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|index| shares[*index] < total);
        while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
            let threshold = (shares[taker] * u128::from(WHOLE) / total) as u64;
            cells[taker] = Cell { threshold, other: giver as u32 };
            shares[giver] -= total - shares[taker];
            if shares[giver] < total {
                large.pop();
                small.push(giver);
            }
        }
        Self(cells.into())
    }

    pub fn throw(&self, dice: &Dice) -> usize {
        let thrown = dice.throw();
        let index = (((thrown >> 32) * self.0.len() as u64) >> 32) as usize;
        let cell = self.0[index];
        if (thrown & (WHOLE - 1)) < cell.threshold { index } else { cell.other as usize }
    }

    /// Another than `first`, where there is one.
    pub fn throw_again(&self, dice: &Dice, first: usize) -> usize {
        if self.0.len() == 2 {
            return 1 - first;
        }
        for _ in 0..4 {
            let second = self.throw(dice);
            if second != first {
                return second;
            }
        }
        (first + 1) % self.0.len()
    }
}
