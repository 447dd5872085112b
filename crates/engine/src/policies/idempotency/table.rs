//! Keys and answers of one gateway, in its memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::answer::Answer;
use super::{Fingerprint, Name};
use crate::clock::Millis;

/// The keys of one policy; outlives its reloads.
#[derive(Default)]
pub struct Table(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    by_name: FxHashMap<Name, Entry>,
    /// Those that are answered, the oldest first.
    answered: VecDeque<(Name, u64)>,
    bytes: usize,
    /// Numbers every entry: one that took another's place is not taken for it.
    next: u64,
    evicted: u64,
}

struct Entry {
    number: u64,
    fingerprint: Fingerprint,
    /// `None` while the request runs.
    done: Option<Done>,
}

struct Done {
    /// `None`: it ran, and its answer is not kept.
    answer: Option<Arc<Answer>>,
    until: Millis,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub entries: usize,
    pub bytes: usize,
}

/// What a request with a key has to do.
pub enum Begun<L> {
    /// It is the first: it runs, and holds the key meanwhile.
    First(L),
    /// The first still runs.
    InUse,
    /// The key was used for something else.
    Other,
    Done(Option<Arc<Answer>>),
}

/// What an entry takes beside its answer.
const ENTRY_BYTES: usize = 160;

impl Table {
    pub fn begin(self: &Arc<Self>, name: &Name, fingerprint: &Fingerprint, now: Millis) -> Begun<Lease> {
        let mut entries = self.lock();
        if let Some(entry) = entries.by_name.get(name) {
            match &entry.done {
                Some(done) if done.until <= now => {}
                _ if entry.fingerprint != *fingerprint => return Begun::Other,
                Some(done) => return Begun::Done(done.answer.clone()),
                None => return Begun::InUse,
            }
        }
        Begun::First(self.take(&mut entries, name, fingerprint))
    }

    /// What is known of a key; takes nothing.
    pub fn known(&self, name: &Name, fingerprint: &Fingerprint, now: Millis) -> Option<Begun<Lease>> {
        let entries = self.lock();
        let entry = entries.by_name.get(name)?;
        match &entry.done {
            Some(done) if done.until <= now => None,
            _ if entry.fingerprint != *fingerprint => Some(Begun::Other),
            Some(done) => Some(Begun::Done(done.answer.clone())),
            None => Some(Begun::InUse),
        }
    }

    fn take(self: &Arc<Self>, entries: &mut Entries, name: &Name, fingerprint: &Fingerprint) -> Lease {
        let number = entries.next;
        entries.next += 1;
        entries.remove(name);
        entries.by_name.insert(*name, Entry { number, fingerprint: *fingerprint, done: None });
        Lease { table: self.clone(), name: *name, number }
    }

    /// Answers in memory, their bytes, and how many had to go before their time.
    pub fn census(&self) -> (usize, usize, u64) {
        let entries = self.lock();
        (entries.answered.len(), entries.bytes, entries.evicted)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, name: &Name) {
        if let Some(entry) = self.by_name.remove(name) {
            self.bytes -= entry.bytes();
        }
    }

    /// Lets go what is over, and the oldest of what is too much.
    fn trim(&mut self, bounds: Bounds, now: Millis) {
        while let Some((name, number)) = self.answered.front().copied() {
            let entry = self.by_name.get(&name).filter(|entry| entry.number == number);
            let until = entry.map(|entry| entry.done.as_ref().map_or(0, |done| done.until));
            let over = until.is_none_or(|until| until <= now);
            if !over && self.answered.len() <= bounds.entries && self.bytes <= bounds.bytes {
                return;
            }
            self.evicted += u64::from(!over);
            self.answered.pop_front();
            if until.is_some() {
                self.remove(&name);
            }
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        let answer = self.done.as_ref().map(|done| done.answer.as_ref().map_or(0, |answer| answer.bytes()));
        answer.map_or(0, |bytes| bytes + ENTRY_BYTES)
    }
}

/// A key that is held by the request that runs. Dropped, it is free again.
pub struct Lease {
    table: Arc<Table>,
    name: Name,
    number: u64,
}

impl Lease {
    /// The request is answered; `None`: with something that is not kept.
    pub fn finish(self, answer: Option<Arc<Answer>>, now: Millis, until: Millis, bounds: Bounds) {
        let entries = &mut *self.table.lock();
        let Some(entry) = entries.by_name.get_mut(&self.name).filter(|entry| entry.number == self.number) else {
            return;
        };
        entry.done = Some(Done { answer, until });
        entries.bytes += entry.bytes();
        entries.answered.push_back((self.name, self.number));
        entries.trim(bounds, now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut entries = self.table.lock();
        let runs = |entry: &&Entry| entry.number == self.number && entry.done.is_none();
        if entries.by_name.get(&self.name).filter(runs).is_some() {
            entries.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const BOUNDS: Bounds = Bounds { entries: 3, bytes: 10_000 };
    const A: Fingerprint = [b'a'; 32];
    const B: Fingerprint = [b'b'; 32];

    fn name(number: u8) -> Name {
        [number; 32]
    }

    fn answer(length: usize) -> Option<Arc<Answer>> {
        Some(Arc::new(Answer { status: 200, fields: Vec::new(), body: Bytes::from(vec![0; length]) }))
    }

    fn first(table: &Arc<Table>, number: u8, now: Millis) -> Lease {
        match table.begin(&name(number), &A, now) {
            Begun::First(lease) => lease,
            _ => panic!("not the first"),
        }
    }

    #[test]
    fn a_key_is_held_then_answered_then_forgotten() {
        let table = Arc::new(Table::default());
        let lease = first(&table, 1, 0);
        assert!(matches!(table.begin(&name(1), &A, 0), Begun::InUse));
        assert!(matches!(table.begin(&name(1), &B, 0), Begun::Other));
        lease.finish(answer(5), 1, 10, BOUNDS);
        assert!(matches!(table.begin(&name(1), &A, 9), Begun::Done(Some(_))));
        assert!(matches!(table.begin(&name(1), &B, 9), Begun::Other));
        drop(first(&table, 1, 10));
    }

    #[test]
    fn a_request_that_comes_to_nothing_frees_its_key() {
        let table = Arc::new(Table::default());
        drop(first(&table, 1, 0));
        first(&table, 1, 0).finish(None, 0, 10, BOUNDS);
        assert!(matches!(table.begin(&name(1), &A, 0), Begun::Done(None)));
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_the_oldest_go_first() {
        let table = Arc::new(Table::default());
        for number in 0..5 {
            first(&table, number, 0).finish(answer(10), 0, 100, BOUNDS);
        }
        assert_eq!(table.census().0, 3);
        assert_eq!(table.census().2, 2);
        assert!(matches!(table.begin(&name(4), &A, 0), Begun::Done(_)));
        drop(first(&table, 0, 0));
        first(&table, 9, 0).finish(answer(9_900), 0, 100, BOUNDS);
        assert_eq!(table.census().0, 0, "larger than all of the memory");
        assert_eq!(table.census().1, 0);
    }

    #[test]
    fn what_is_over_makes_room_and_is_not_counted_as_lost() {
        let table = Arc::new(Table::default());
        for number in 0..3 {
            first(&table, number, 0).finish(answer(10), 0, 5, BOUNDS);
        }
        first(&table, 7, 6).finish(answer(10), 6, 20, BOUNDS);
        assert_eq!((table.census().0, table.census().2), (1, 0));
    }

    #[test]
    fn a_key_that_is_used_again_after_its_time_counts_once() {
        let table = Arc::new(Table::default());
        for turn in 0..10 {
            first(&table, 1, turn * 10).finish(answer(10), turn * 10, turn * 10 + 5, BOUNDS);
        }
        assert_eq!(table.census(), (1, 10 + ENTRY_BYTES, 0));
    }
}
