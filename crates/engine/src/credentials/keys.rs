//! The keys of the store, as the gateway last read them.
//!
//! Keys are spread over shards by their hash, and each shard is replaced as a whole: a lookup is one load of a pointer and
//! one look into a map, whatever is being changed meanwhile, and a change copies a thousandth of the table.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::credentials::secret::{Digest, DigestMap};
use crate::identity::{Consumer, Identity};
use crate::pipeline::Pipeline;
use crate::telemetry::metrics::{Kind, Text};

const SHARDS: usize = 1024;

/// A key, and whose it is.
pub struct Key {
    pub id: Box<str>,
    pub name: Box<str>,
    /// As the store knows it; the document's consumer of that name goes before.
    pub consumer: Arc<Consumer>,
    /// Unix seconds from which on it opens nothing.
    pub expires: Option<u64>,
    pub revoked: bool,
    pub memo: Memo,
}

/// The identity that a key proves, as the policy of that number made it last.
#[derive(Default)]
pub struct Memo(ArcSwapOption<(u64, Arc<Identity>)>);

impl Memo {
    pub fn get(&self, policy: u64, make: impl FnOnce() -> Identity) -> Arc<Identity> {
        match &*self.0.load() {
            Some(made) if made.0 == policy => made.1.clone(),
            _ => {
                let identity = Arc::new(make());
                self.0.store(Some(Arc::new((policy, identity.clone()))));
                identity
            }
        }
    }
}

/// A key as the store has it.
pub struct Entry {
    pub digest: Digest,
    pub id: String,
    pub name: String,
    pub consumer: String,
    pub tier: Option<String>,
    pub tags: Vec<String>,
    pub expires: Option<u64>,
    pub revoked: bool,
}

type Shard = DigestMap<Arc<Key>>;

pub struct Keys {
    shards: Box<[ArcSwap<Shard>]>,
    /// For whoever changes the table, one at a time.
    changing: Mutex<Changing>,
    count: AtomicUsize,
    loaded: AtomicBool,
    now_loaded: Notify,
    answers: AtomicBool,
}

#[derive(Default)]
struct Changing {
    /// A whole load that has begun.
    next: Option<Vec<Shard>>,
    /// So that the keys of one consumer share it.
    consumers: FxHashMap<Box<str>, Arc<Consumer>>,
}

impl Default for Keys {
    fn default() -> Self {
        let empty = Arc::new(Shard::default());
        Self {
            shards: (0..SHARDS).map(|_| ArcSwap::new(empty.clone())).collect(),
            changing: Mutex::default(),
            count: AtomicUsize::new(0),
            loaded: AtomicBool::new(false),
            now_loaded: Notify::new(),
            answers: AtomicBool::new(false),
        }
    }
}

impl Keys {
    pub fn get(&self, digest: &Digest) -> Option<Arc<Key>> {
        self.shards[shard_of(digest)].load().get(digest).cloned()
    }

    /// Whether the table was ever equal to the store: only then is a key that is not in it a wrong one.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub async fn until_loaded(&self) {
        let loaded = self.now_loaded.notified();
        tokio::pin!(loaded);
        // From here on a notification is not missed.
        loaded.as_mut().enable();
        if !self.is_loaded() {
            loaded.await;
        }
    }

    /// How many keys there are, of any state.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether the store could be reached when it was last asked.
    pub fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    pub fn set_answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    /// Adds keys, or puts them in place of those with the same hash.
    pub fn put(&self, entries: Vec<Entry>) {
        let mut changing = self.changing();
        let mut keys: Vec<_> = entries.into_iter().map(|entry| changing.key(entry)).collect();
        keys.sort_unstable_by_key(|(digest, _)| shard_of(digest));
        for run in keys.chunk_by(|(left, _), (right, _)| shard_of(left) == shard_of(right)) {
            let place = &self.shards[shard_of(&run[0].0)];
            let mut shard = Shard::clone(&place.load());
            let before = shard.len();
            shard.extend(run.iter().cloned());
            self.count.fetch_add(shard.len() - before, Ordering::Relaxed);
            place.store(Arc::new(shard));
        }
    }

    /// Begins a load of the whole store; what an earlier one has left unfinished is forgotten.
    pub fn begin_whole(&self) {
        self.changing().next = Some((0..SHARDS).map(|_| Shard::default()).collect());
    }

    /// Adds keys to the whole load that has begun.
    pub fn put_whole(&self, entries: Vec<Entry>) {
        let changing = &mut *self.changing();
        let Some(mut next) = changing.next.take() else { return };
        for entry in entries {
            let (digest, key) = changing.key(entry);
            next[shard_of(&digest)].insert(digest, key);
        }
        changing.next = Some(next);
    }

    /// Puts what was loaded in place of all keys that were known.
    pub fn end_whole(&self) {
        let mut changing = self.changing();
        let Some(next) = changing.next.take() else { return };
        self.count.store(next.iter().map(Shard::len).sum(), Ordering::Relaxed);
        for (place, shard) in self.shards.iter().zip(next) {
            place.store(Arc::new(shard));
        }
        changing.consumers.retain(|_, consumer| Arc::strong_count(consumer) > 1);
        drop(changing);
        self.loaded.store(true, Ordering::Release);
        self.now_loaded.notify_waiters();
    }

    /// Drops all keys, as if the store had never been read: from now on it is another one.
    pub fn forget(&self) {
        let mut changing = self.changing();
        *changing = Changing::default();
        self.loaded.store(false, Ordering::Release);
        let empty = Arc::new(Shard::default());
        self.shards.iter().for_each(|place| place.store(empty.clone()));
        self.count.store(0, Ordering::Relaxed);
    }

    pub(crate) fn render(&self, text: &mut Text) {
        text.family("tidegate_keys", Kind::Gauge, "Keys of the store, of any state.");
        text.sample(&[], self.count() as u64);
        text.family("tidegate_key_store_up", Kind::Gauge, "Whether the store answered when it was last asked.");
        text.sample(&[], u64::from(self.answers()));
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changing {
    fn key(&mut self, entry: Entry) -> (Digest, Arc<Key>) {
        let consumer = self.consumer(&entry);
        let key = Key {
            id: entry.id.into(),
            name: entry.name.into(),
            consumer,
            expires: entry.expires,
            revoked: entry.revoked,
            memo: Memo::default(),
        };
        (entry.digest, Arc::new(key))
    }

    fn consumer(&mut self, entry: &Entry) -> Arc<Consumer> {
        let is_same = |known: &Consumer| {
            known.tier.as_deref() == entry.tier.as_deref()
                && known.tags.iter().map(|tag| &**tag).eq(entry.tags.iter().map(String::as_str))
        };
        if let Some(known) = self.consumers.get(entry.consumer.as_str()).filter(|known| is_same(known)) {
            return known.clone();
        }
        let consumer = Arc::new(Consumer {
            enabled: true,
            name: entry.consumer.as_str().into(),
            tier: entry.tier.as_deref().map(Into::into),
            tags: entry.tags.iter().map(|tag| tag.as_str().into()).collect(),
            pipeline: Pipeline::default(),
        });
        self.consumers.insert(consumer.name.clone(), consumer.clone());
        consumer
    }
}

fn shard_of(digest: &Digest) -> usize {
    digest.word(0) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(secret: &str, consumer: &str, revoked: bool) -> Entry {
        Entry {
            digest: Digest::of(secret.as_bytes()),
            id: secret.into(),
            name: String::new(),
            consumer: consumer.into(),
            tier: None,
            tags: Vec::new(),
            expires: None,
            revoked,
        }
    }

    fn get(keys: &Keys, secret: &str) -> Option<(String, bool)> {
        keys.get(&Digest::of(secret.as_bytes())).map(|key| (key.consumer.name.to_string(), key.revoked))
    }

    #[test]
    fn a_change_is_seen_and_touches_nothing_else() {
        let keys = Keys::default();
        keys.put((0..5000).map(|number| entry(&format!("k{number}"), "acme", false)).collect());
        assert_eq!(keys.count(), 5000);
        keys.put(vec![entry("k7", "acme", true), entry("new", "zeta", false)]);
        assert_eq!(keys.count(), 5001);
        assert_eq!(get(&keys, "k7"), Some(("acme".into(), true)));
        assert_eq!(get(&keys, "k8"), Some(("acme".into(), false)));
        assert_eq!(get(&keys, "new"), Some(("zeta".into(), false)));
        assert_eq!(get(&keys, "k5000"), None);
    }

    #[test]
    fn a_whole_load_is_seen_when_it_is_complete() {
        let keys = Keys::default();
        keys.put(vec![entry("old", "acme", false)]);
        keys.begin_whole();
        keys.put_whole(vec![entry("left behind", "acme", false)]);
        keys.begin_whole();
        keys.put_whole(vec![entry("a", "acme", false)]);
        keys.put_whole(vec![entry("b", "acme", false)]);
        assert!(!keys.is_loaded() && get(&keys, "a").is_none() && get(&keys, "old").is_some());
        keys.end_whole();
        assert!(keys.is_loaded() && get(&keys, "old").is_none() && get(&keys, "left behind").is_none());
        assert_eq!((keys.count(), get(&keys, "b").is_some()), (2, true));
        // Without a load that has begun, its end changes nothing.
        keys.end_whole();
        assert_eq!(keys.count(), 2);
        keys.forget();
        assert!(!keys.is_loaded() && keys.count() == 0 && get(&keys, "b").is_none());
    }

    #[test]
    fn keys_of_a_consumer_share_it_until_it_changes() {
        let keys = Keys::default();
        keys.put(vec![entry("a", "acme", false), entry("b", "acme", false)]);
        let of = |secret: &str| keys.get(&Digest::of(secret.as_bytes())).unwrap().consumer.clone();
        assert!(Arc::ptr_eq(&of("a"), &of("b")));
        keys.put(vec![Entry { tier: Some("gold".into()), ..entry("b", "acme", false) }]);
        assert_eq!((of("a").tier.as_deref(), of("b").tier.as_deref()), (None, Some("gold")));
    }
}
