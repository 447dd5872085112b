//! The same key to the same target, with a bound on how much more than its share one may have.
//!
//! The table knows all targets, whatever their health: keys of one that is out go to where the table points next, each to
//! another, and come back with it. After: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2018.

use std::sync::Arc;

use crate::upstream::balance::maglev::Maglev;
use crate::upstream::balance::ring::Ring;
use crate::upstream::target::Target;

/// Made anew only when targets or weights change.
pub enum Table {
    Maglev(Maglev),
    Ring(Ring),
}

pub struct Hashed {
    pub table: Arc<Table>,
    /// All that the table knows.
    pub targets: Box<[Arc<Target>]>,
    pub weights: Box<[u32]>,
    /// Which of them may be used.
    pub open: Box<[bool]>,
    /// Of those that may be used.
    pub total_weight: u64,
    /// How many percent of its share of what is under way one target may have; without a bound 0.
    pub most_percent: u64,
}

impl Hashed {
    /// The target for a hash that nobody has refused; `None` when none of them may be used.
    pub fn pick(&self, hash: u64, is_refused: impl Fn(&Target) -> bool) -> Option<&Arc<Target>> {
        let under_way = match self.most_percent {
            0 => 0,
            _ => self.under_way(),
        };
        let may =
            |index: &usize| self.open[*index] && !is_refused(&self.targets[*index]) && self.has_room(*index, under_way);
        // Of some hundreds of places nearly every target has one, so the rest is for small shares.
        let places = 16 * self.targets.len() + 64;
        let index = match &*self.table {
            Table::Maglev(table) => table.choices(hash).take(places).find(may),
            Table::Ring(ring) => ring.choices(hash).take(places).find(may),
        };
        let index = index.or_else(|| {
            let from = (hash % self.targets.len() as u64) as usize;
            (from..self.targets.len()).chain(0..from).find(may)
        });
        index.map(|index| &self.targets[index])
    }

    fn under_way(&self) -> u64 {
        let open = self.targets.iter().zip(&self.open).filter(|(_, open)| **open);
        open.map(|(target, _)| u64::from(target.in_flight())).sum()
    }

    /// With one request more it has no more than its bound, which is rounded up.
    fn has_room(&self, index: usize, under_way: u64) -> bool {
        if self.most_percent == 0 {
            return true;
        }
        let fair = (under_way + 1) * u64::from(self.weights[index]) * self.most_percent;
        u64::from(self.targets[index].in_flight()) < fair.div_ceil(100 * self.total_weight)
    }
}
