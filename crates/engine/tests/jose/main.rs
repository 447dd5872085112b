//! Tokens and keys: the examples of the RFCs verify, and nothing that merely resembles them does.
#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod hostile;
mod keys;
mod vectors;

use tidegate_engine::jose::{Algorithm, VerifyingKey, decode, parse_jwks};
use vectors::VECTORS;

/// The key of a vector.
fn key(vector: &vectors::Vector) -> VerifyingKey {
    if !vector.key.starts_with('{') {
        return VerifyingKey::secret(&decode(vector.key.as_bytes()).unwrap(), &[algorithm(vector)]);
    }
    jwk(vector.key).unwrap()
}

/// One key of a JWK, or why there is none.
fn jwk(text: &str) -> Result<VerifyingKey, String> {
    let (mut keys, mut unused) = parse_jwks(format!("{{\"keys\":[{text}]}}").as_bytes()).unwrap();
    keys.pop().ok_or_else(|| unused.pop().unwrap())
}

fn algorithm(vector: &vectors::Vector) -> Algorithm {
    Algorithm::named(vector.algorithm).unwrap()
}

/// What is signed, and the signature.
fn parts(token: &str) -> (&[u8], Vec<u8>) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    (signed.as_bytes(), decode(signature.as_bytes()).unwrap())
}

#[test]
fn every_example_of_the_rfcs_verifies() {
    for vector in VECTORS {
        let (signed, signature) = parts(vector.token);
        assert!(key(vector).verify(algorithm(vector), signed, &signature), "{}", vector.source);
    }
}

#[test]
fn a_changed_bit_anywhere_spoils_it() {
    for vector in VECTORS {
        let key = key(vector);
        let (signed, signature) = parts(vector.token);
        for index in 0..signature.len() {
            let mut wrong = signature.clone();
            wrong[index] ^= 1;
            assert!(!key.verify(algorithm(vector), signed, &wrong), "{} {index}", vector.source);
        }
        for index in (0..signed.len()).step_by(7) {
            let mut wrong = signed.to_vec();
            wrong[index] ^= 1;
            assert!(!key.verify(algorithm(vector), &wrong, &signature), "{} {index}", vector.source);
        }
        for wrong in [&signature[..signature.len() - 1], &[], &[signature.as_slice(), &[0]].concat()] {
            assert!(!key.verify(algorithm(vector), signed, wrong), "{}", vector.source);
        }
    }
}
