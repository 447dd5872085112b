//! What is limited, as a number: the limit's namespace and the key of the request under a secret hash.
//!
//! The secret is drawn anew by every engine, so nobody can choose keys that meet, in the table or in one place of it. Two keys
//! of a billion meet by chance once in 10^20 engines.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher as _;

use crate::limits::quota::QuotaKey;

/// A key, hashed. Zero stands for a free place and is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    pub(super) const NONE: Self = Self(0);

    /// That of a quota, which is a hash already.
    pub fn of_quota(key: QuotaKey) -> Self {
        Self(key.0.max(1))
    }

    /// Another key for each number.
    pub fn variant(self, number: u32) -> Self {
        Self((self.0 ^ u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).max(1))
    }

    pub(super) fn halves(self) -> (u64, u64) {
        ((self.0 >> 64) as u64, self.0 as u64)
    }
}

/// The secret.
pub struct Hasher(u64, u64);

impl Default for Hasher {
    fn default() -> Self {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).expect("a system without random bytes cannot do TLS either");
        let secret = u128::from_le_bytes(secret);
        Self((secret >> 64) as u64, secret as u64)
    }
}

impl Hasher {
    /// What keeps the keys of one limit apart from those of all others. Each part is kept apart from the next.
    pub fn namespace(&self, parts: &[&[u8]]) -> Namespace {
        let mut state = SipHasher13::new_with_keys(self.0, self.1);
        for part in parts {
            state.write_u64(part.len() as u64);
            state.write(part);
        }
        Namespace(state)
    }
}

/// The hash of a limit, which goes on with the key of a request.
#[derive(Clone, Copy)]
pub struct Namespace(SipHasher13);

impl Namespace {
    pub fn key(&self, text: &[u8]) -> Key {
        let mut state = self.0;
        state.write(text);
        Key(state.finish128().as_u128().max(1))
    }
}

/// Finds keys in a map by a part of themselves: they are hashes already.
#[derive(Default)]
pub struct Hashed(u64);

impl std::hash::Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}
