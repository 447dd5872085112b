//! What an authority said about a credential, kept for as long as it holds.
//!
//! `introspection` and `forward_auth` ask a service about what a client presents. Verdicts are found by a digest, so that no
//! credential stays in memory; the table is bounded, whatever clients present; and of all that wait for the same verdict, on
//! whatever worker, one asks. When that one gives up (its client left), the next one asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::OnceCell;

use crate::policies::generations::Generations;

/// A power of two; each stripe has a lock of its own.
const STRIPES: usize = 16;

/// What a verdict is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// A verdict, and when it must be asked for again: milliseconds since the Unix epoch, 0 for at once.
#[derive(Clone)]
pub struct Verdict<T> {
    pub value: T,
    pub until: u64,
    /// It is for the one request it was asked for, and not even for those that wait for the same.
    pub alone: bool,
}

type Place<T> = Arc<OnceCell<Verdict<T>>>;
type Stripe<T> = Generations<Key, Place<T>>;

pub struct Verdicts<T> {
    stripes: [Mutex<Stripe<T>>; STRIPES],
    /// Keeps clients from choosing where their credentials go.
    seed: [u8; 16],
}

impl<T: Clone> Verdicts<T> {
    /// Keeps about `most` verdicts, and never more.
    pub fn new(most: usize) -> Self {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).expect("the system has randomness");
        Self { stripes: std::array::from_fn(|_| Mutex::new(Generations::new(most / STRIPES))), seed }
    }

    /// The key of a question made of these parts; no two lists of parts share one.
    pub fn key<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let mut digest = Context::new(&SHA256);
        digest.update(&self.seed);
        for part in parts {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest.finish().as_ref());
        Key(key)
    }

    /// A verdict that holds; `now` in milliseconds since the Unix epoch.
    pub fn get(&self, key: &Key, now: u64) -> Option<T> {
        let mut stripe = self.stripe(key);
        let verdict = stripe.get(key)?.get()?;
        (now < verdict.until).then(|| verdict.value.clone())
    }

    /// The verdict that holds, or the one that whoever asks first comes back with.
    pub async fn get_or_ask(&self, key: Key, now: u64, ask: impl AsyncFnOnce() -> Verdict<T>) -> T {
        let place = self.place(&key, now);
        let mut ask = Some(ask);
        let first = || {
            let ask = ask.take();
            async move { ask.expect("a place is filled once")().await }
        };
        let verdict = place.get_or_init(first).await;
        if verdict.until <= now {
            self.forget(&key, &place);
        }
        match ask {
            Some(ask) if verdict.alone => ask().await.value,
            _ => verdict.value.clone(),
        }
    }

    /// Where the verdict is, or will be.
    fn place(&self, key: &Key, now: u64) -> Place<T> {
        let mut stripe = self.stripe(key);
        if let Some(place) = stripe.get(key)
            && place.get().is_none_or(|verdict| now < verdict.until)
        {
            return place.clone();
        }
        let place = Place::default();
        stripe.insert(*key, place.clone());
        place
    }

    fn forget(&self, key: &Key, place: &Place<T>) {
        self.stripe(key).remove_if(key, |known| Arc::ptr_eq(known, place));
    }

    fn stripe(&self, key: &Key) -> MutexGuard<'_, Stripe<T>> {
        // Nothing under the lock can panic half way.
        self.stripes[usize::from(key.0[31]) % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let count = |stripe: &Mutex<Stripe<T>>| stripe.lock().map_or(0, |stripe| stripe.len());
        self.stripes.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn no_two_lists_of_parts_share_a_key() {
        let verdicts = Verdicts::<()>::new(16);
        let lists: [&[&[u8]]; 6] = [&[], &[b""], &[b"ab"], &[b"a", b"b"], &[b"", b"ab"], &[b"ab", b""]];
        for (index, left) in lists.iter().enumerate() {
            for (other, right) in lists.iter().enumerate() {
                let same = verdicts.key(left.iter().copied()) == verdicts.key(right.iter().copied());
                assert_eq!(same, index == other, "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn a_verdict_holds_until_its_time_and_is_asked_for_once_meanwhile() {
        run(async {
            let verdicts = Verdicts::new(16);
            let key = verdicts.key([b"token".as_slice()]);
            let asked = Cell::new(0);
            let ask = |until| {
                let asked = &asked;
                async move || {
                    asked.set(asked.get() + 1);
                    Verdict { value: asked.get(), until, alone: false }
                }
            };
            assert_eq!(verdicts.get_or_ask(key, 10, ask(20)).await, 1);
            assert_eq!((verdicts.get(&key, 19), verdicts.get(&key, 20)), (Some(1), None));
            assert_eq!(verdicts.get_or_ask(key, 19, ask(30)).await, 1);
            assert_eq!(verdicts.get_or_ask(key, 20, ask(0)).await, 2);
            assert_eq!((verdicts.get(&key, 0), verdicts.len()), (None, 0));
        });
    }

    #[test]
    fn of_all_that_wait_one_asks_and_the_next_takes_over_when_it_gives_up() {
        run(async {
            let verdicts = Verdicts::new(16);
            let key = verdicts.key([b"token".as_slice()]);
            let never = verdicts.get_or_ask(key, 0, async || std::future::pending().await);
            let mut never = Box::pin(never);
            let mut second =
                Box::pin(verdicts.get_or_ask(key, 0, async || Verdict { value: 2, until: 9, alone: false }));
            let mut third =
                Box::pin(verdicts.get_or_ask(key, 0, async || Verdict { value: 3, until: 9, alone: false }));
            for waiting in [&mut never as &mut (dyn Future<Output = i32> + Unpin), &mut second, &mut third] {
                let polled =
                    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *waiting).poll(cx)));
                assert!(polled.await.is_pending());
            }
            drop(never);
            assert_eq!((second.await, third.await), (2, 2));
        });
    }

    // A cookie that an auth service has set for one request went out with all that had waited for its decision.
    #[test]
    fn what_is_for_one_request_alone_is_not_shared_with_those_that_wait() {
        run(async {
            let verdicts = Verdicts::new(16);
            let key = verdicts.key([b"token".as_slice()]);
            let ask = |value| {
                let verdicts = &verdicts;
                async move {
                    let ask = async || {
                        tokio::task::yield_now().await;
                        Verdict { value, until: 0, alone: true }
                    };
                    verdicts.get_or_ask(key, 1, ask).await
                }
            };
            assert_eq!(tokio::join!(ask(1), ask(2), ask(3)), (1, 2, 3));
            assert_eq!(verdicts.len(), 0);
        });
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_what_is_used_stays() {
        run(async {
            let verdicts = Verdicts::new(320);
            let used = verdicts.key([b"used".as_slice()]);
            verdicts.get_or_ask(used, 0, async || Verdict { value: 0, until: 9, alone: false }).await;
            for number in 0..10_000_u32 {
                let key = verdicts.key([number.to_le_bytes().as_slice()]);
                verdicts.get_or_ask(key, 0, async || Verdict { value: number, until: 9, alone: false }).await;
                assert_eq!(verdicts.get(&used, 0), Some(0));
            }
            assert!(verdicts.len() <= 320, "{}", verdicts.len());
        });
    }
}
