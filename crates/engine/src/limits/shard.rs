//! One stripe of the table: a hash table that never holds more than its share.
//!
//! A key has two sets of four places, by two halves of its hash, and stands in either. When both are taken, one of those that
//! are there moves to its other set (Pagh and Rodler, "Cuckoo Hashing", 2001, in one step). That fills more than nine places
//! in ten; only then does the stripe double, up to its share. From then on the key that is worth least goes: one that has run out, else the one whose budget is nearest to being whole again, since that gives away
//! least. A flood of new keys therefore pushes out its own: each has used one request, and who has used up a budget stays.

use crate::limits::algorithm::{Cell, Micros, Reading};
use crate::limits::key::Key;
use crate::limits::log::Log;

/// Places of a set: the keys of one fill a cache line.
const WAYS: usize = 4;
const FEWEST_SETS: usize = 4;

/// What is kept of a key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub cell: Cell,
    rank: Rank,
}

/// How little it matters, in one word: when the budget is whole again (milliseconds), how much of it is used, and whether the
/// cell is the number of a log.
#[derive(Debug, Clone, Copy, Default)]
struct Rank(u64);

impl Rank {
    fn new(now: Micros, reading: Reading, log: bool) -> Self {
        let until = now.saturating_add(reading.reset).div_ceil(1000);
        Self(until.min((1 << 48) - 1) << 16 | u64::from(reading.used) << 1 | u64::from(log))
    }

    fn until(self) -> Micros {
        (self.0 >> 16) * 1000
    }

    fn used(self) -> u64 {
        self.0 >> 1 & 0x7fff
    }

    fn has_log(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Slot {
    /// What would be given away if it were forgotten: the used part, which fades until the budget is whole.
    fn worth(&self, now: Micros) -> u64 {
        let whole = self.rank.until().saturating_sub(self.cell.at).max(1);
        let left = self.rank.until().saturating_sub(now).min(whole);
        if left == 0 { 0 } else { 1 + (u128::from(self.rank.used()) * u128::from(left) / u128::from(whole)) as u64 }
    }
}

/// Keys and what is kept of them, side by side.
#[derive(Clone)]
struct Set {
    keys: [Key; WAYS],
    slots: [Slot; WAYS],
}

impl Set {
    fn empty() -> Self {
        Self { keys: [Key::NONE; WAYS], slots: [Slot::default(); WAYS] }
    }

    fn free(&self) -> Option<usize> {
        self.keys.iter().position(|&key| key == Key::NONE)
    }
}

pub(super) type Place = (usize, usize);

#[derive(Default)]
pub(super) struct Shard {
    sets: Vec<Set>,
    logs: Vec<Log>,
    free_logs: Vec<u32>,
    /// Entries of all its logs.
    pub stamps: usize,
    /// Keys that are kept, those included that have run out.
    pub held: usize,
    /// Keys that were forgotten before their time.
    pub evicted: u64,
}

impl Shard {
    pub fn find(&self, key: Key) -> Option<Place> {
        if self.sets.is_empty() {
            return None;
        }
        let sets = self.sets_of(key);
        let within = |set: usize| self.sets[set].keys.iter().position(|&known| known == key).map(|way| (set, way));
        within(sets[0]).or_else(|| within(sets[1]))
    }

    pub fn slot(&self, place: Place) -> &Slot {
        &self.sets[place.0].slots[place.1]
    }

    pub fn log(&self, slot: &Slot) -> Option<&Log> {
        if slot.rank.has_log() { self.logs.get(slot.cell.value as usize) } else { None }
    }

    pub fn log_mut(&mut self, place: Place) -> Option<&mut Log> {
        let slot = self.sets[place.0].slots[place.1];
        if slot.rank.has_log() { self.logs.get_mut(slot.cell.value as usize) } else { None }
    }

    /// Finds the key, or a place for it.
    pub fn place(&mut self, key: Key, now: Micros, most_sets: usize) -> Place {
        if let Some(place) = self.find(key) {
            return place;
        }
        let place = self.room(key, now, most_sets);
        self.sets[place.0].keys[place.1] = key;
        self.sets[place.0].slots[place.1] = Slot::default();
        self.held += 1;
        place
    }

    pub fn write(&mut self, place: Place, cell: Cell, now: Micros, reading: Reading, log: bool) {
        self.sets[place.0].slots[place.1] = Slot { cell, rank: Rank::new(now, reading, log) };
    }

    /// Gives a new key a log, unless it has one.
    pub fn open_log(&mut self, place: Place) -> usize {
        let slot = &mut self.sets[place.0].slots[place.1];
        if !slot.rank.has_log() {
            let number = self.free_logs.pop().unwrap_or_else(|| {
                self.logs.push(Log::EMPTY);
                (self.logs.len() - 1) as u32
            });
            slot.cell.value = u64::from(number);
            slot.rank.0 |= 1;
        }
        slot.cell.value as usize
    }

    /// Works on a log and keeps count of its entries; returns by how many they grew.
    pub fn with_log(&mut self, number: usize, work: impl FnOnce(&mut Log)) -> isize {
        let log = &mut self.logs[number];
        let before = log.len();
        work(log);
        self.stamps = self.stamps + log.len() - before;
        log.len() as isize - before as isize
    }

    /// Forgets the log that is worth least among some, but not that of `key`; returns how many entries went.
    pub fn evict_log(&mut self, key: Key, now: Micros) -> usize {
        let start = key.halves().0 as usize;
        let near = (0..self.sets.len()).map(|step| (start + step) & (self.sets.len() - 1));
        let others = places(near)
            .filter(|&(set, way)| self.sets[set].slots[way].rank.has_log() && self.sets[set].keys[way] != key);
        let least = others.take(WAYS * 4).min_by_key(|&(set, way)| self.sets[set].slots[way].worth(now));
        least.map_or(0, |place| self.forget(place))
    }

    fn sets_of(&self, key: Key) -> [usize; 2] {
        let mask = self.sets.len() - 1;
        let (high, low) = key.halves();
        // The uppermost bits have chosen the stripe.
        let (first, second) = (high as usize & mask, low as usize & mask);
        [first, second ^ usize::from(first == second)]
    }

    fn room(&mut self, key: Key, now: Micros, most_sets: usize) -> Place {
        if self.sets.is_empty() {
            self.sets = vec![Set::empty(); FEWEST_SETS];
        }
        loop {
            let sets = self.sets_of(key);
            if let Some(free) = self.free(sets).or_else(|| self.make_room(sets)) {
                return free;
            }
            let worths = places(sets).map(|(set, way)| (self.sets[set].slots[way].worth(now), (set, way)));
            let (worth, least) = worths.min().expect("a set has places");
            if worth > 0 && self.sets.len() < most_sets {
                self.grow(now, most_sets);
                continue;
            }
            self.evicted += u64::from(worth > 0);
            self.forget(least);
            return least;
        }
    }

    /// A free place in either set.
    fn free(&self, sets: [usize; 2]) -> Option<Place> {
        sets.into_iter().find_map(|set| self.sets[set].free().map(|way| (set, way)))
    }

    /// Moves a key of these sets to its other one.
    fn make_room(&mut self, sets: [usize; 2]) -> Option<Place> {
        let (from, to) = places(sets).find_map(|(set, way)| {
            let key = self.sets[set].keys[way];
            let [first, second] = self.sets_of(key);
            let other = first ^ second ^ set;
            self.sets[other].free().map(|free| ((set, way), (other, free)))
        })?;
        self.sets[to.0].keys[to.1] = std::mem::replace(&mut self.sets[from.0].keys[from.1], Key::NONE);
        self.sets[to.0].slots[to.1] = std::mem::take(&mut self.sets[from.0].slots[from.1]);
        Some(from)
    }

    /// Twice the sets, or more when by the rarest chance too many keys move to the same.
    fn grow(&mut self, now: Micros, most_sets: usize) {
        let twice = vec![Set::empty(); self.sets.len() * 2];
        let sets = std::mem::replace(&mut self.sets, twice);
        self.held = 0;
        for (key, slot) in sets.into_iter().flat_map(|set| set.keys.into_iter().zip(set.slots)) {
            if key == Key::NONE {
                continue;
            }
            if slot.worth(now) == 0 {
                self.drop_log(&slot);
                continue;
            }
            let place = self.place(key, now, most_sets);
            self.sets[place.0].slots[place.1] = slot;
        }
    }

    fn forget(&mut self, place: Place) -> usize {
        self.sets[place.0].keys[place.1] = Key::NONE;
        self.held -= 1;
        let slot = std::mem::take(&mut self.sets[place.0].slots[place.1]);
        self.drop_log(&slot)
    }

    fn drop_log(&mut self, slot: &Slot) -> usize {
        if !slot.rank.has_log() {
            return 0;
        }
        let number = slot.cell.value as usize;
        let gone = std::mem::take(&mut self.logs[number]).len();
        self.free_logs.push(number as u32);
        self.stamps -= gone;
        gone
    }

    /// Bytes of the table itself, without the logs.
    pub fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set>()
    }
}

fn places(sets: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Place> {
    sets.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)))
}
