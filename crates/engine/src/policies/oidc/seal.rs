//! What a cookie holds, so that nobody but a gateway can read or make it.
//!
//! AES-256-GCM under a key of its own for each cookie: HKDF-SHA256 (RFC 5869) expands the secret with what the cookie is for
//! and with random bytes that travel in front. So the bound on messages under one key (NIST SP 800-38D section 8.3) is not met
//! however many cookies there are. What it is for includes the client and the provider, so that two policies with one secret
//! cannot take each other's cookies.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use crate::base64;
use crate::jose;

/// Random bytes in front: half of them for the key, half for the nonce.
const RANDOM: usize = 2 * NONCE_LEN;

/// Secrets of one policy: the first seals, every one opens.
pub(super) struct Sealer {
    secrets: Box<[Prk]>,
    purpose: Box<[u8]>,
}

impl Sealer {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>, parts: &[&str]) -> Self {
        let salt = Salt::new(HKDF_SHA256, b"tidegate oidc 1");
        let mut purpose = Vec::new();
        for part in parts {
            purpose.extend_from_slice(&(part.len() as u64).to_le_bytes());
            purpose.extend_from_slice(part.as_bytes());
        }
        let secrets = secrets.into_iter().map(|secret| salt.extract(secret.as_bytes())).collect();
        Self { secrets, purpose: purpose.into() }
    }

    /// The text for a cookie.
    pub(super) fn seal(&self, kind: &str, plain: &[u8]) -> String {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random).expect("a system without random bytes cannot do TLS either");
        let mut sealed = plain.to_vec();
        let (key, nonce) = self.key(&self.secrets[0], kind, &random);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).expect("a cookie is shorter than 64 GiB");
        base64::url(&[&random, sealed.as_slice()].concat())
    }

    pub(super) fn open(&self, kind: &str, text: &[u8]) -> Option<Vec<u8>> {
        let bytes = jose::decode(text)?;
        let (random, sealed) = bytes.split_first_chunk::<RANDOM>()?;
        self.secrets.iter().find_map(|secret| {
            let mut sealed = sealed.to_vec();
            let (key, nonce) = self.key(secret, kind, random);
            let length = key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?.len();
            sealed.truncate(length);
            Some(sealed)
        })
    }

    fn key(&self, secret: &Prk, kind: &str, random: &[u8; RANDOM]) -> (LessSafeKey, Nonce) {
        let (salt, nonce) = random.split_at(NONCE_LEN);
        let info = [&self.purpose, kind.as_bytes(), b"\0", salt];
        let okm = secret.expand(&info, &AES_256_GCM).expect("a key is shorter than 255 hashes");
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("it has the length of a nonce");
        (LessSafeKey::new(UnboundKey::from(okm)), nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secrets: &[&str], parts: &[&str]) -> Sealer {
        Sealer::new(secrets.iter().copied(), parts)
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_for_the_same_purpose_only() {
        let one = sealer(&["one"], &["issuer", "client"]);
        let sealed = one.seal("session", b"text");
        assert_eq!(one.open("session", sealed.as_bytes()).as_deref(), Some(b"text".as_slice()));
        assert_eq!(one.open("login", sealed.as_bytes()), None);
        for (secret, parts) in
            [("two", ["issuer", "client"]), ("one", ["issuer", "other"]), ("one", ["issuerc", "lient"])]
        {
            assert_eq!(sealer(&[secret], &parts).open("session", sealed.as_bytes()), None);
        }
        assert_ne!(one.seal("session", b"text"), sealed);
    }

    #[test]
    fn secrets_rotate() {
        let sealed = sealer(&["old"], &[]).seal("session", b"text");
        let both = sealer(&["new", "old"], &[]);
        assert!(both.open("session", sealed.as_bytes()).is_some());
        let sealed = both.seal("session", b"text");
        assert!(sealer(&["new"], &[]).open("session", sealed.as_bytes()).is_some());
        assert!(sealer(&["old"], &[]).open("session", sealed.as_bytes()).is_none());
    }

    #[test]
    fn one_changed_or_missing_sign_opens_nothing() {
        let one = sealer(&["one"], &[]);
        let sealed = one.seal("session", b"text").into_bytes();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(one.open("session", &changed), None, "{at}");
            assert_eq!(one.open("session", &sealed[..at]), None, "{at}");
        }
    }
}
