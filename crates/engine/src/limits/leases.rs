//! How many requests of a key are under way, over all workers, and who waits for one of them to end.
//!
//! A [`Lease`] is given back when it is dropped, so nothing that ends a request (an answer, a client that left, a panic, a
//! drained worker) can keep it. The tables hold only what is under way: no key outlives its last request.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::key::{Hashed, Key};

const STRIPES: usize = 64;

pub struct Leases {
    stripes: Box<[Apart]>,
}

impl Default for Leases {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Apart::default()).collect() }
    }
}

#[repr(align(64))]
#[derive(Default)]
struct Apart(Mutex<HashMap<Key, Users, BuildHasherDefault<Hashed>>>);

#[derive(Default)]
struct Users {
    under_way: u64,
    waiting: VecDeque<oneshot::Sender<Lease>>,
}

/// One request under way.
pub struct Lease {
    leases: Arc<Leases>,
    key: Key,
}

/// What became of a request for a lease.
pub enum Claim {
    /// `left`: how many more there are.
    Granted {
        lease: Lease,
        left: u64,
    },
    /// Its turn comes when others have ended.
    Queued(oneshot::Receiver<Lease>),
    Refused,
}

impl Leases {
    /// Asks for a lease; `queue`: how many may wait.
    pub fn claim(self: &Arc<Self>, key: Key, most: u64, queue: usize) -> Claim {
        let mut stripe = self.stripe(key);
        let users = stripe.entry(key).or_default();
        // Those who left are forgotten when they are met, or when there is no room for others.
        while users.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            users.waiting.pop_front();
        }
        if users.waiting.len() >= queue {
            users.waiting.retain(|waiting| !waiting.is_closed());
        }
        // Those who wait come first, also after a reload has raised the limit.
        if users.under_way < most && users.waiting.is_empty() {
            users.under_way += 1;
            let left = most - users.under_way;
            return Claim::Granted { lease: Lease { leases: self.clone(), key }, left };
        }
        if users.waiting.len() < queue {
            let (sender, receiver) = oneshot::channel();
            users.waiting.push_back(sender);
            return Claim::Queued(receiver);
        }
        Claim::Refused
    }

    /// How many are under way, and how many wait.
    pub fn count(&self) -> (u64, u64) {
        let mut count = (0, 0);
        for stripe in &self.stripes {
            for users in lock(stripe).values() {
                count.0 += users.under_way;
                count.1 += users.waiting.iter().filter(|waiting| !waiting.is_closed()).count() as u64;
            }
        }
        count
    }

    fn stripe(&self, key: Key) -> MutexGuard<'_, HashMap<Key, Users, BuildHasherDefault<Hashed>>> {
        lock(&self.stripes[key.halves().0 as usize % STRIPES])
    }

    /// The next one that waits; the lease that ended passes on to it.
    fn next(&self, key: Key) -> Option<oneshot::Sender<Lease>> {
        let mut stripe = self.stripe(key);
        let users = stripe.get_mut(&key)?;
        while let Some(waiting) = users.waiting.pop_front() {
            if !waiting.is_closed() {
                return Some(waiting);
            }
        }
        users.under_way -= 1;
        if users.under_way == 0 {
            stripe.remove(&key);
        }
        None
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(waiting) = self.leases.next(self.key) {
            // Whoever left in this moment drops the lease, which then goes to the next.
            let _ = waiting.send(Self { leases: self.leases.clone(), key: self.key });
        }
    }
}

fn lock(stripe: &Apart) -> MutexGuard<'_, HashMap<Key, Users, BuildHasherDefault<Hashed>>> {
    stripe.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::key::Hasher;

    fn key() -> Key {
        Hasher::default().namespace(&[b"test"]).key(b"key")
    }

    fn granted(claim: Claim) -> Lease {
        match claim {
            Claim::Granted { lease, .. } => lease,
            Claim::Queued(_) | Claim::Refused => panic!("not granted"),
        }
    }

    #[test]
    fn a_lease_is_there_again_once_it_is_dropped() {
        let (leases, key) = (Arc::new(Leases::default()), key());
        let first = granted(leases.claim(key, 1, 0));
        assert!(matches!(leases.claim(key, 1, 0), Claim::Refused));
        drop(first);
        drop(granted(leases.claim(key, 1, 0)));
        assert_eq!(leases.count(), (0, 0));
        assert!(leases.stripes.iter().all(|stripe| lock(stripe).is_empty()));
    }

    #[test]
    fn a_lease_passes_to_the_first_that_still_waits() {
        let (leases, key) = (Arc::new(Leases::default()), key());
        let first = granted(leases.claim(key, 1, 2));
        let Claim::Queued(left) = leases.claim(key, 1, 2) else { panic!("one may wait") };
        let Claim::Queued(mut stays) = leases.claim(key, 1, 2) else { panic!("two may wait") };
        assert!(matches!(leases.claim(key, 1, 2), Claim::Refused));
        drop(left);
        drop(first);
        let second = stays.try_recv().unwrap();
        assert_eq!(leases.count(), (1, 0));
        drop(second);
        assert_eq!(leases.count(), (0, 0));
    }

    #[test]
    fn a_lease_that_came_too_late_for_its_receiver_is_not_lost() {
        let (leases, key) = (Arc::new(Leases::default()), key());
        let first = granted(leases.claim(key, 1, 1));
        let Claim::Queued(waits) = leases.claim(key, 1, 1) else { panic!("one may wait") };
        drop(first);
        drop(waits);
        drop(granted(leases.claim(key, 1, 0)));
        assert_eq!(leases.count(), (0, 0));
    }
}
