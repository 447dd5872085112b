//! Keys that the gateway signs with, and what others need to check it.
//!
//! A [`KeyRing`] holds keys by the time from which they sign. All of them are published, so that a key is known before it
//! signs for the first time, and for as long as what it has signed may still be shown.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, Signature};
use rustc_hash::FxHashMap;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::base64;
use crate::plan;
use crate::problem::Problem;

/// What a key signs with (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Es256,
    EdDsa,
}

enum Pair {
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

/// One key, and the texts that are made of it once.
pub struct SigningKey {
    pair: Pair,
    /// Its thumbprint (RFC 7638), so that every gateway that has the key gives it the same name.
    kid: Box<str>,
    /// `{"alg":...,"kid":...,"typ":"JWT"}` in base64url, with the dot behind it.
    header: Box<[u8]>,
    /// Its public half as a JWK (RFC 7517).
    jwk: Box<str>,
    /// Unix seconds from which it signs.
    from: u64,
    /// Unix seconds from which it is not published any more.
    until: u64,
}

impl SigningKey {
    /// A key of a PEM file: EC on P-256 (PKCS#8 or SEC 1), or Ed25519 (PKCS#8). The message never quotes the text.
    pub fn from_pem(pem: &str, from: u64, until: u64) -> Result<Self, &'static str> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "expected a private key in PEM")?;
        let der = key.secret_der();
        let pair = match EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            Ok(pair) => Pair::Es256(Box::new(pair)),
            Err(_) => match Ed25519KeyPair::from_pkcs8(der) {
                Ok(pair) => Pair::EdDsa(Box::new(pair)),
                Err(_) => return Err("expected an EC key on the curve P-256, or an Ed25519 key"),
            },
        };
        Ok(Self::of(pair, from, until))
    }

    fn of(pair: Pair, from: u64, until: u64) -> Self {
        let (algorithm, members) = match &pair {
            Pair::Es256(pair) => {
                // An uncompressed point (SEC 1 section 2.3.3): 4, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (base64::url(x), base64::url(y));
                ("ES256", format!(r#""crv":"P-256","kty":"EC","x":"{x}","y":"{y}""#))
            }
            Pair::EdDsa(pair) => {
                let x = base64::url(pair.public_key().as_ref());
                ("EdDSA", format!(r#""crv":"Ed25519","kty":"OKP","x":"{x}""#))
            }
        };
        let kid = base64::url(digest(&SHA256, format!("{{{members}}}").as_bytes()).as_ref());
        let mut header = Vec::new();
        base64::push_url(&mut header, format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"JWT"}}"#).as_bytes());
        header.push(b'.');
        let jwk = format!(r#"{{{members},"kid":"{kid}","alg":"{algorithm}","use":"sig"}}"#);
        Self { pair, kid: kid.into(), header: header.into(), jwk: jwk.into(), from, until }
    }

    /// What tokens and the published set know it by.
    pub fn name(&self) -> &str {
        &self.kid
    }

    /// Appends a token (RFC 7519, JWS compact serialization) with this payload.
    pub fn write_token(&self, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.header);
        base64::push_url(out, payload);
        let signature = self.sign(&out[start..]);
        out.push(b'.');
        base64::push_url(out, signature.as_ref());
    }

    fn sign(&self, message: &[u8]) -> Signature {
        match &self.pair {
            Pair::Es256(pair) => pair.sign(&SystemRandom::new(), message).expect("a valid key signs whatever there is"),
            Pair::EdDsa(pair) => pair.sign(message),
        }
    }
}

/// A new key in PEM (PKCS#8).
pub fn make_key(algorithm: Algorithm) -> String {
    let made = match algorithm {
        Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).and_then(|pair| pair.to_pkcs8v1()),
        Algorithm::EdDsa => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
    };
    let document = made.expect("a system without random bytes cannot do TLS either");
    let mut encoded = Vec::new();
    base64::push_plain(&mut encoded, document.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in encoded.chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

/// The keys of one issuer.
#[derive(Default)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
}

impl KeyRing {
    pub fn new(keys: Vec<SigningKey>) -> Self {
        Self { keys }
    }

    /// The key that signs at a time (Unix seconds): of those that may, the one that came last; of several, the first.
    pub fn signer(&self, now: u64) -> Option<&SigningKey> {
        let able = self.keys.iter().filter(|key| key.from <= now && now < key.until);
        able.reduce(|best, key| if key.from > best.from { key } else { best })
    }

    fn published(&self, now: u64) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(move |key| now < key.until).map(|key| &*key.jwk)
    }
}

/// The public keys of several rings as a JWK set (RFC 7517 section 5); a key that is in two of them is in it once.
pub fn write_key_set<'a>(rings: impl IntoIterator<Item = &'a KeyRing>, now: u64, out: &mut String) {
    let mut written: Vec<&str> = Vec::new();
    for jwk in rings.into_iter().flat_map(|ring| ring.published(now)) {
        if !written.contains(&jwk) {
            written.push(jwk);
        }
    }
    let _ = write!(out, "{{\"keys\":[{}]}}", written.join(","));
}

/// Rings whose keys are made and kept outside of the document, by the name of where they are kept.
///
/// Whoever keeps them (Python) puts them here, and again whenever they change; what signs and what publishes looks here.
#[derive(Default)]
pub struct Kept(Mutex<FxHashMap<Box<str>, Arc<ArcSwap<KeyRing>>>>);

impl Kept {
    /// The ring of that name; empty until somebody has put keys into it.
    pub fn ring(&self, name: &str) -> Arc<ArcSwap<KeyRing>> {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rings.get(name) {
            Some(ring) => ring.clone(),
            None => rings.entry(name.into()).or_default().clone(),
        }
    }

    /// Puts keys in the place of those that are there.
    pub fn put(&self, name: &str, ring: KeyRing) {
        self.ring(name).store(Arc::new(ring));
    }
}

/// Where a policy or an action finds its keys.
pub enum Ring {
    Given(Arc<KeyRing>),
    Kept(Arc<ArcSwap<KeyRing>>),
}

impl Ring {
    /// Problems have a path relative to whatever has the keys: `keys[1]`.
    pub fn compile(plan: &plan::SigningKeys, kept: &Kept) -> Result<Self, Problem> {
        let given = match plan {
            plan::SigningKeys::Kept(name) => return Ok(Self::Kept(kept.ring(name))),
            plan::SigningKeys::Given(given) => given,
        };
        let parse = |(index, pem): (usize, &plan::Secret)| {
            SigningKey::from_pem(pem, 0, u64::MAX)
                .map_err(|message| Problem::new(format!("keys[{index}]"), "config.bad_pem", message))
        };
        let keys = given.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self::Given(Arc::new(KeyRing::new(keys))))
    }

    /// The keys as they are now.
    pub fn load(&self) -> Arc<KeyRing> {
        match self {
            Self::Given(ring) => ring.clone(),
            Self::Kept(ring) => ring.load_full(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
    use serde_json::Value;

    fn unbase64(text: &str) -> Vec<u8> {
        let letter = |byte: u8| {
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            letters.iter().position(|letter| *letter == byte).unwrap() as u32
        };
        let mut out = Vec::new();
        for four in text.as_bytes().chunks(4) {
            let bits = four.iter().enumerate().fold(0, |bits, (index, byte)| bits | letter(*byte) << (18 - 6 * index));
            out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
        }
        out
    }

    fn key(algorithm: Algorithm, from: u64, until: u64) -> SigningKey {
        SigningKey::from_pem(&make_key(algorithm), from, until).unwrap()
    }

    fn member(json: &[u8], name: &str) -> String {
        let value: Value = serde_json::from_slice(json).unwrap();
        value[name].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_token_is_checked_by_what_is_published() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let key = key(algorithm, 0, 9);
            let mut token = Vec::new();
            key.write_token(br#"{"sub":"ann"}"#, &mut token);
            let token = String::from_utf8(token).unwrap();
            let (message, signature) = token.rsplit_once('.').unwrap();
            let (header, payload) = message.split_once('.').unwrap();
            assert_eq!(unbase64(payload), br#"{"sub":"ann"}"#);
            let jwk = key.jwk.as_bytes();
            assert_eq!(member(&unbase64(header), "kid"), member(jwk, "kid"));
            assert_eq!(member(&unbase64(header), "alg"), member(jwk, "alg"));
            let (verify, public): (&'static dyn aws_lc_rs::signature::VerificationAlgorithm, Vec<u8>) = match algorithm
            {
                Algorithm::Es256 => {
                    let point = [&[4][..], &unbase64(&member(jwk, "x")), &unbase64(&member(jwk, "y"))].concat();
                    (&ECDSA_P256_SHA256_FIXED, point)
                }
                Algorithm::EdDsa => (&ED25519, unbase64(&member(jwk, "x"))),
            };
            UnparsedPublicKey::new(verify, public).verify(message.as_bytes(), &unbase64(signature)).unwrap();
        }
    }

    #[test]
    fn a_key_keeps_its_name() {
        let pem = make_key(Algorithm::Es256);
        let jwk = |pem: &str| SigningKey::from_pem(pem, 0, 1).unwrap().jwk;
        assert_eq!(jwk(&pem), jwk(&pem));
        assert_ne!(jwk(&pem), jwk(&make_key(Algorithm::Es256)));
    }

    #[test]
    fn what_is_no_fit_key_is_refused() {
        let rsa = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        for (pem, message) in [
            ("", "expected a private key in PEM"),
            ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "expected a private key in PEM"),
            (rsa, "expected an EC key on the curve P-256, or an Ed25519 key"),
        ] {
            assert_eq!(SigningKey::from_pem(pem, 0, 1).err(), Some(message), "{pem}");
        }
    }

    #[test]
    fn the_key_that_came_last_signs_and_all_are_published_until_their_time() {
        let ring = KeyRing::new(vec![
            key(Algorithm::Es256, 0, 30),
            key(Algorithm::EdDsa, 10, 40),
            key(Algorithm::Es256, 20, 50),
            key(Algorithm::Es256, 20, 50),
        ]);
        let signs = |now| {
            let signer = ring.signer(now)?;
            ring.keys.iter().position(|key| std::ptr::eq(key, signer))
        };
        for (now, signer, published) in
            [(0, Some(0), 4), (9, Some(0), 4), (10, Some(1), 4), (20, Some(2), 4), (30, Some(2), 3), (50, None, 0)]
        {
            let mut set = String::new();
            write_key_set([&ring, &ring], now, &mut set);
            let set: Value = serde_json::from_str(&set).unwrap();
            assert_eq!((signs(now), set["keys"].as_array().unwrap().len()), (signer, published), "{now}");
        }
    }
}
