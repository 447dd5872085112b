//! The states of all keys of all limits, exact over all workers, bounded in memory.
//!
//! A check takes the stripes of its keys, in one order, looks at every limit, and only when all of them pass charges each. No
//! lock is held across a wait, and none but that of a stripe is taken.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::algorithm::{Cell, Decision, Micros, NEVER, Reading, Rule};
use crate::limits::key::Key;
use crate::limits::shard::{Place, Shard};

/// Stripes; a power of two.
const SHARDS: usize = 256;
/// Keys that have a place: 84 MB of them.
const PLACES: usize = 1 << 21;
const SETS: usize = PLACES / 4 / SHARDS;
/// Times that all logs together may keep: at most 64 MB.
const STAMPS: usize = 4 << 20;
/// Limits that one request may be checked against.
pub const MOST_LIMITS: usize = 16;

/// One limit that a request meets.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub rule: &'a Rule,
    pub key: Key,
    pub cost: u64,
    /// Its refusal is told but stops nothing.
    pub shadow: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    pub passed: bool,
    /// The request was charged: it passed here, and no other limit refused it.
    pub charged: bool,
    /// To which moment, for [`Table::give_back`]: now, or the latest that the key has seen.
    pub at: Micros,
    /// Passed: how long the request must be held. Refused: after which it would pass, or [`NEVER`].
    pub wait: Micros,
    /// After the decision.
    pub reading: Reading,
}

pub struct Table {
    shards: Box<[Apart]>,
    stamps: AtomicUsize,
    most_sets: usize,
    most_stamps: usize,
}

/// On a cache line of its own.
#[repr(align(64))]
#[derive(Default)]
struct Apart(Mutex<Shard>);

/// What there is, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    pub keys: usize,
    pub bytes: usize,
    pub stamps: usize,
    pub evicted: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self::bounded(SETS, STAMPS)
    }
}

type Guard<'a> = MutexGuard<'a, Shard>;

impl Table {
    /// Never more than so many sets in a stripe (a power of two, at least 4), and so many times in all logs.
    fn bounded(most_sets: usize, most_stamps: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Apart::default()).collect();
        Self { shards, stamps: AtomicUsize::new(0), most_sets, most_stamps }
    }

    /// Checks all limits and charges all of them, or none. `told` gets one entry for each; true when the request may go.
    pub fn take(&self, now: Micros, asks: &[Ask<'_>], told: &mut [Told]) -> bool {
        match asks {
            [] => true,
            [ask] => {
                let mut shard = self.lock(stripe_of(ask.key));
                let looked = look(&mut shard, now, ask);
                let goes = ask.shadow || matches!(looked.decision, Decision::Pass { .. });
                told[0] = self.settle(&mut shard, now, ask, looked, goes);
                goes
            }
            asks => self.take_many(now, asks, told),
        }
    }

    /// Gives back what a request was charged at `charged`; what is left then, unless the key is forgotten.
    pub fn give_back(&self, now: Micros, rule: &Rule, key: Key, charged: Micros, cost: u64) -> Option<Reading> {
        let mut guard = self.lock(stripe_of(key));
        let shard = &mut *guard;
        let place = shard.find(key)?;
        let slot = *shard.slot(place);
        let mut cell = slot.cell;
        if rule.keeps_log() {
            let number = shard.open_log(place);
            self.count(shard.with_log(number, |log| log.give_back(charged, cost)));
        } else {
            cell = rule.give_back(cell, charged, now, cost);
        }
        let reading = rule.read(cell, shard.log(&slot), now);
        shard.write(place, cell, now, reading, rule.keeps_log());
        Some(reading)
    }

    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for shard in &self.shards {
            let shard = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            census.keys += shard.held;
            census.bytes += shard.bytes();
            census.stamps += shard.stamps;
            census.evicted += shard.evicted;
        }
        census
    }

    fn take_many(&self, now: Micros, asks: &[Ask<'_>], told: &mut [Told]) -> bool {
        assert!(asks.len() <= MOST_LIMITS, "the document allows no more");
        let mut stripes = [usize::MAX; MOST_LIMITS];
        for (stripe, ask) in stripes.iter_mut().zip(asks) {
            *stripe = stripe_of(ask.key);
        }
        stripes[..asks.len()].sort_unstable();
        let mut guards: [Option<Guard<'_>>; MOST_LIMITS] = Default::default();
        for (index, &stripe) in stripes[..asks.len()].iter().enumerate() {
            // Each stripe once, and always in this order: two checks cannot wait for each other.
            if index == 0 || stripes[index - 1] != stripe {
                guards[index] = Some(self.lock(stripe));
            }
        }
        let mut goes = true;
        let mut looked = [Looked::NOT_YET; MOST_LIMITS];
        for (ask, looked) in asks.iter().zip(&mut looked) {
            *looked = look(held(&mut guards, &stripes, ask.key), now, ask);
            goes &= ask.shadow || matches!(looked.decision, Decision::Pass { .. });
            // What is entered for one key may move another of the same stripe.
            looked.place = None;
        }
        for ((ask, told), looked) in asks.iter().zip(told).zip(looked) {
            *told = self.settle(held(&mut guards, &stripes, ask.key), now, ask, looked, goes);
        }
        goes
    }

    /// Charges what goes, and reads what is left.
    fn settle(&self, shard: &mut Shard, now: Micros, ask: &Ask<'_>, looked: Looked, goes: bool) -> Told {
        let rule = ask.rule;
        match looked.decision {
            Decision::Pass { next, delay } if goes => {
                let place = looked.place.unwrap_or_else(|| shard.place(ask.key, now, self.most_sets));
                let next = match rule.keeps_log() {
                    true => self.charge_log(shard, place, now, ask),
                    false => next,
                };
                let reading = rule.read(next, shard.log_mut(place).as_deref(), now);
                shard.write(place, next, now, reading, rule.keeps_log());
                Told { passed: true, charged: true, at: now.max(next.at), wait: delay, reading }
            }
            decision => {
                let slot = shard.find(ask.key).map(|place| *shard.slot(place)).unwrap_or_default();
                let reading = rule.read(slot.cell, shard.log(&slot), now);
                let (passed, wait) = match decision {
                    Decision::Pass { .. } => (true, 0),
                    Decision::Refuse { wait } => (false, wait),
                };
                Told { passed, charged: false, at: 0, wait, reading }
            }
        }
    }

    fn charge_log(&self, shard: &mut Shard, place: Place, now: Micros, ask: &Ask<'_>) -> Cell {
        let number = shard.open_log(place);
        let newest = now.max(shard.slot(place).cell.at);
        self.count(shard.with_log(number, |log| ask.rule.charge_log(log, now, ask.cost)));
        while self.stamps.load(Relaxed) > self.most_stamps {
            match shard.evict_log(ask.key, now) {
                0 => break,
                gone => self.count(-(gone as isize)),
            }
        }
        Cell { at: newest, value: number as u64 }
    }

    fn count(&self, grown: isize) {
        self.stamps.fetch_add(grown as usize, Relaxed);
    }

    fn lock(&self, stripe: usize) -> Guard<'_> {
        self.shards[stripe].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A decision that is not carried out yet.
#[derive(Clone, Copy)]
struct Looked {
    /// Where the key is, when it is known and cannot have moved.
    place: Option<Place>,
    decision: Decision,
}

impl Looked {
    const NOT_YET: Self = Self { place: None, decision: Decision::Refuse { wait: NEVER } };
}

/// Decides, and changes nothing that counts.
fn look(shard: &mut Shard, now: Micros, ask: &Ask<'_>) -> Looked {
    let Some(place) = shard.find(ask.key) else {
        return Looked { place: None, decision: ask.rule.decide(Cell::default(), None, now, ask.cost) };
    };
    if ask.rule.is_ahead(shard.slot(place).cell, now) {
        let cell = ask.rule.set_back(shard.slot(place).cell, shard.log_mut(place), now);
        let reading = ask.rule.read(cell, shard.log_mut(place).as_deref(), now);
        shard.write(place, cell, now, reading, ask.rule.keeps_log());
    }
    let slot = shard.slot(place);
    let decision = ask.rule.decide(slot.cell, shard.log(slot), now, ask.cost);
    Looked { place: Some(place), decision }
}

/// The stripe of a key among those that are locked.
fn held<'g>(
    guards: &'g mut [Option<Guard<'_>>; MOST_LIMITS],
    stripes: &[usize; MOST_LIMITS],
    key: Key,
) -> &'g mut Shard {
    let stripe = stripe_of(key);
    let index = stripes.iter().position(|&known| known == stripe).expect("the stripe of every key is locked");
    guards[index].as_mut().expect("the first of equal stripes holds the lock")
}

fn stripe_of(key: Key) -> usize {
    (key.halves().0 >> 56) as usize % SHARDS
}

#[cfg(test)]
mod tests;
