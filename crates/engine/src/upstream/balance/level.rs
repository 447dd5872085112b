//! The targets of one priority that take requests, and how one of them is chosen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::clock::Millis;
use crate::upstream::balance::chance::Chance;
use crate::upstream::balance::dice::{Dice, mix};
use crate::upstream::balance::hashed::{Hashed, Table};
use crate::upstream::balance::maglev::Maglev;
use crate::upstream::balance::ring::Ring;
use crate::upstream::balance::round_robin;
use crate::upstream::target::Target;

/// How a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// One after the other.
    RoundRobin,
    /// Of two by chance, the one with less under way.
    LeastRequests,
    /// Of two by chance, the one that will answer sooner by what it took lately and what is under way.
    PeakEwma,
    Random,
    /// By key. A request without one is sent by chance.
    Maglev {
        most_percent: u64,
    },
    Ring {
        most_percent: u64,
    },
}

impl Algorithm {
    /// Whether weights may rise slowly: keys would move with every step.
    pub fn starts_slowly(self) -> bool {
        !matches!(self, Self::Maglev { .. } | Self::Ring { .. })
    }
}

/// What is asked of a level.
pub struct Wish<'a> {
    pub hash: Option<u64>,
    /// Slots of targets that are not wanted.
    pub tried: &'a [usize],
    pub now: Millis,
}

impl Wish<'_> {
    fn is_refused(&self, target: &Target) -> bool {
        self.tried.contains(&target.slot)
    }
}

/// A target of a priority, with the weight it has at present, which is not 0.
pub struct Candidate {
    pub target: Arc<Target>,
    pub weight: u32,
    pub open: bool,
}

pub enum Level {
    Turns { targets: Box<[Arc<Target>]>, round: Box<[u16]> },
    Chance(Chances),
    Hashed(Hashed),
}

pub struct Chances {
    targets: Box<[Arc<Target>]>,
    weights: Box<[u32]>,
    mean_weight: u32,
    chance: Chance,
    compare: Compare,
}

/// How the better of two is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The first is taken.
    Nothing,
    Requests,
    Latency,
}

impl Level {
    /// A level of these candidates, of which at least one is open. `known`: a level before it, whose table is kept where it fits.
    pub fn new(algorithm: Algorithm, candidates: &[Candidate], known: Option<&Level>) -> Self {
        let table: fn(&[(&str, u32)]) -> Table = match algorithm {
            Algorithm::Maglev { .. } => |targets| Table::Maglev(Maglev::new(targets)),
            Algorithm::Ring { .. } => |targets| Table::Ring(Ring::new(targets)),
            _ => return Self::of_open(algorithm, candidates),
        };
        let (Algorithm::Maglev { most_percent } | Algorithm::Ring { most_percent }) = algorithm else {
            unreachable!("the others have returned")
        };
        let open = candidates.iter().filter(|candidate| candidate.open);
        let names: Vec<(&str, u32)> = candidates.iter().map(|it| (&*it.target.name, it.weight)).collect();
        Self::Hashed(Hashed {
            table: kept(known, candidates).unwrap_or_else(|| Arc::new(table(&names))),
            targets: candidates.iter().map(|it| it.target.clone()).collect(),
            weights: candidates.iter().map(|it| it.weight).collect(),
            open: candidates.iter().map(|it| it.open).collect(),
            total_weight: open.map(|it| u64::from(it.weight)).sum::<u64>().max(1),
            most_percent,
        })
    }

    fn of_open(algorithm: Algorithm, candidates: &[Candidate]) -> Self {
        let open = || candidates.iter().filter(|candidate| candidate.open);
        let targets: Box<[Arc<Target>]> = open().map(|it| it.target.clone()).collect();
        let weights: Box<[u32]> = open().map(|it| it.weight).collect();
        let compare = match algorithm {
            Algorithm::RoundRobin => return Self::Turns { round: round_robin::round(&weights), targets },
            Algorithm::LeastRequests => Compare::Requests,
            Algorithm::PeakEwma => Compare::Latency,
            _ => Compare::Nothing,
        };
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mean_weight = (total / weights.len().max(1) as u64) as u32;
        Self::Chance(Chances { chance: Chance::new(&weights), targets, weights, mean_weight, compare })
    }

    /// A target that was not tried yet; `None` when all were.
    pub fn pick(&self, wish: &Wish<'_>, dice: &Dice, turn: &AtomicUsize) -> Option<&Arc<Target>> {
        match self {
            Self::Turns { targets, round } if round.len() == 1 => {
                targets.first().filter(|target| !wish.is_refused(target))
            }
            Self::Turns { targets, round } => {
                let from = turn.fetch_add(1, Relaxed) % round.len();
                let mut turns = round[from..].iter().chain(&round[..from]).map(|index| &targets[usize::from(*index)]);
                turns.find(|target| !wish.is_refused(target))
            }
            Self::Chance(chances) => chances.pick(wish, dice),
            Self::Hashed(hashed) => {
                let hash = wish.hash.unwrap_or_else(|| dice.throw());
                hashed.pick(mix(hash), |target| wish.is_refused(target))
            }
        }
    }
}

impl Chances {
    fn pick(&self, wish: &Wish<'_>, dice: &Dice) -> Option<&Arc<Target>> {
        let first = self.chance.throw(dice);
        let chosen = match self.compare {
            Compare::Nothing => first,
            _ if self.targets.len() == 1 => first,
            _ => self.better_of(first, self.chance.throw_again(dice, first), wish),
        };
        let mut order = self.targets[chosen..].iter().chain(&self.targets[..chosen]);
        order.find(|target| !wish.is_refused(target))
    }

    fn better_of(&self, first: usize, second: usize, wish: &Wish<'_>) -> usize {
        if wish.is_refused(&self.targets[first]) {
            return second;
        }
        let is_better = !wish.is_refused(&self.targets[second])
            && self.cost(second, wish.now) * u128::from(self.weights[first])
                < self.cost(first, wish.now) * u128::from(self.weights[second]);
        if is_better { second } else { first }
    }

    /// What one more request costs there, times its weight.
    fn cost(&self, index: usize, now: Millis) -> u128 {
        let target = &self.targets[index];
        let under_way = u128::from(target.in_flight());
        if self.compare == Compare::Requests {
            return under_way;
        }
        let queue = under_way * u128::from(self.mean_weight) + u128::from(self.weights[index]);
        match target.latency(now) {
            // One request finds out how fast it is; until then no other goes there.
            0 if under_way == 0 => 0,
            0 => u128::from(u32::MAX) * queue,
            micros => u128::from(micros) * queue,
        }
    }
}

/// The table of a level that had the same targets with the same weights in the same order.
fn kept(known: Option<&Level>, candidates: &[Candidate]) -> Option<Arc<Table>> {
    let Some(Level::Hashed(known)) = known else { return None };
    let same = known.targets.len() == candidates.len()
        && candidates
            .iter()
            .zip(known.targets.iter().zip(&known.weights))
            .all(|(candidate, (target, weight))| candidate.target.name == target.name && candidate.weight == *weight);
    same.then(|| known.table.clone())
}
