//! Tokens that were verified, so that each is verified once a worker.
//!
//! What is found is compared whole: a token that differs in one bit is another token. Found are tokens by their last bytes, which
//! are the signature's and so differ from token to token; a forger can share them, and has then found nothing. Only tokens
//! that hold come in, so nobody fills the table who has no key. Two generations bound it: what was not used for a whole one goes,
//! two for each that comes, so that no request pays for all of them, and memory is used again while it is warm.

use std::collections::hash_map;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::identity::Identity;
use crate::jose::VerifyingKey;

/// About what one worker keeps, in both generations together.
const MOST_BYTES: usize = 32 << 20;
/// What an entry takes beside its token and its claims.
const ENTRY_BYTES: usize = 512;
/// Claims as values take this many times their length as text, about.
const CLAIMS_FACTOR: usize = 4;
/// How much of a token's end tells it from others.
const TAIL_BYTES: usize = 48;

#[derive(Default)]
pub struct RememberedTokens {
    hasher: RandomState,
    young: Generation,
    old: Generation,
    /// What is being forgotten.
    gone: Option<hash_map::IntoIter<u64, Remembered>>,
}

#[derive(Default)]
struct Generation {
    entries: FxHashMap<u64, Remembered>,
    bytes: usize,
}

pub(super) struct Remembered {
    /// The policy that verified it; another may ask for more.
    pub(super) policy: u64,
    pub(super) token: Box<[u8]>,
    /// Index of the issuer in the policy.
    pub(super) issuer: usize,
    pub(super) key: Arc<VerifyingKey>,
    /// Of the issuer's keys.
    pub(super) generation: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) until: u64,
    pub(super) identity: Arc<Identity>,
}

impl Remembered {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.token.len() * (1 + CLAIMS_FACTOR)
    }
}

impl RememberedTokens {
    pub(super) fn get(&mut self, policy: u64, token: &[u8]) -> Option<&mut Remembered> {
        let place = self.place(policy, token);
        if !self.young.entries.contains_key(&place) {
            let entry = self.old.take(place)?;
            self.insert(place, entry);
        }
        let entry = self.young.entries.get_mut(&place)?;
        (entry.policy == policy && *entry.token == *token).then_some(entry)
    }

    pub(super) fn remember(&mut self, entry: Remembered) {
        let place = self.place(entry.policy, &entry.token);
        self.old.take(place);
        self.insert(place, entry);
    }

    pub fn clear(&mut self) {
        self.young = Generation::default();
        self.old = Generation::default();
        self.gone = None;
    }

    fn insert(&mut self, place: u64, entry: Remembered) {
        if self.young.bytes + entry.bytes() > MOST_BYTES / 2 {
            let entries = FxHashMap::with_capacity_and_hasher(self.young.entries.len(), Default::default());
            let young = std::mem::replace(&mut self.young, Generation { entries, bytes: 0 });
            self.gone = Some(std::mem::replace(&mut self.old, young).entries.into_iter());
        }
        if let Some(gone) = &mut self.gone {
            // The generation that comes is not larger than both of those before: none is left when the next one goes.
            gone.next();
            if gone.next().is_none() {
                self.gone = None;
            }
        }
        self.young.take(place);
        self.young.bytes += entry.bytes();
        self.young.entries.insert(place, entry);
    }

    fn place(&self, policy: u64, token: &[u8]) -> u64 {
        let tail = &token[token.len().saturating_sub(TAIL_BYTES)..];
        self.hasher.hash_one((policy, tail))
    }
}

impl Generation {
    fn take(&mut self, place: u64) -> Option<Remembered> {
        let entry = self.entries.remove(&place)?;
        self.bytes -= entry.bytes();
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(policy: u64, token: &str) -> Remembered {
        Remembered {
            policy,
            token: token.as_bytes().into(),
            issuer: 0,
            key: Arc::new(VerifyingKey::secret(b"", &[])),
            generation: 0,
            until: 0,
            identity: Arc::default(),
        }
    }

    #[test]
    fn a_token_is_found_by_the_policy_that_verified_it_and_whole() {
        let mut tokens = RememberedTokens::default();
        let tail = "t".repeat(TAIL_BYTES);
        tokens.remember(entry(1, &format!("a{tail}")));
        assert!(tokens.get(1, format!("a{tail}").as_bytes()).is_some());
        assert!(tokens.get(2, format!("a{tail}").as_bytes()).is_none());
        assert!(tokens.get(1, format!("b{tail}").as_bytes()).is_none());
        assert!(tokens.get(1, b"").is_none());
        tokens.clear();
        assert!(tokens.get(1, format!("a{tail}").as_bytes()).is_none());
    }

    #[test]
    fn a_flood_of_tokens_is_bounded_and_what_is_used_stays() {
        let mut tokens = RememberedTokens::default();
        tokens.remember(entry(1, "used"));
        for number in 0..30_000 {
            tokens.remember(entry(1, &format!("{number:01000}")));
            assert!(tokens.get(1, b"used").is_some(), "{number}");
        }
        for generation in [&tokens.young, &tokens.old] {
            let bytes: usize = generation.entries.values().map(Remembered::bytes).sum();
            assert_eq!(generation.bytes, bytes);
            assert!(bytes <= MOST_BYTES / 2);
        }
        assert!(!tokens.old.entries.is_empty());
    }
}
