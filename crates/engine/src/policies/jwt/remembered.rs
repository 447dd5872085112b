//! Tokens that were verified, so that each is verified once a worker.
//!
//! What is found is compared whole: a token that differs in one bit is another token. Found are tokens by their last bytes, which
//! are the signature's and so differ from token to token; a forger can share them, and has then found nothing. Only tokens
//! that hold come in, so nobody fills the table who has no key. Two generations bound it: what was not used for a whole one goes,
//! as much of it as comes, so that no request pays for all of it.
//!
//! What comes is written behind what came before, and goes with its generation: while new tokens come that are never seen
//! again, nothing is asked of the allocator, and nothing that lies cold in memory is looked for to be freed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::kept::Kept;
use super::texts::{Text, Texts};
use crate::identity::Identity;
use crate::jose::VerifyingKey;

/// About what one worker keeps, in both generations together.
const MOST_BYTES: usize = 16 << 20;
/// What an entry takes beside its texts, when its identity is ready.
const ENTRY_BYTES: usize = 320;
/// How much of a token's end tells it from others.
const TAIL_BYTES: usize = 48;

#[derive(Default)]
pub struct RememberedTokens {
    hasher: RandomState,
    young: Generation,
    old: Generation,
    /// What is being forgotten.
    gone: Vec<Entry>,
    /// Memory of texts that were forgotten.
    spare: Vec<Vec<u8>>,
}

/// Where a token would be.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

#[derive(Default)]
struct Generation {
    /// Which of the entries is at a place.
    places: FxHashMap<u64, u32>,
    /// In the order in which they came, also those in whose place is another one now.
    entries: Vec<Entry>,
    texts: Texts,
    /// What the entries take beside the texts.
    bytes: usize,
}

struct Entry {
    /// The token, and behind it what [`Kept`] has written.
    text: Text,
    token_bytes: u32,
    /// What it takes, for the sake of which it is forgotten.
    bytes: u32,
    known: Remembered,
    identity: Kept,
}

/// Why a token was believed.
#[derive(Clone)]
pub(super) struct Remembered {
    /// The policy that verified it; another may ask for more.
    pub(super) policy: u64,
    /// Index of the issuer in the policy.
    pub(super) issuer: usize,
    pub(super) key: Arc<VerifyingKey>,
    /// Of the issuer's keys.
    pub(super) generation: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) until: u64,
}

/// A token that was verified before.
pub(super) struct Found<'a> {
    entry: &'a mut Entry,
    texts: &'a Texts,
}

impl<'a> Found<'a> {
    pub(super) fn known(&mut self) -> &mut Remembered {
        &mut self.entry.known
    }

    pub(super) fn identity(self) -> &'a Arc<Identity> {
        self.entry.identity.ready(self.texts.at(self.entry.text), self.entry.token_bytes as usize)
    }
}

impl RememberedTokens {
    pub(super) fn place(&self, policy: u64, token: &[u8]) -> Place {
        let tail = &token[token.len().saturating_sub(TAIL_BYTES)..];
        Place(self.hasher.hash_one((policy, tail)))
    }

    pub(super) fn get(&mut self, place: Place, policy: u64, token: &[u8]) -> Option<Found<'_>> {
        if !self.young.places.contains_key(&place.0) {
            let mut found = self.old.find(place, policy, token)?;
            let (known, identity) = (found.known().clone(), found.identity().clone());
            self.insert(place, token, known, &identity, true);
        }
        self.young.find(place, policy, token)
    }

    pub(super) fn remember(&mut self, place: Place, token: &[u8], known: Remembered, identity: &Arc<Identity>) {
        self.insert(place, token, known, identity, false);
    }

    pub fn clear(&mut self) {
        *self = Self { hasher: self.hasher.clone(), ..Self::default() };
    }

    /// `used`: it was found, so its identity is wanted ready.
    fn insert(&mut self, place: Place, token: &[u8], known: Remembered, identity: &Arc<Identity>, used: bool) {
        // As text and ready, so that one that becomes ready takes no more than it was let in with.
        let bytes = ENTRY_BYTES + token.len() + 2 * identity.bytes();
        if self.young.bytes + bytes > MOST_BYTES / 2 {
            self.grow_old();
        }
        self.forget(bytes);
        let Generation { places, entries, texts, bytes: all } = &mut self.young;
        let (text, identity) = match used {
            true => (texts.add(&[token], &mut self.spare), Kept::Ready(identity.clone())),
            false => Kept::write(token, identity, texts, &mut self.spare),
        };
        let number = |number: usize| u32::try_from(number).expect("a head is far below 4 GiB");
        // What was at this place in the old generation is not looked for any more.
        places.insert(place.0, number(entries.len()));
        entries.push(Entry { text, token_bytes: number(token.len()), bytes: number(bytes), known, identity });
        *all += bytes;
    }

    /// What is young becomes old, and what is old is gone; the memory of what is gone already is used for what comes.
    fn grow_old(&mut self) {
        let young = std::mem::take(&mut self.young);
        let Generation { mut places, entries, texts, .. } = std::mem::replace(&mut self.old, young);
        texts.empty_into(&mut self.spare);
        places.clear();
        // What is left of those before is less than one entry may take: both generations were full.
        self.gone.clear();
        let empty = std::mem::replace(&mut self.gone, entries);
        self.young = Generation { places, entries: empty, ..Generation::default() };
    }

    /// Forgets as many bytes as come, or a few more.
    fn forget(&mut self, mut bytes: usize) {
        while bytes > 0
            && let Some(entry) = self.gone.pop()
        {
            bytes = bytes.saturating_sub(entry.bytes as usize);
        }
    }
}

impl Generation {
    fn find(&mut self, place: Place, policy: u64, token: &[u8]) -> Option<Found<'_>> {
        let index = *self.places.get(&place.0)?;
        let (entry, texts) = (&mut self.entries[index as usize], &self.texts);
        let is_it = entry.known.policy == policy && texts.at(entry.text)[..entry.token_bytes as usize] == *token;
        is_it.then_some(Found { entry, texts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(policy: u64) -> Remembered {
        Remembered { policy, issuer: 0, key: Arc::new(VerifyingKey::secret(b"", &[])), generation: 0, until: 0 }
    }

    fn remember(tokens: &mut RememberedTokens, policy: u64, token: &str) {
        let identity = Identity { subject: token.get(..8).unwrap_or(token).into(), ..Identity::default() };
        let place = tokens.place(policy, token.as_bytes());
        tokens.remember(place, token.as_bytes(), known(policy), &Arc::new(identity));
    }

    fn find(tokens: &mut RememberedTokens, policy: u64, token: &str) -> Option<Arc<Identity>> {
        let place = tokens.place(policy, token.as_bytes());
        tokens.get(place, policy, token.as_bytes()).map(|found| found.identity().clone())
    }

    fn is_found(tokens: &mut RememberedTokens, policy: u64, token: &str) -> bool {
        find(tokens, policy, token).is_some_and(|identity| token.starts_with(identity.subject().unwrap()))
    }

    #[test]
    fn a_token_is_found_by_the_policy_that_verified_it_and_whole() {
        let mut tokens = RememberedTokens::default();
        let tail = "t".repeat(TAIL_BYTES);
        remember(&mut tokens, 1, &format!("a{tail}"));
        assert!(is_found(&mut tokens, 1, &format!("a{tail}")));
        assert!(!is_found(&mut tokens, 2, &format!("a{tail}")));
        assert!(!is_found(&mut tokens, 1, &format!("b{tail}")));
        assert!(!is_found(&mut tokens, 1, &tail));
        assert!(!is_found(&mut tokens, 1, ""));
        tokens.clear();
        assert!(!is_found(&mut tokens, 1, &format!("a{tail}")));
    }

    #[test]
    fn all_who_show_a_token_share_one_identity() {
        let mut tokens = RememberedTokens::default();
        remember(&mut tokens, 1, "token");
        let first = find(&mut tokens, 1, "token").unwrap();
        assert!(Arc::ptr_eq(&first, &find(&mut tokens, 1, "token").unwrap()));
        tokens.grow_old();
        assert!(Arc::ptr_eq(&first, &find(&mut tokens, 1, "token").unwrap()));
        tokens.grow_old();
        tokens.grow_old();
        assert!(!is_found(&mut tokens, 1, "token"));
    }

    #[test]
    fn a_flood_of_tokens_is_bounded_and_what_is_used_stays() {
        let mut tokens = RememberedTokens::default();
        remember(&mut tokens, 1, "used");
        for number in 0..30_000_u32 {
            remember(&mut tokens, 1, &format!("{number:01000}"));
            assert!(is_found(&mut tokens, 1, "used"), "{number}");
            let before = number.saturating_sub(1000);
            assert!(is_found(&mut tokens, 1, &format!("{before:01000}")), "{before}");
        }
        for generation in [&tokens.young, &tokens.old] {
            let bytes: usize = generation.entries.iter().map(|entry| entry.bytes as usize).sum();
            assert_eq!(generation.bytes, bytes);
            assert!(bytes <= MOST_BYTES / 2);
        }
        assert!(!tokens.old.entries.is_empty());
        assert!(tokens.spare.len() < MOST_BYTES / (64 << 10), "{}", tokens.spare.len());
    }

    #[test]
    fn one_token_that_is_verified_again_and_again_is_bounded_too() {
        let mut tokens = RememberedTokens::default();
        let token = "x".repeat(1000);
        for _ in 0..30_000 {
            remember(&mut tokens, 1, &token);
        }
        assert!(is_found(&mut tokens, 1, &token));
        assert!(tokens.young.bytes <= MOST_BYTES / 2 && tokens.old.bytes <= MOST_BYTES / 2);
        assert_eq!((tokens.young.places.len(), tokens.old.places.len()), (1, 1));
    }

    #[test]
    fn another_token_with_the_same_end_neither_finds_nor_keeps_it() {
        let mut tokens = RememberedTokens::default();
        let [mine, other] = ["a", "b"].map(|start| format!("{start}{}", "t".repeat(TAIL_BYTES)));
        remember(&mut tokens, 1, &mine);
        tokens.grow_old();
        assert!(!is_found(&mut tokens, 1, &other));
        assert!(tokens.young.entries.is_empty());
        assert!(is_found(&mut tokens, 1, &mine));
        remember(&mut tokens, 1, &other);
        assert!(is_found(&mut tokens, 1, &other) && !is_found(&mut tokens, 1, &mine));
    }

    #[test]
    fn what_goes_is_gone_when_more_goes_whatever_its_size() {
        let mut tokens = RememberedTokens::default();
        let mut rounds = 0;
        for number in 0..120_000 {
            let left = tokens.gone.len();
            let size = if number / 17_000 % 2 == 0 { 60 + number % 50 } else { 900 - number % 90 };
            remember(&mut tokens, 1, &format!("{number:0size$}"));
            if tokens.gone.len() > left {
                rounds += 1;
                assert!(left < 5, "{number}: {left}");
            }
        }
        assert!(rounds > 3);
    }
}
