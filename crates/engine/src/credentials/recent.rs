//! A bounded table of what was found out lately: when it is full, what was not asked for longest goes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::credentials::secret::{Digest, DigestMap};

const STRIPES: usize = 16;

/// Values by a hash that nobody outside can steer, or for which it would gain nothing.
pub struct Recent<V> {
    stripes: Box<[Mutex<Stripe<V>>]>,
    /// Entries of one generation of a stripe.
    most: usize,
}

/// Two generations: entries go into the new one; when it is full the old one is dropped, and the new one is the old one.
struct Stripe<V> {
    new: DigestMap<V>,
    old: DigestMap<V>,
}

impl<V: Clone> Recent<V> {
    /// Holds at most about `most` entries.
    pub fn new(most: usize) -> Self {
        let stripe = |_| Mutex::new(Stripe { new: DigestMap::default(), old: DigestMap::default() });
        Self { stripes: (0..STRIPES).map(stripe).collect(), most: (most / STRIPES / 2).max(1) }
    }

    pub fn get(&self, digest: &Digest) -> Option<V> {
        let mut stripe = self.stripe(digest);
        if let Some(value) = stripe.new.get(digest) {
            return Some(value.clone());
        }
        // What is used stays.
        let value = stripe.old.remove(digest)?;
        stripe.insert(*digest, value.clone(), self.most);
        Some(value)
    }

    pub fn insert(&self, digest: Digest, value: V) {
        self.stripe(&digest).insert(digest, value, self.most);
    }

    fn stripe(&self, digest: &Digest) -> MutexGuard<'_, Stripe<V>> {
        let stripe = &self.stripes[digest.word(0) as usize % STRIPES];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Stripe<V> {
    fn insert(&mut self, digest: Digest, value: V, most: usize) {
        if self.new.len() >= most && !self.new.contains_key(&digest) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(digest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn a_flood_does_not_grow_it_and_what_is_used_stays() {
        let table = Recent::new(640);
        table.insert(digest(0), "kept");
        for number in 1..20_000 {
            table.insert(digest(number), "flood");
            assert_eq!(table.get(&digest(0)), Some("kept"));
        }
        let held = |stripe: &Mutex<Stripe<_>>| {
            let stripe = stripe.lock().unwrap();
            stripe.new.len() + stripe.old.len()
        };
        assert!(table.stripes.iter().map(held).sum::<usize>() <= 640);
        assert_eq!(table.get(&digest(1)), None);
    }
}
