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
mod tests {
    use super::*;
    use crate::limits::algorithm::{Algorithm, Parameters};
    use crate::limits::key::Hasher;

    const SECOND: Micros = 1_000_000;
    const NOW: Micros = 1_800_000_000 * SECOND;

    fn rule(algorithm: Algorithm, amount: u64, window: Micros) -> Rule {
        Rule::new(Parameters { algorithm, amount, window, burst: amount, delay: 0 }).unwrap()
    }

    fn take(table: &Table, rule: &Rule, key: Key, now: Micros) -> Told {
        let mut told = [Told::default()];
        table.take(now, &[Ask { rule, key, cost: 1, shadow: false }], &mut told);
        told[0]
    }

    #[test]
    fn nothing_is_charged_when_one_limit_refuses() {
        let (table, hasher) = (Table::default(), Hasher::default());
        let rules = [rule(Algorithm::FixedWindow, 10, SECOND), rule(Algorithm::TokenBucket, 1, SECOND)];
        let keys = [hasher.namespace(&[b"wide"]).key(b"k"), hasher.namespace(&[b"narrow"]).key(b"k")];
        let ask = |index: usize, shadow| Ask { rule: &rules[index], key: keys[index], cost: 1, shadow };
        let mut told = [Told::default(); 2];
        assert!(table.take(NOW, &[ask(0, false), ask(1, false)], &mut told));
        assert_eq!((told[0].reading.remaining, told[1].reading.remaining), (9, 0));
        assert!(!table.take(NOW, &[ask(0, false), ask(1, false)], &mut told));
        assert_eq!((told[0].passed, told[0].charged, told[0].reading.remaining), (true, false, 9));
        // One that only watches stops nothing, and is charged no more than it allows.
        assert!(table.take(NOW, &[ask(0, false), ask(1, true)], &mut told));
        assert_eq!((told[0].reading.remaining, told[1].passed, told[1].charged), (8, false, false));
    }

    #[test]
    fn no_request_too_many_passes_whatever_the_workers_do() {
        for algorithm in
            [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket]
        {
            let (table, key) = (Table::default(), Hasher::default().namespace(&[]).key(b"k"));
            let rule = rule(algorithm, 500, 3600 * SECOND);
            let passed = || (0..300).filter(|_| take(&table, &rule, key, NOW).passed).count();
            let total: usize = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..4).map(|_| scope.spawn(passed)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum()
            });
            assert_eq!(total, 500, "{algorithm:?}");
        }
    }

    #[test]
    fn checks_of_the_same_keys_in_another_order_do_not_wait_for_each_other() {
        let (table, hasher) = (Table::default(), Hasher::default());
        let rule = rule(Algorithm::TokenBucket, 1000, SECOND);
        let keys: Vec<_> = (0..8u8).map(|name| hasher.namespace(&[]).key(&[name])).collect();
        std::thread::scope(|scope| {
            for turn in 0..4 {
                let (table, rule, mut keys) = (&table, &rule, keys.clone());
                keys.rotate_left(turn * 2);
                scope.spawn(move || {
                    let asks: Vec<_> = keys.iter().map(|&key| Ask { rule, key, cost: 1, shadow: false }).collect();
                    let mut told = vec![Told::default(); asks.len()];
                    (0..200).for_each(|_| assert!(table.take(NOW, &asks, &mut told)));
                });
            }
        });
        assert!(keys.iter().all(|&key| take(&table, &rule, key, NOW).reading.remaining == 199));
    }

    #[test]
    fn a_flood_of_keys_stays_in_its_bounds_and_frees_nobody() {
        let (table, hasher) = (Table::bounded(4, STAMPS), Hasher::default());
        let namespace = hasher.namespace(&[b"flood"]);
        for algorithm in [Algorithm::FixedWindow, Algorithm::TokenBucket, Algorithm::SlidingLog] {
            let rule = rule(algorithm, 100, 60 * SECOND);
            let hot: Vec<_> =
                (0..100u32).map(|name| namespace.key(format!("{algorithm:?}{name}").as_bytes())).collect();
            for &key in &hot {
                (0..100).for_each(|_| assert!(take(&table, &rule, key, NOW).passed));
            }
            for name in 0..40_000u32 {
                take(&table, &rule, namespace.key(&name.to_le_bytes()), NOW + SECOND / 10);
            }
            assert!(hot.iter().all(|&key| !take(&table, &rule, key, NOW + SECOND / 5).passed), "{algorithm:?}");
            assert!(table.census().keys <= 4 * 4 * SHARDS);
        }
        assert!(table.census().evicted > 20_000);
    }

    #[test]
    fn keys_that_have_run_out_make_room_before_any_other() {
        let (table, hasher) = (Table::bounded(64, STAMPS), Hasher::default());
        let (namespace, rule) = (hasher.namespace(&[]), rule(Algorithm::FixedWindow, 5, SECOND));
        for round in 0..20u64 {
            for name in 0..2000u64 {
                take(&table, &rule, namespace.key(&(round * 2000 + name).to_le_bytes()), NOW + round * 2 * SECOND);
            }
        }
        assert_eq!(table.census().evicted, 0);
    }

    #[test]
    fn logs_keep_to_their_bound() {
        let (table, hasher) = (Table::bounded(SETS, 1000), Hasher::default());
        let (namespace, rule) = (hasher.namespace(&[]), rule(Algorithm::SlidingLog, 10, SECOND));
        for name in 0..20_000u32 {
            take(&table, &rule, namespace.key(&name.to_le_bytes()), NOW);
        }
        let census = table.census();
        assert_eq!(census.stamps, table.stamps.load(Relaxed));
        assert!(census.stamps <= 1000 + SHARDS, "{census:?}");
    }

    #[test]
    fn a_charge_is_given_back_once_and_only_while_it_counts() {
        for algorithm in
            [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket]
        {
            let (table, key) = (Table::default(), Hasher::default().namespace(&[]).key(b"k"));
            let rule = rule(algorithm, 2, SECOND);
            assert_eq!(take(&table, &rule, key, NOW).reading.remaining, 1);
            assert_eq!(take(&table, &rule, key, NOW + 10).reading.remaining, 0);
            table.give_back(NOW + 20, &rule, key, NOW, 1);
            assert_eq!(take(&table, &rule, key, NOW + 20).reading.remaining, 0, "{algorithm:?}");
            assert!(!take(&table, &rule, key, NOW + 30).passed);
            let later = NOW + 10 * SECOND;
            assert_eq!(take(&table, &rule, key, later).reading.remaining, 1);
            table.give_back(later, &rule, key, NOW + 10, 1);
            let left = take(&table, &rule, key, later).reading.remaining;
            // A bucket does not know when it was filled: there a late refund counts, up to a whole budget.
            assert_eq!(left, u64::from(algorithm == Algorithm::TokenBucket), "{algorithm:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_and_locks_nobody_out() {
        let hour = 3600 * SECOND;
        for algorithm in
            [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket]
        {
            let (table, key) = (Table::default(), Hasher::default().namespace(&[]).key(b"k"));
            let rule = rule(algorithm, 2, SECOND);
            (0..2).for_each(|_| assert!(take(&table, &rule, key, NOW).passed));
            assert!(!take(&table, &rule, key, NOW - hour).passed, "{algorithm:?}");
            assert!(take(&table, &rule, key, NOW - hour + 2 * SECOND).passed, "{algorithm:?}");
        }
    }

    /// `cargo test --release -p tidegate-engine measured -- --ignored --nocapture`; the figures are in the page.
    #[test]
    #[ignore = "a measurement"]
    fn bytes_and_nanoseconds_of_a_key_measured() {
        let (table, hasher) = (Table::default(), Hasher::default());
        let (namespace, rule) =
            (hasher.namespace(&[b"route/orders", b"default"]), rule(Algorithm::TokenBucket, 100, 60 * SECOND));
        for name in 0..1_000_000u32 {
            take(&table, &rule, namespace.key(&name.to_le_bytes()), NOW);
        }
        let census = table.census();
        println!("{census:?}: {} bytes a key", census.bytes as f64 / 1e6);
        let begun = std::time::Instant::now();
        for turn in 0..1_000_000u64 {
            let told = take(&table, &rule, namespace.key(b"user:2f1c0a76-5a8e-4f4b-9f43"), NOW + turn * 600_000);
            assert!(told.passed);
        }
        println!("{:?} for a check of one key, hash included", begun.elapsed() / 1_000_000);
        let begun = std::time::Instant::now();
        for turn in 0..1_000_000u32 {
            take(
                &table,
                &rule,
                namespace.key(&(turn.wrapping_mul(0x9e37_79b9) % 1_000_000).to_le_bytes()),
                NOW + SECOND,
            );
        }
        println!("{:?} for a check of one of a million keys", begun.elapsed() / 1_000_000);
    }
}
