//! Signatures that once passed somewhere.

use tidegate_engine::jose::{Algorithm, VerifyingKey};

use crate::vectors::{VECTORS, Vector};
use crate::{algorithm, jwk, key, parts};

fn vector(source: &str) -> &'static Vector {
    VECTORS.iter().find(|vector| vector.source == source).unwrap()
}

/// CVE-2022-21449: r and s of zero satisfied the equation for every message; so may multiples of the order.
#[test]
fn psychic_signatures_do_not_verify() {
    for (source, half, order) in [
        ("RFC 7515 A.3", 32, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        (
            "RFC 7515 A.4",
            66,
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        ),
    ] {
        let vector = vector(source);
        let order: Vec<u8> =
            (0..half).map(|index| u8::from_str_radix(&order[index * 2..index * 2 + 2], 16).unwrap()).collect();
        let zero = vec![0; half];
        let one = [vec![0; half - 1], vec![1]].concat();
        let (signed, _) = parts(vector.token);
        for r in [&zero, &one, &order] {
            for s in [&zero, &order] {
                let signature = [r.as_slice(), s.as_slice()].concat();
                assert!(!key(vector).verify(algorithm(vector), signed, &signature), "{source}");
                let swapped = [s.as_slice(), r.as_slice()].concat();
                assert!(!key(vector).verify(algorithm(vector), signed, &swapped), "{source}");
            }
        }
    }
}

/// The raw form is the only one (RFC 7518 section 3.4): with two forms a token could be respelled.
#[test]
fn a_der_signature_is_no_es_signature() {
    let vector = vector("RFC 7515 A.3");
    let (signed, signature) = parts(vector.token);
    let integer = |bytes: &[u8]| {
        let padded = if bytes[0] & 0x80 != 0 { [&[0], bytes].concat() } else { bytes.to_vec() };
        [&[0x02, padded.len() as u8], padded.as_slice()].concat()
    };
    let content = [integer(&signature[..32]), integer(&signature[32..])].concat();
    let der = [&[0x30, content.len() as u8], content.as_slice()].concat();
    assert!(!key(vector).verify(Algorithm::Es256, signed, &der));
}

/// The classic: a MAC made with the public key, which everybody has, as the secret.
#[test]
fn a_public_key_is_no_secret() {
    let vector = vector("RFC 7515 A.2");
    let (signed, _) = parts(vector.token);
    let forger = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, vector.key.as_bytes());
    let mac = aws_lc_rs::hmac::sign(&forger, signed);
    for algorithm in Algorithm::ALL {
        assert!(!key(vector).verify(algorithm, signed, mac.as_ref()), "{algorithm:?}");
    }
}

#[test]
fn a_secret_serves_the_algorithms_it_was_given_only() {
    let secret = VerifyingKey::secret(&[7; 64], &[Algorithm::Hs384, Algorithm::Rs256]);
    let served: Vec<_> = Algorithm::ALL.into_iter().filter(|algorithm| secret.serves(*algorithm)).collect();
    assert_eq!(served, [Algorithm::Hs384]);
}

/// An exponent of one makes every padded message its own signature.
#[test]
fn an_rsa_key_with_exponent_one_is_no_key() {
    let text = vector("RFC 7515 A.2").key.replace("AQAB", "AQ");
    assert!(jwk(&text).is_err());
    assert!(jwk(&vector("RFC 7515 A.2").key.replace("AQAB", "AAAAAQ")).is_err());
}
