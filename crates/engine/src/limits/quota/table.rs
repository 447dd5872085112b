//! What every key has used of its quotas, exact over all workers.
//!
//! A store (SQLite, PostgreSQL) has the totals of all gateways as of the last time they were written. Here each key has that
//! total and what was added since. Python takes the additions out in batches, adds them to the store's, and brings back the
//! totals; a crash loses what was not written yet, and gateways that share a store see each other's use that late. Until the
//! store was read for the first time nobody knows what is left: see [`Totals`].

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::Notify;

use crate::limits::key::Hashed;
use crate::limits::quota::calendar::{Period, Seconds};

const STRIPES: usize = 64;
/// Keys of one stripe: a million in all, 80 MB.
const MOST_KEYS: usize = (1 << 20) / STRIPES;

/// Keys that are looked at to find one to forget.
const LOOKED_AT: usize = 16;

/// The name of a limit and the key of a request, hashed: the same in every gateway and after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct QuotaKey(pub u128);

impl QuotaKey {
    /// `name`: unique among the limits of all gateways that share a store.
    pub fn new(name: &str, text: &[u8]) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(text);
        let hash = hash.finish();
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_ref()[..16]);
        Self(u128::from_be_bytes(half))
    }
}

/// One quota that a request meets.
#[derive(Debug, Clone, Copy)]
pub struct QuotaAsk {
    pub key: QuotaKey,
    pub period: Period,
    pub amount: u64,
    pub cost: u64,
    /// Its refusal is told but stops nothing.
    pub shadow: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaTold {
    pub passed: bool,
    /// The request was charged: it passed here, and no other quota refused it.
    pub charged: bool,
    /// After the decision.
    pub used: u64,
}

/// What a key used since it was last written, or in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub key: QuotaKey,
    pub period: Period,
    /// May be less than nothing: refunds.
    pub amount: i64,
}

/// What is known of the store's totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Totals {
    /// The store is being read for the first time.
    Expected,
    /// It could not be read. It is tried again, and until then nothing is known of what was used before.
    Missing,
    Known,
}

impl Totals {
    const ALL: [Self; 3] = [Self::Expected, Self::Missing, Self::Known];
}

pub struct Quotas {
    /// A place in [`Totals::ALL`].
    totals: AtomicU8,
    totals_changed: Notify,
    stripes: Box<[Apart]>,
    /// Of one stripe.
    most_keys: usize,
    evicted: AtomicU64,
    /// Some quota is counted here and not in Redis, so the store is read at the start.
    used: AtomicBool,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::bounded(MOST_KEYS)
    }
}

#[repr(align(64))]
#[derive(Default)]
struct Apart(Mutex<Stripe>);

#[derive(Default)]
struct Stripe {
    uses: HashMap<QuotaKey, Use, BuildHasherDefault<Hashed>>,
    /// Keys with something that is not written.
    changed: Vec<QuotaKey>,
    /// Of periods that ended before it was written.
    late: Vec<Change>,
}

#[derive(Clone, Copy, Default)]
struct Use {
    period: Period,
    /// As the store has it.
    written: u64,
    added: i64,
}

impl Use {
    fn used(&self) -> u64 {
        self.written.saturating_add_signed(self.added)
    }
}

impl Stripe {
    /// What was used in a period. One that has begun here already is not left for an earlier one: clocks of workers differ.
    fn of(&mut self, key: QuotaKey, period: Period) -> Use {
        match self.uses.get(&key) {
            Some(known) if known.period.start >= period.start => *known,
            _ => Use { period, ..Use::default() },
        }
    }

    /// Adds to what was used; true when another key had to be forgotten for it.
    fn add(&mut self, key: QuotaKey, period: Period, amount: i64, most_keys: usize) -> bool {
        let full = self.uses.len() >= most_keys && !self.uses.contains_key(&key);
        let forgot = full && self.forget_one(period.start, most_keys);
        let known = self.uses.entry(key).or_insert(Use { period, ..Use::default() });
        if known.period.start < period.start {
            let before = std::mem::replace(known, Use { period, ..Use::default() });
            write_late(&mut self.late, key, before.period, before.added, most_keys);
        }
        if known.added == 0 {
            self.changed.push(key);
        }
        known.added += amount;
        if self.changed.len() > most_keys * 2 {
            self.forget_changed();
        }
        forgot
    }

    /// Keys that are forgotten leave their names among those that have changed; while nobody writes, these would grow for ever.
    fn forget_changed(&mut self) {
        self.changed.sort_unstable_by_key(|key| key.0);
        self.changed.dedup();
        self.changed.retain(|key| self.uses.get(key).is_some_and(|used| used.added != 0));
    }

    /// Forgets the key that has used least, of some; first one whose period is over.
    fn forget_one(&mut self, now: Seconds, most_keys: usize) -> bool {
        let worth = |used: &Use| if used.period.end <= now { 0 } else { 1 + u128::from(used.used()) };
        let least = self.uses.iter().take(LOOKED_AT).min_by_key(|(_, used)| worth(used)).map(|(key, _)| *key);
        let Some((key, used)) = least.and_then(|key| self.uses.remove_entry(&key)) else { return false };
        write_late(&mut self.late, key, used.period, used.added, most_keys);
        true
    }

    fn take_changes(&mut self, out: &mut Vec<Change>) {
        out.append(&mut self.late);
        for key in std::mem::take(&mut self.changed) {
            let Some(used) = self.uses.get_mut(&key).filter(|used| used.added != 0) else { continue };
            out.push(Change { key, period: used.period, amount: used.added });
            // Counted as written from now on; the total that comes back puts it right.
            used.written = used.used();
            used.added = 0;
        }
    }
}

/// Keeps what is not written yet of a key that has gone. While the store is down a flood of keys brings more and more of it;
/// what is too much was used by keys that have used little, and is lost.
fn write_late(late: &mut Vec<Change>, key: QuotaKey, period: Period, amount: i64, most_keys: usize) {
    if amount != 0 && late.len() < most_keys {
        late.push(Change { key, period, amount });
    }
}

impl Quotas {
    fn bounded(most_keys: usize) -> Self {
        let stripes = (0..STRIPES).map(|_| Apart::default()).collect();
        Self {
            totals: AtomicU8::new(Totals::Expected as u8),
            totals_changed: Notify::new(),
            stripes,
            most_keys,
            evicted: AtomicU64::new(0),
            used: AtomicBool::new(false),
        }
    }

    pub fn totals(&self) -> Totals {
        Totals::ALL[usize::from(self.totals.load(Relaxed))]
    }

    /// The store was read, or could not be, or another one is to be read; a failure does not undo what is known.
    pub fn set_totals(&self, totals: Totals) {
        let allowed = |known| (totals != Totals::Missing || known != Totals::Known as u8).then_some(totals as u8);
        if self.totals.fetch_update(Relaxed, Relaxed, allowed).is_ok() {
            self.totals_changed.notify_waiters();
        }
    }

    /// Ready once the store was read, or could not be.
    pub async fn until_tried(&self) {
        loop {
            let changed = self.totals_changed.notified();
            tokio::pin!(changed);
            // From here on a notification is not missed.
            changed.as_mut().enable();
            if self.totals() != Totals::Expected {
                return;
            }
            changed.await;
        }
    }

    /// A quota is counted here.
    pub fn begin_use(&self) {
        self.used.store(true, Relaxed);
    }

    pub fn is_used(&self) -> bool {
        self.used.load(Relaxed)
    }

    /// Checks all quotas and charges all of them, or none; true when the request may go.
    ///
    /// At most [`crate::limits::MOST_LIMITS`] at once.
    pub fn take(&self, asks: &[QuotaAsk], told: &mut [QuotaTold]) -> bool {
        let mut guards = self.lock_all(asks);
        let mut goes = true;
        for (ask, told) in asks.iter().zip(told.iter_mut()) {
            let used = held(&mut guards, ask.key).of(ask.key, ask.period).used();
            let passed = used.saturating_add(ask.cost) <= ask.amount;
            *told = QuotaTold { passed, charged: false, used };
            goes &= passed || ask.shadow;
        }
        for (ask, told) in asks.iter().zip(told).filter(|(_, told)| goes && told.passed) {
            let forgot = held(&mut guards, ask.key).add(ask.key, ask.period, ask.cost as i64, self.most_keys);
            self.evicted.fetch_add(u64::from(forgot), Relaxed);
            (told.charged, told.used) = (true, told.used + ask.cost);
        }
        goes
    }

    /// What a key has used of a period.
    pub fn used(&self, key: QuotaKey, period: Period) -> u64 {
        self.lock(stripe_of(key)).of(key, period).used()
    }

    /// Gives back what a request was charged, as far as its period goes on.
    pub fn give_back(&self, key: QuotaKey, period: Period, cost: u64) {
        let mut stripe = self.lock(stripe_of(key));
        if stripe.uses.get(&key).is_some_and(|used| used.period.start == period.start && used.used() >= cost) {
            stripe.add(key, period, -(cost as i64), self.most_keys);
        }
    }

    /// What was used and is not written yet; whoever takes it writes it, or puts it back.
    pub fn take_changes(&self) -> Vec<Change> {
        let mut out = Vec::new();
        (0..STRIPES).for_each(|stripe| self.lock(stripe).take_changes(&mut out));
        out
    }

    /// What could not be written.
    pub fn put_back(&self, changes: &[Change]) {
        for change in changes {
            let mut stripe = self.lock(stripe_of(change.key));
            match stripe.uses.get_mut(&change.key) {
                Some(used) if used.period.start == change.period.start => {
                    used.written = used.written.saturating_add_signed(-change.amount);
                    stripe.add(change.key, change.period, change.amount, self.most_keys);
                }
                _ => write_late(&mut stripe.late, change.key, change.period, change.amount, self.most_keys),
            }
        }
    }

    /// Totals as the store has them, after a write or at the start.
    pub fn settle(&self, totals: &[Change]) {
        for total in totals {
            let mut stripe = self.lock(stripe_of(total.key));
            let full = stripe.uses.len() >= self.most_keys;
            match stripe.uses.get_mut(&total.key) {
                Some(used) if used.period.start == total.period.start => used.written = total.amount.max(0) as u64,
                Some(used) if used.period.start > total.period.start => {}
                None if full => {}
                known => {
                    let added = known.filter(|used| used.added != 0).map(|used| (used.period, used.added));
                    if let Some((period, amount)) = added {
                        write_late(&mut stripe.late, total.key, period, amount, self.most_keys);
                    }
                    let used = Use { period: total.period, written: total.amount.max(0) as u64, added: 0 };
                    stripe.uses.insert(total.key, used);
                }
            }
        }
    }

    /// Forgets periods that are over.
    pub fn sweep(&self, now: Seconds) {
        for stripe in 0..STRIPES {
            self.lock(stripe).uses.retain(|_, used| used.period.end > now || used.added != 0);
        }
    }

    pub fn keys(&self) -> usize {
        (0..STRIPES).map(|stripe| self.lock(stripe).uses.len()).sum()
    }

    /// Keys that were forgotten before their period ended.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// The stripes of all keys, each once and in one order, so that two checks cannot wait for each other.
    fn lock_all(&self, asks: &[QuotaAsk]) -> Vec<(usize, MutexGuard<'_, Stripe>)> {
        let mut stripes: Vec<usize> = asks.iter().map(|ask| stripe_of(ask.key)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes.into_iter().map(|stripe| (stripe, self.lock(stripe))).collect()
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[stripe].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn held<'g>(guards: &'g mut [(usize, MutexGuard<'_, Stripe>)], key: QuotaKey) -> &'g mut Stripe {
    let stripe = stripe_of(key);
    let held = guards.iter_mut().find(|(known, _)| *known == stripe);
    &mut held.expect("the stripe of every key is locked").1
}

fn stripe_of(key: QuotaKey) -> usize {
    (key.0 >> 64) as usize % STRIPES
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Period = Period { start: 0, end: 86_400 };
    const NEXT: Period = Period { start: 86_400, end: 172_800 };

    fn ask(name: &str, period: Period, amount: u64, cost: u64) -> QuotaAsk {
        QuotaAsk { key: QuotaKey::new(name, b"key"), period, amount, cost, shadow: false }
    }

    fn take(quotas: &Quotas, asks: &[QuotaAsk]) -> (bool, Vec<QuotaTold>) {
        let mut told = vec![QuotaTold::default(); asks.len()];
        (quotas.take(asks, &mut told), told)
    }

    #[test]
    fn all_quotas_are_checked_before_any_is_charged() {
        let quotas = Quotas::default();
        let asks = [ask("a", DAY, 10, 3), ask("b", DAY, 5, 3)];
        assert!(take(&quotas, &asks).0);
        let (goes, told) = take(&quotas, &asks);
        assert!(!goes && told[0].passed && !told[0].charged && !told[1].passed);
        assert_eq!((told[0].used, told[1].used), (3, 3));
    }

    #[test]
    fn a_new_period_begins_at_nothing_and_an_old_one_does_not_come_back() {
        let quotas = Quotas::default();
        assert!(take(&quotas, &[ask("a", DAY, 1, 1)]).0);
        assert!(!take(&quotas, &[ask("a", DAY, 1, 1)]).0);
        assert!(take(&quotas, &[ask("a", NEXT, 1, 1)]).0);
        assert!(!take(&quotas, &[ask("a", DAY, 1, 1)]).0);
        let key = QuotaKey::new("a", b"key");
        let mut changes = quotas.take_changes();
        changes.sort_by_key(|change| change.period.start);
        assert_eq!(changes, [Change { key, period: DAY, amount: 1 }, Change { key, period: NEXT, amount: 1 }]);
        assert!(quotas.take_changes().is_empty());
    }

    #[test]
    fn totals_of_the_store_hold_with_what_was_added_since() {
        let quotas = Quotas::default();
        let key = QuotaKey::new("a", b"key");
        take(&quotas, &[ask("a", DAY, 100, 4)]);
        let changes = quotas.take_changes();
        take(&quotas, &[ask("a", DAY, 100, 2)]);
        // Another gateway has used 50.
        quotas.settle(&[Change { key, period: DAY, amount: 54 }]);
        assert_eq!(quotas.used(key, DAY), 56);
        quotas.put_back(&changes);
        assert_eq!(quotas.used(key, DAY), 56);
        assert_eq!(quotas.take_changes(), [Change { key, period: DAY, amount: 6 }]);
        quotas.give_back(key, DAY, 6);
        assert_eq!(quotas.used(key, DAY), 50);
        quotas.sweep(DAY.end);
        assert_eq!(quotas.keys(), 1, "it is not written yet");
        quotas.take_changes();
        quotas.sweep(DAY.end);
        assert_eq!(quotas.keys(), 0);
    }

    #[test]
    fn a_restart_goes_on_from_the_store() {
        let quotas = Quotas::default();
        let key = QuotaKey::new("a", b"key");
        quotas.settle(&[Change { key, period: DAY, amount: 9 }]);
        assert!(take(&quotas, &[ask("a", DAY, 10, 1)]).0);
        assert!(!take(&quotas, &[ask("a", DAY, 10, 1)]).0);
    }

    #[test]
    fn what_is_known_of_the_store_stays_known_until_it_is_another_store() {
        let quotas = Quotas::default();
        let mut seen = vec![quotas.totals()];
        for totals in [Totals::Missing, Totals::Known, Totals::Missing, Totals::Expected, Totals::Known] {
            quotas.set_totals(totals);
            seen.push(quotas.totals());
        }
        use Totals::{Expected, Known, Missing};
        assert_eq!(seen, [Expected, Missing, Known, Known, Expected, Known]);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_does_not_push_out_who_used_much() {
        let most = 100;
        let quotas = Quotas::bounded(most);
        let heavy = ask("heavy", DAY, 1 << 40, 1 << 30);
        take(&quotas, &[heavy]);
        for number in 0..(most * STRIPES * 3) as u128 {
            let key = QuotaKey(number << 64 | number);
            take(&quotas, &[QuotaAsk { key, ..ask("", DAY, 10, 1) }]);
        }
        assert!(quotas.keys() <= most * STRIPES);
        assert!(quotas.evicted() > 0);
        // Nobody has written anything meanwhile.
        for stripe in 0..STRIPES {
            let stripe = quotas.lock(stripe);
            assert!(stripe.late.len() <= most && stripe.changed.len() <= most * 2);
        }
        assert_eq!(quotas.used(heavy.key, DAY), 1 << 30);
    }

    #[test]
    fn keys_whose_period_is_over_make_room_first() {
        let most = 4;
        let quotas = Quotas::bounded(most);
        let key = |number: u128| QuotaKey(number);
        for number in 0..4 {
            let period = if number == 2 { DAY } else { NEXT };
            take(&quotas, &[QuotaAsk { key: key(number), ..ask("", period, 100, 9 - number as u64) }]);
        }
        take(&quotas, &[QuotaAsk { key: key(9), ..ask("", NEXT, 100, 1) }]);
        let kept = |number| quotas.used(key(number), NEXT) > 0;
        assert_eq!([0, 1, 3, 9].map(kept), [true; 4]);
    }
}
