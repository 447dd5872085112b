//! Whose tokens count, and the keys they are checked with.

use std::sync::Arc;

use crate::clock::Millis;
use crate::jose::{
    Algorithm, Expectations, Found, KeyRing, Refused, Token, Validity, VerifyingKey, parse_jwks, parse_pem,
};
use crate::key_sets::{KeySet, KeySets};
use crate::plan::{IssuerKeys, TokenIssuer};
use crate::problem::Problem;

pub(super) struct Issuer {
    algorithms: Box<[Algorithm]>,
    expectations: Expectations,
    pub(super) keys: Keys,
}

pub(super) enum Keys {
    Fixed(KeyRing),
    Remote(Arc<KeySet>),
}

/// A token that holds.
pub(super) struct Verified {
    pub(super) key: Arc<VerifyingKey>,
    pub(super) validity: Validity,
    /// Of the keys, when they are fetched.
    pub(super) generation: u64,
}

/// A token that does not hold, as far as is known.
pub(super) enum Unverified {
    Refused(Refused),
    /// Perhaps with newer keys than these. `refused` is what it is if they do not help.
    PerhapsLater {
        set: Arc<KeySet>,
        refused: Refused,
    },
}

impl Issuer {
    pub(super) fn compile(plan: &TokenIssuer, sets: &KeySets) -> Result<Self, Problem> {
        let algorithms = plan.algorithms.iter().map(|name| {
            let unknown = || Problem::new("algorithms", "config.bad_value", format!("there is no algorithm `{name}`"));
            Algorithm::named(name).ok_or_else(unknown)
        });
        let algorithms: Box<[Algorithm]> = algorithms.collect::<Result<_, _>>()?;
        if algorithms.is_empty() {
            return Err(Problem::new("algorithms", "config.missing", "there is no algorithm"));
        }
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
        let expectations = Expectations {
            issuer: plan.issuer.as_deref().map(Into::into),
            audiences: texts(&plan.audiences),
            subjects: texts(&plan.subjects),
            required: texts(&plan.required_claims),
            types: texts(&plan.types),
            leeway_ms: plan.leeway_ms,
            max_lifetime_ms: plan.max_lifetime_ms,
            requires_expiry: plan.requires_expiry,
        };
        let keys = Keys::compile(&plan.keys, &algorithms, sets)?;
        Ok(Self { algorithms, expectations, keys })
    }

    /// Whether a token that names this issuer and algorithm is for it to judge.
    pub(super) fn is_of(&self, token: &Token<'_>) -> bool {
        self.expectations.issuer.is_none() || self.expectations.issuer.as_deref() == token.issuer()
    }

    /// `wall`: milliseconds since the Unix epoch; `now`: of the engine's clock.
    pub(super) fn verify(&self, token: &Token<'_>, wall: u64, now: Millis) -> Result<Verified, Unverified> {
        if !self.algorithms.contains(&token.header.algorithm) {
            return Err(Unverified::Refused(Refused::AlgorithmNotAllowed));
        }
        let (key, generation) = match &self.keys {
            Keys::Fixed(ring) => (found(ring, token).map_err(|(refused, _)| Unverified::Refused(refused))?, 0),
            Keys::Remote(set) => match set.ring(now) {
                None => return Err(self.perhaps_later(token, wall, set, Refused::UnknownKey)),
                Some((ring, generation)) => match found(&ring, token) {
                    Ok(key) => (key, generation),
                    Err((refused, true)) => return Err(self.perhaps_later(token, wall, set, refused)),
                    Err((refused, false)) => return Err(Unverified::Refused(refused)),
                },
            },
        };
        let checked = self.expectations.check(&token.header, &token.claims, wall);
        let validity = checked.map_err(Unverified::Refused)?;
        Ok(Verified { key, validity, generation })
    }

    /// A token is worth a fetch only if nothing but its key is in doubt.
    fn perhaps_later(&self, token: &Token<'_>, wall: u64, set: &Arc<KeySet>, refused: Refused) -> Unverified {
        match self.expectations.check(&token.header, &token.claims, wall) {
            Ok(_) => Unverified::PerhapsLater { set: set.clone(), refused },
            Err(refused) => Unverified::Refused(refused),
        }
    }
}

impl Keys {
    fn compile(plan: &IssuerKeys, algorithms: &[Algorithm], sets: &KeySets) -> Result<Self, Problem> {
        let bad = |field: &str, message: String| Problem::new(field, "config.bad_key", message);
        let keys = match plan {
            IssuerKeys::Remote(source) => return Ok(Self::Remote(sets.of(source))),
            IssuerKeys::Secret(secret) => vec![VerifyingKey::secret(secret.as_bytes(), algorithms)],
            IssuerKeys::Jwks(text) => {
                let (keys, unused) = parse_jwks(text.as_bytes()).map_err(|error| bad("jwks", error.to_string()))?;
                // Keys that the document has itself are all meant; one that cannot be used is a mistake.
                if let Some(reason) = unused.into_iter().next() {
                    return Err(bad("jwks", reason));
                }
                keys
            }
            IssuerKeys::PublicKeys(texts) => {
                let mut keys = Vec::new();
                for (index, text) in texts.iter().enumerate() {
                    keys.extend(parse_pem(text).map_err(|reason| bad(&format!("public_key[{index}]"), reason))?);
                }
                keys
            }
        };
        if let Some(idle) = algorithms.iter().find(|algorithm| !keys.iter().any(|key| key.serves(**algorithm))) {
            return Err(Problem::new("algorithms", "config.bad_key", format!("no key serves `{}`", idle.name())));
        }
        Ok(Self::Fixed(KeyRing::new(keys)))
    }

    /// Whether what was verified with a key still holds; and the generation of the keys that say so.
    pub(super) fn still_have(&self, key: &Arc<VerifyingKey>, generation: u64, now: Millis) -> Option<u64> {
        let Self::Remote(set) = self else { return Some(generation) };
        if set.generation(now)? == generation {
            return Some(generation);
        }
        let (ring, generation) = set.ring(now)?;
        ring.contains(key).then_some(generation)
    }
}

/// The key that has signed; or why there is none, and whether newer keys may have it.
fn found(ring: &KeyRing, token: &Token<'_>) -> Result<Arc<VerifyingKey>, (Refused, bool)> {
    match ring.verify(token) {
        Found::Verified(key) => Ok(key),
        Found::Forged => Err((Refused::BadSignature, false)),
        Found::Unknown { tried: true } => Err((Refused::BadSignature, true)),
        Found::Unknown { tried: false } => Err((Refused::UnknownKey, true)),
    }
}
