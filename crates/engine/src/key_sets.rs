//! Keys that issuers publish: kept over reloads, fetched by whoever runs the engine, asked for by the requests that need them.
//!
//! The engine knows no HTTP client. It says what there is to fetch ([`KeySets::sources`]) and which of it a request waits for
//! ([`Wishes`]); it is told what came of that ([`KeySet::arrived`], [`KeySet::failed`]). Between the two, any number of requests on
//! any worker share one fetch, and a flood of tokens with unknown keys causes no more than one for each cool-down.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::clock::Millis;
use crate::jose::{KeyRing, KeysError, parse_jwks};
use crate::outbox::Outbox;
use crate::plan::RemoteKeys;
use crate::provider::Provider;

/// Requests that may wait for one fetch; more are told at once that it cannot be told.
const MOST_WAITING: usize = 1024;

/// Every key set of an engine.
#[derive(Default)]
pub struct KeySets {
    known: Mutex<Known>,
    pub wishes: Arc<Wishes>,
}

#[derive(Default)]
struct Known {
    /// Those that a policy has; who drops the last policy drops the keys.
    sets: Vec<Weak<KeySet>>,
    last: u64,
}

/// The keys of one source.
pub struct KeySet {
    pub id: u64,
    pub source: RemoteKeys,
    ring: ArcSwap<KeyRing>,
    /// What the provider says of itself, where its keys are found by discovery.
    provider: ArcSwapOption<Provider>,
    /// Counts the changes of the ring.
    generation: AtomicU64,
    /// When the keys are too old to be believed; 0 while there are none.
    good_until: AtomicU64,
    fetch: Mutex<Fetch>,
    /// Counts the fetches that came to an end.
    ended: watch::Sender<u64>,
    waiting: AtomicUsize,
    wishes: Arc<Wishes>,
}

#[derive(Default)]
struct Fetch {
    /// One has been asked for and has not come to its end.
    pending: bool,
    /// The end of the cool-down.
    not_before: Millis,
}

/// What a request may do about a key that is not here.
pub enum Wish {
    /// Wait until the fetch ends.
    Wait(Waiting),
    /// See [`KeySet::is_cooling_down`].
    TooSoon,
    TooMany,
}

/// One of those who wait for a fetch.
pub struct Waiting {
    set: Arc<KeySet>,
    ended: watch::Receiver<u64>,
}

impl KeySets {
    /// The keys of a source, with what is known of them already.
    pub fn of(&self, source: &RemoteKeys) -> Arc<KeySet> {
        let mut known = self.lock();
        known.sets.retain(|set| set.strong_count() > 0);
        let mut alive = known.sets.iter().filter_map(Weak::upgrade);
        if let Some(same) = alive.clone().find(|set| set.source == *source) {
            return same;
        }
        let sibling = alive.find(|set| set.source.is_same_place(source));
        known.last += 1;
        let set = Arc::new(KeySet::new(known.last, source.clone(), self.wishes.clone(), sibling.as_deref()));
        known.sets.push(Arc::downgrade(&set));
        set
    }

    /// Those that are in use.
    pub fn sources(&self) -> Vec<Arc<KeySet>> {
        self.lock().sets.iter().filter_map(Weak::upgrade).collect()
    }

    pub fn by_id(&self, id: u64) -> Option<Arc<KeySet>> {
        self.sources().into_iter().find(|set| set.id == id)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySet {
    fn new(id: u64, source: RemoteKeys, wishes: Arc<Wishes>, sibling: Option<&Self>) -> Self {
        let ring = sibling.map_or_else(Arc::default, |sibling| sibling.ring.load_full());
        let good_until = sibling.map_or(0, |sibling| sibling.good_until.load(Ordering::Acquire));
        // Whoever fetches begins with every new source that is not lazy.
        let fetch = Fetch { pending: !source.lazy, not_before: 0 };
        Self {
            id,
            source,
            ring: ArcSwap::new(ring),
            provider: ArcSwapOption::new(sibling.and_then(Self::provider)),
            generation: AtomicU64::new(0),
            good_until: AtomicU64::new(good_until),
            fetch: Mutex::new(fetch),
            ended: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            wishes,
        }
    }

    /// The keys, and the number of their generation; `None` while there are none that can be believed.
    pub fn ring(&self, now: Millis) -> Option<(Arc<KeyRing>, u64)> {
        // In this order: a ring may be newer than its number says, and is then looked at once more, never older.
        let generation = self.generation(now)?;
        Some((self.ring.load_full(), generation))
    }

    /// Changes with the keys; `None` while there are none that can be believed.
    pub fn generation(&self, now: Millis) -> Option<u64> {
        let generation = self.generation.load(Ordering::Acquire);
        (now < self.good_until.load(Ordering::Acquire)).then_some(generation)
    }

    /// Whether keys ever came, however old they are by now.
    pub fn have_come(&self) -> bool {
        self.good_until.load(Ordering::Acquire) > 0
    }

    /// A key set came. Returns how many keys can be used, and why the others cannot.
    pub fn arrived(&self, text: &[u8], now: Millis) -> Result<(usize, Vec<String>), KeysError> {
        let (keys, unused) = parse_jwks(text)?;
        let before = self.ring.load_full();
        let ring = KeyRing::new(keys).taking_over(&before);
        let count = ring.len();
        if !ring.is_same(&before) {
            self.ring.store(Arc::new(ring));
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.good_until.store(now.saturating_add(self.source.max_stale_ms).max(1), Ordering::Release);
        self.end(None);
        Ok((count, unused))
    }

    /// A discovery document came; what it says of the provider holds until the next one.
    pub fn described(&self, text: &[u8]) {
        if let Some(provider) = Provider::parse(text, self.source.url.starts_with("https://")) {
            self.provider.store(Some(Arc::new(provider)));
        }
    }

    pub fn provider(&self) -> Option<Arc<Provider>> {
        self.provider.load_full()
    }

    /// A fetch failed: what is known goes on to hold, as long as it may.
    pub fn failed(&self, now: Millis) {
        // Nobody is to wait for the next attempt before its time.
        self.end(Some(now.saturating_add(self.source.cool_down_ms)));
    }

    fn end(&self, not_before: Option<Millis>) {
        let mut fetch = self.fetch();
        fetch.pending = false;
        if let Some(not_before) = not_before {
            fetch.not_before = fetch.not_before.max(not_before);
        }
        drop(fetch);
        self.ended.send_modify(|count| *count += 1);
    }

    /// Whether a fetch ended only just now: what it did not bring, another will not bring either.
    pub fn is_cooling_down(&self, now: Millis) -> bool {
        let fetch = self.fetch();
        !fetch.pending && now < fetch.not_before
    }

    /// Asks for a fetch, or joins the one that is on its way.
    pub fn wish(self: &Arc<Self>, now: Millis) -> Wish {
        if self.waiting.load(Ordering::Relaxed) >= MOST_WAITING {
            return Wish::TooMany;
        }
        let mut fetch = self.fetch();
        if !fetch.pending {
            if now < fetch.not_before {
                return Wish::TooSoon;
            }
            fetch.pending = true;
            fetch.not_before = now.saturating_add(self.source.cool_down_ms);
            self.wishes.push(self.id);
        }
        // Under the lock, so that the end of this fetch cannot be missed.
        let ended = self.ended.subscribe();
        drop(fetch);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Wish::Wait(Waiting { set: self.clone(), ended })
    }

    fn fetch(&self) -> MutexGuard<'_, Fetch> {
        self.fetch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Ready when the fetch has come to its end.
    pub async fn ended(&mut self) {
        let _ = self.ended.changed().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Key sets that requests wait for, on their way to whoever fetches.
pub type Wishes = Outbox<u64>;

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}"#;

    fn source() -> RemoteKeys {
        RemoteKeys {
            url: "https://auth.example.com/jwks.json".into(),
            discovery: false,
            issuer: None,
            ca: None,
            refresh_ms: 600_000,
            cool_down_ms: 30_000,
            max_stale_ms: 3_600_000,
            timeout_ms: 5_000,
            lazy: false,
        }
    }

    fn is_wait(wish: &Wish) -> bool {
        matches!(wish, Wish::Wait(_))
    }

    fn set_of(keys: &str) -> Vec<u8> {
        format!("{{\"keys\":[{keys}]}}").into_bytes()
    }

    #[test]
    fn keys_hold_until_they_are_too_old() {
        let set = KeySets::default().of(&source());
        assert!(set.ring(0).is_none() && !set.have_come());
        assert_eq!(set.arrived(&set_of(ED25519), 10).unwrap(), (1, vec![]));
        assert_eq!(set.ring(3_600_009).map(|(ring, _)| ring.len()), Some(1));
        assert!(set.ring(3_600_010).is_none());
        set.failed(3_600_010);
        assert!(set.ring(3_600_010).is_none() && set.have_come());
    }

    #[test]
    fn the_generation_changes_with_the_keys_only() {
        let set = KeySets::default().of(&source());
        set.arrived(&set_of(ED25519), 0).unwrap();
        let first = set.generation(1);
        set.arrived(&set_of(&format!("{ED25519},{{}}")), 1).unwrap();
        assert_eq!(set.generation(2), first);
        assert!(set.arrived(b"<html>", 2).is_err());
        assert_eq!(set.generation(3), first);
        set.arrived(&set_of(""), 3).unwrap();
        assert!(set.generation(4) > first);
        assert_eq!(set.ring(4).map(|(ring, _)| ring.len()), Some(0));
    }

    #[test]
    fn a_flood_of_wishes_is_one_fetch_for_each_cool_down() {
        let sets = KeySets::default();
        let set = sets.of(&source());
        // The first fetch is on its way without a wish.
        assert!(is_wait(&set.wish(0)));
        assert!(sets.wishes.take().is_empty());
        set.arrived(&set_of(ED25519), 0).unwrap();
        let waiting: Vec<_> = (0..100).map(|_| set.wish(1)).collect();
        assert!(waiting.iter().all(is_wait));
        assert_eq!(sets.wishes.take(), [set.id]);
        set.arrived(&set_of(ED25519), 2).unwrap();
        assert!((3..30_000).step_by(100).all(|now| matches!(set.wish(now), Wish::TooSoon)));
        assert!(sets.wishes.take().is_empty());
        assert!(is_wait(&set.wish(30_001)));
        assert_eq!(sets.wishes.take(), [set.id]);
    }

    #[test]
    fn those_who_wait_are_woken_by_the_end_and_are_not_too_many() {
        let set = KeySets::default().of(&source());
        let mut all: Vec<_> = (0..MOST_WAITING).map(|_| set.wish(0)).collect();
        assert!(matches!(set.wish(0), Wish::TooMany));
        set.failed(0);
        let Some(Wish::Wait(mut waiting)) = all.pop() else { panic!("it waits") };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(waiting.ended());
        drop((waiting, all));
        assert!(matches!(set.wish(1), Wish::TooSoon));
        assert!(is_wait(&set.wish(30_000)));
    }

    #[test]
    fn the_same_source_has_the_same_keys_and_new_settings_keep_them() {
        let sets = KeySets::default();
        let set = sets.of(&source());
        set.arrived(&set_of(ED25519), 0).unwrap();
        assert!(Arc::ptr_eq(&set, &sets.of(&source())));
        let faster = sets.of(&RemoteKeys { refresh_ms: 1, ..source() });
        assert!(faster.id != set.id && faster.ring(1).is_some());
        assert!(sets.of(&RemoteKeys { url: "https://other.example/".into(), ..source() }).ring(1).is_none());
        assert_eq!(sets.sources().len(), 2, "what nobody has is gone");
        assert!(sets.by_id(faster.id).is_some() && sets.by_id(99).is_none());
    }

    #[test]
    fn the_descriptor_is_readable_while_there_are_wishes() {
        let sets = KeySets::default();
        let set = sets.of(&RemoteKeys { lazy: true, ..source() });
        assert!(is_wait(&set.wish(0)));
        assert!(sets.wishes.descriptor().is_ok());
        assert_eq!(sets.wishes.take(), [set.id]);
        set.failed(0);
        assert!(is_wait(&set.wish(30_000)));
        assert_eq!(sets.wishes.take(), [set.id]);
        assert!(sets.wishes.take().is_empty());
    }
}
