//! The keys of one issuer.

use std::sync::Arc;

use super::key::VerifyingKey;
use super::token::Token;

/// Keys that a token without a `kid` is tried with, at most: each costs a signature check, and anyone can ask for it.
const MAX_TRIES: usize = 8;

/// Keys by name. A key without a name may serve any token, and a token without a name any key.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: Box<[Arc<VerifyingKey>]>,
}

/// What the keys say about a token.
#[derive(Debug)]
pub enum Found {
    Verified(Arc<VerifyingKey>),
    /// The key it names is here and says no.
    Forged,
    /// No key here is surely meant: it may be newer than the keys. `tried`: some were, in vain.
    Unknown {
        tried: bool,
    },
}

impl KeyRing {
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        Self { keys: keys.into_iter().map(Arc::new).collect() }
    }

    /// The same keys, where `previous` has them already: what was verified with them stays verified.
    pub fn taking_over(self, previous: &Self) -> Self {
        let known = |key: Arc<VerifyingKey>| previous.keys.iter().find(|old| old.is(&key)).cloned().unwrap_or(key);
        Self { keys: self.keys.into_iter().map(known).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether this very key is among them.
    pub fn contains(&self, key: &Arc<VerifyingKey>) -> bool {
        self.keys.iter().any(|known| Arc::ptr_eq(known, key))
    }

    /// Whether all keys of both are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.contains(key))
    }

    pub fn verify(&self, token: &Token<'_>) -> Found {
        let algorithm = token.header.algorithm;
        let wanted = token.header.kid.as_deref();
        let mut tries = 0;
        let mut named = false;
        for key in &self.keys {
            let is_named = wanted.is_some() && key.kid.as_deref() == wanted;
            if !(is_named || wanted.is_none() || key.kid.is_none()) {
                continue;
            }
            named |= is_named;
            if !key.serves(algorithm) {
                continue;
            }
            if tries == MAX_TRIES {
                break;
            }
            tries += 1;
            if key.verify(algorithm, token.signed, &token.signature) {
                return Found::Verified(Arc::clone(key));
            }
        }
        if named { Found::Forged } else { Found::Unknown { tried: tries > 0 } }
    }
}
