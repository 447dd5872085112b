//! A bounded map in two generations: what was not used for a whole one is dropped with it.
//!
//! Nothing is ever searched for a victim, and what is used often stays through any flood of keys that are used once.

use std::borrow::Borrow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

pub(super) struct Generations<K, V> {
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
    /// Of one generation.
    most: usize,
}

impl<K: Hash + Eq, V> Generations<K, V> {
    /// Never holds more than `most`, and at least the half of it that was used last.
    pub(super) fn new(most: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), most: (most / 2).max(1) }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    /// Takes out what is there under that key, if `is` says so.
    pub(super) fn remove_if(&mut self, key: &K, is: impl Fn(&V) -> bool) {
        for generation in [&mut self.young, &mut self.old] {
            if generation.get(key).is_some_and(&is) {
                generation.remove(key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_what_is_used_stays() {
        let mut known = Generations::new(16);
        known.insert("used".to_owned(), 0);
        for number in 0..1000 {
            known.insert(number.to_string(), number);
            assert_eq!(known.get("used"), Some(&0));
            assert!(known.len() <= 16, "{}", known.len());
        }
    }

    #[test]
    fn a_key_has_one_value() {
        let mut known = Generations::new(2);
        known.insert(1, 'a');
        known.insert(2, 'b');
        known.insert(1, 'c');
        known.insert(3, 'd');
        assert_eq!(known.get(&1), Some(&'c'));
        known.remove_if(&1, |value| *value == 'a');
        assert_eq!(known.get(&1), Some(&'c'));
        known.remove_if(&1, |value| *value == 'c');
        assert_eq!(known.get(&1), None);
    }
}
