//! What a gateway knows of the keys that it settles with a store, exact over all its workers.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::algorithm::{Cell, Decision, Micros, NEVER, Reading, share};
use crate::limits::key::{Hashed, Key};
use crate::limits::shared::{Hash, Named, What};
use crate::limits::synced::pending::{Kind, Pending};
use crate::limits::table::Told;

const STRIPES: usize = 64;
/// Keys of one stripe: a quarter of a million in all, some 60 MB.
const MOST_KEYS: usize = (1 << 18) / STRIPES;
/// Keys that are looked at to find one to forget.
const LOOKED_AT: usize = 16;
/// Of [`Ledger::offset`], before the first request.
const UNKNOWN: i64 = i64::MIN;

/// One limit that a request meets.
#[derive(Clone, Copy)]
pub struct SyncedAsk<'a> {
    pub key: Key,
    /// Its name in the store.
    pub name: &'a Arc<Named>,
    /// What it is limited by.
    pub text: &'a [u8],
    pub what: What,
    pub cost: u64,
    /// Its refusal is told but stops nothing.
    pub shadow: bool,
}

/// What the store is to be told of a key.
#[derive(Debug, Clone)]
pub struct Due {
    pub key: Key,
    pub name: Arc<Named>,
    pub hash: Hash,
    pub kind: Kind,
    pub pending: Pending,
}

/// All limits of one store that are settled at the same interval.
pub struct Ledger {
    pub sync: Duration,
    stripes: Box<[Apart]>,
    /// Of one stripe.
    most_keys: usize,
    /// From the engine's clock to the store's, in microseconds.
    offset: AtomicI64,
    /// Something waits to be settled.
    charged: AtomicBool,
    woken: Notify,
    /// The store did not answer when it was last asked.
    away: AtomicBool,
    /// Somebody settles it.
    pub(super) taken: AtomicBool,
}

#[repr(align(64))]
#[derive(Default)]
struct Apart(Mutex<Stripe>);

#[derive(Default)]
struct Stripe {
    entries: HashMap<Key, Entry, BuildHasherDefault<Hashed>>,
    /// Keys with something that the store does not know.
    changed: Vec<Key>,
    /// Of keys that were forgotten before it was told.
    late: Vec<Due>,
}

struct Entry {
    name: Arc<Named>,
    hash: Hash,
    kind: Kind,
    /// All that is known: what the store told last, and what is pending.
    cell: Cell,
    pending: Pending,
    /// Among those that have changed.
    listed: bool,
}

impl Entry {
    fn due(&self, key: Key) -> Due {
        Due { key, name: self.name.clone(), hash: self.hash, kind: self.kind, pending: self.pending }
    }
}

impl Stripe {
    /// What is known of a key now.
    fn cell(&self, key: Key, what: &What, now: Micros) -> Cell {
        let cell = self.entries.get(&key).map(|entry| entry.cell).unwrap_or_default();
        match what {
            What::Rule(rule) if rule.is_ahead(cell, now) => rule.set_back(cell, None, now),
            _ => cell,
        }
    }

    fn charge(&mut self, ask: &SyncedAsk<'_>, next: Cell, now: Micros, most_keys: usize) {
        if self.entries.len() >= most_keys && !self.entries.contains_key(&ask.key) {
            self.forget_one(most_keys);
        }
        let kind = Kind::of(&ask.what);
        let entry = self.entries.entry(ask.key).or_insert_with(|| Entry {
            name: ask.name.clone(),
            hash: Hash::of(ask.text),
            kind,
            cell: Cell::default(),
            pending: Pending::default(),
            listed: false,
        });
        // The period of a quota goes on.
        entry.kind = kind;
        entry.cell = next;
        entry.pending.charge(kind, next, now, ask.cost);
        if !std::mem::replace(&mut entry.listed, true) {
            self.changed.push(ask.key);
        }
    }

    /// Forgets the key, of some, that was new to its window or bucket the longest ago. What it has used is not lost: the store
    /// tells it when the key comes again.
    fn forget_one(&mut self, most_keys: usize) {
        let oldest = self.entries.iter().take(LOOKED_AT).min_by_key(|(_, entry)| entry.cell.at).map(|(key, _)| *key);
        let Some((key, entry)) = oldest.and_then(|key| self.entries.remove_entry(&key)) else { return };
        if !entry.pending.is_empty() && self.late.len() < most_keys {
            self.late.push(entry.due(key));
        }
        if self.changed.len() > most_keys * 2 {
            // Those that were forgotten leave their names here; while nobody settles, these would grow for ever.
            self.changed.sort_unstable_by_key(|key| key.halves());
            self.changed.dedup();
            self.changed.retain(|key| self.entries.get(key).is_some_and(|entry| entry.listed));
        }
    }

    fn take_due(&mut self, out: &mut Vec<Due>) {
        out.append(&mut self.late);
        for key in self.changed.drain(..) {
            let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.listed) else { continue };
            entry.listed = false;
            if !entry.pending.is_empty() {
                out.push(entry.due(key));
                entry.pending = Pending::default();
            }
        }
    }
}

impl Ledger {
    pub fn new(sync: Duration) -> Self {
        Self::bounded(sync, MOST_KEYS)
    }

    fn bounded(sync: Duration, most_keys: usize) -> Self {
        Self {
            sync,
            stripes: (0..STRIPES).map(|_| Apart::default()).collect(),
            most_keys,
            offset: AtomicI64::new(UNKNOWN),
            charged: AtomicBool::new(false),
            woken: Notify::new(),
            away: AtomicBool::new(false),
            taken: AtomicBool::new(false),
        }
    }

    /// A moment of the engine's clock on the store's. Before the store was asked, `epoch` is the engine's zero by our own.
    pub fn time(&self, engine_micros: Micros, epoch: Micros) -> Micros {
        let offset = match self.offset.load(Relaxed) {
            UNKNOWN => {
                let first = self.offset.compare_exchange(UNKNOWN, epoch as i64, Relaxed, Relaxed);
                if first.is_ok() { epoch as i64 } else { self.offset.load(Relaxed) }
            }
            offset => offset,
        };
        engine_micros.saturating_add_signed(offset)
    }

    /// As [`Ledger::time`], for what has been charged before.
    pub fn later(&self, engine_micros: Micros) -> Micros {
        self.time(engine_micros, 0)
    }

    /// The store told its time when ours was that.
    pub fn compare_clocks(&self, store_micros: Micros, engine_micros: Micros) {
        self.offset.store(store_micros.wrapping_sub(engine_micros) as i64, Relaxed);
    }

    /// The store does not answer, so what other gateways use is not known.
    pub fn is_away(&self) -> bool {
        self.away.load(Relaxed)
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Relaxed);
    }

    /// Checks all limits and charges all of them, or none; true when the request may go.
    ///
    /// At most [`crate::limits::MOST_LIMITS`] at once; none that keeps a log.
    pub fn take(&self, now: Micros, asks: &[SyncedAsk<'_>], told: &mut [Told]) -> bool {
        let mut guards = self.lock_all(asks);
        let mut goes = true;
        let mut next = [Cell::default(); crate::limits::MOST_LIMITS];
        for ((ask, told), next) in asks.iter().zip(told.iter_mut()).zip(&mut next) {
            let cell = held(&mut guards, ask.key).cell(ask.key, &ask.what, now);
            let (passed, wait) = match decide(ask, cell, now) {
                Decision::Pass { next: charged, delay } => {
                    *next = charged;
                    (true, delay)
                }
                Decision::Refuse { wait } => (false, wait),
            };
            goes &= passed || ask.shadow;
            *told = Told { passed, charged: false, at: 0, wait, reading: read(&ask.what, cell, now) };
        }
        for ((ask, told), next) in asks.iter().zip(told).zip(next) {
            match told.passed {
                true if goes => {
                    held(&mut guards, ask.key).charge(ask, next, now, self.most_keys);
                    let at = match ask.what {
                        What::Rule(_) => now.max(next.at),
                        What::Quota { .. } => next.at,
                    };
                    *told = Told { charged: true, at, reading: read(&ask.what, next, now), ..*told };
                }
                true => told.wait = 0,
                false => {}
            }
        }
        drop(guards);
        // Seldom, since most find it set.
        if goes && !self.charged.load(Relaxed) && !self.charged.swap(true, Relaxed) {
            self.woken.notify_one();
        }
        goes
    }

    /// Gives back what a request was charged at `charged`; what is left then, unless the key is forgotten.
    pub fn give_back(&self, now: Micros, key: Key, what: &What, charged: Micros, cost: u64) -> Option<Reading> {
        let mut stripe = self.lock(stripe_of(key));
        let stripe = &mut *stripe;
        let entry = stripe.entries.get_mut(&key)?;
        entry.cell = match what {
            What::Rule(rule) => rule.give_back(entry.cell, charged, now, cost),
            What::Quota { .. } if entry.cell.at == charged => {
                Cell { value: entry.cell.value.saturating_sub(cost), ..entry.cell }
            }
            What::Quota { .. } => entry.cell,
        };
        entry.pending.give_back(entry.kind, charged, now, cost);
        if !std::mem::replace(&mut entry.listed, true) {
            stripe.changed.push(key);
        }
        let reading = read(what, entry.cell, now);
        if !self.charged.swap(true, Relaxed) {
            self.woken.notify_one();
        }
        Some(reading)
    }

    pub fn keys(&self) -> usize {
        (0..STRIPES).map(|stripe| self.lock(stripe).entries.len()).sum()
    }

    /// Ready once something was charged, or somebody wakes whoever waits for it.
    pub(super) async fn until_charged(&self) {
        if !self.charged.load(Relaxed) {
            self.woken.notified().await;
        }
    }

    /// Has whoever settles it look whether there is still a store.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Takes what the store does not know yet; whoever takes it tells it the store.
    pub(super) fn take_due(&self) -> Vec<Due> {
        self.charged.store(false, Relaxed);
        let mut out = Vec::new();
        (0..STRIPES).for_each(|stripe| self.lock(stripe).take_due(&mut out));
        out
    }

    /// The store was told of a key, and told what all gateways have used, at its time `now`.
    pub(super) fn settled(&self, due: &Due, told: [u64; 3], now: Micros) {
        if let Some(entry) = self.lock(stripe_of(due.key)).entries.get_mut(&due.key) {
            entry.cell = entry.pending.on_top_of(entry.kind, told, now);
        }
    }

    /// The stripes of all keys, each once and in one order, so that two checks cannot wait for each other.
    fn lock_all(&self, asks: &[SyncedAsk<'_>]) -> Vec<(usize, MutexGuard<'_, Stripe>)> {
        let mut stripes: Vec<usize> = asks.iter().map(|ask| stripe_of(ask.key)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes.into_iter().map(|stripe| (stripe, self.lock(stripe))).collect()
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[stripe].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decide(ask: &SyncedAsk<'_>, cell: Cell, now: Micros) -> Decision {
    if ask.what.is_hopeless(ask.cost) {
        return Decision::Refuse { wait: NEVER };
    }
    match ask.what {
        What::Rule(rule) => rule.decide(cell, None, now, ask.cost),
        What::Quota { amount, start, end } => {
            let used = used(cell, start);
            match used.saturating_add(ask.cost) {
                sum if sum <= amount => Decision::Pass { next: Cell { at: cell.at.max(start), value: sum }, delay: 0 },
                _ if ask.cost > amount => Decision::Refuse { wait: NEVER },
                _ => Decision::Refuse { wait: end.saturating_sub(now) },
            }
        }
    }
}

fn read(what: &What, cell: Cell, now: Micros) -> Reading {
    match *what {
        What::Rule(rule) => rule.read(cell, None, now),
        What::Quota { amount, start, end } => {
            let used = used(cell, start);
            let reset = if used == 0 { 0 } else { end.saturating_sub(now) };
            Reading { remaining: amount.saturating_sub(used), reset, used: share(used, amount) }
        }
    }
}

/// Of a period; one that has begun already is not left for an earlier one.
fn used(cell: Cell, start: Micros) -> u64 {
    if cell.at >= start { cell.value } else { 0 }
}

fn held<'g>(guards: &'g mut [(usize, MutexGuard<'_, Stripe>)], key: Key) -> &'g mut Stripe {
    let stripe = stripe_of(key);
    let held = guards.iter_mut().find(|(known, _)| *known == stripe);
    &mut held.expect("the stripe of every key is locked").1
}

fn stripe_of(key: Key) -> usize {
    (key.halves().0 >> 48) as usize % STRIPES
}
