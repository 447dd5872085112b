//! Which keys are taken, and what they serve.

use std::sync::Arc;

use tidegate_engine::jose::{Algorithm, Found, KeyRing, KeysError, Token, parse_jwks, parse_pem};

use crate::vectors::VECTORS;
use crate::{algorithm, jwk, key};

/// The public key of RFC 7515 A.2, with members changed: `with("kid", "\"a\"")`; an empty value takes one away.
fn rsa(changes: &[(&str, &str)]) -> String {
    let mut jwk: serde_json::Value = serde_json::from_str(VECTORS[1].key).unwrap();
    let members = jwk.as_object_mut().unwrap();
    for (name, value) in changes {
        members.remove(*name);
        if !value.is_empty() {
            members.insert((*name).into(), serde_json::from_str(value).unwrap());
        }
    }
    jwk.to_string()
}

#[test]
fn a_key_serves_its_own_family_only() {
    let families: [&[&str]; 4] =
        [&["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], &["ES256"], &["ES512"], &["EdDSA"]];
    for (source, served) in [("RFC 7515 A.2", 0), ("RFC 7515 A.3", 1), ("RFC 7515 A.4", 2), ("RFC 8037 A.4", 3)] {
        let key = key(VECTORS.iter().find(|vector| vector.source == source).unwrap());
        for algorithm in Algorithm::ALL {
            assert_eq!(key.serves(algorithm), families[served].contains(&algorithm.name()), "{source} {algorithm:?}");
        }
    }
}

#[test]
fn a_key_that_names_its_algorithm_serves_no_other() {
    let key = jwk(&rsa(&[("alg", "\"PS256\"")])).unwrap();
    let served: Vec<_> = Algorithm::ALL.into_iter().filter(|algorithm| key.serves(*algorithm)).collect();
    assert_eq!(served, [Algorithm::Ps256]);
}

#[test]
fn a_key_that_is_for_something_else_is_not_used() {
    for (changes, reason) in [
        (&[("use", "\"enc\"")][..], "`use`"),
        (&[("use", "1")], "`use`"),
        (&[("key_ops", "[\"encrypt\"]")], "`key_ops`"),
        (&[("key_ops", "\"verify\"")], "`key_ops`"),
        (&[("alg", "\"RSA-OAEP\"")], "`alg`"),
        (&[("alg", "\"none\"")], "`alg`"),
        (&[("alg", "\"ES256\"")], "`alg`"),
        (&[("alg", "\"HS256\"")], "`alg`"),
        (&[("alg", "null")], "`alg`"),
        (&[("kty", "\"oct\"")], "`kty`"),
        (&[("kty", "\"rsa\"")], "`kty`"),
        (&[("kty", "")], "missing"),
        (&[("n", "")], "missing"),
        (&[("n", "\"a+b=\"")], "base64url"),
        (&[("e", "\"AQ\"")], "exponent"),
        (&[("e", "\"Ag\"")], "exponent"),
        (&[("e", "\"\"")], "exponent"),
        (&[("e", "\"AQAAAAAB\"")], "exponent"),
        (&[("kid", "7")], "`kid`"),
        (&[("d", "\"AQAB\"")], "private"),
        (&[("k", "\"AQAB\"")], "private"),
    ] {
        let unused = jwk(&rsa(changes)).unwrap_err();
        assert!(unused.contains(reason), "{changes:?}: {unused}");
    }
    let short = jwk(&rsa(&[("n", &format!("\"{}\"", "ofgW".repeat(84)))])).unwrap_err();
    assert!(short.contains("2048"), "{short}");
    for used in [&[("use", "\"sig\"")][..], &[("key_ops", "[\"verify\"]")], &[("x5c", "[\"junk\"]")], &[("x", "{}")]] {
        assert!(jwk(&rsa(used)).is_ok(), "{used:?}");
    }
}

#[test]
fn points_that_are_not_on_their_curve_are_refused() {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let off = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4";
    let zero = "A".repeat(43);
    for (crv, x, y, good) in [
        ("P-256", x, y, true),
        ("P-256", x, off, false),
        ("P-256", &zero, &zero, false),
        ("P-384", x, y, false),
        ("secp256k1", x, y, false),
        ("P-256", &x[..42], y, false),
    ] {
        let text = format!("{{\"kty\":\"EC\",\"crv\":\"{crv}\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        assert_eq!(jwk(&text).is_ok(), good, "{text}");
    }
    for x in ["AAAA", "", &"A".repeat(44)] {
        assert!(jwk(&format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"}}")).is_err(), "{x}");
    }
    assert!(jwk(&format!("{{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"{zero}\"}}")).is_err());
}

#[test]
fn a_set_is_an_object_with_a_list_of_keys() {
    let many = format!("{{\"keys\":[{}]}}", vec!["{}"; 257].join(","));
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "a".repeat(1 << 20));
    for (text, error) in [
        ("", KeysError::NotJson),
        ("<html>", KeysError::NotJson),
        ("[]", KeysError::NotJson),
        ("{\"keys\":[],\"keys\":[]}", KeysError::NotJson),
        ("{}", KeysError::NoKeys),
        ("{\"keys\":{}}", KeysError::NoKeys),
        (&many, KeysError::TooMany),
        (&large, KeysError::TooLarge),
    ] {
        assert_eq!(parse_jwks(text.as_bytes()).err(), Some(error), "{text:.30}");
    }
    let mixed = format!("{{\"keys\":[1,{},{{\"kty\":\"oct\",\"k\":\"AA\"}}],\"more\":1}}", VECTORS[1].key);
    let (keys, unused) = parse_jwks(mixed.as_bytes()).unwrap();
    assert_eq!((keys.len(), unused.len()), (1, 2));
}

/// A ring of the RSA key of RFC 7515 A.2, named or not.
fn ring(kids: &[Option<&str>]) -> KeyRing {
    let keys = kids.iter().map(|kid| {
        let kid = kid.map(|kid| format!("\"{kid}\"")).unwrap_or_default();
        jwk(&rsa(&[("kid", &kid)])).unwrap()
    });
    KeyRing::new(keys.collect())
}

fn found(ring: &KeyRing, kid: Option<&str>, forged: bool) -> &'static str {
    let mut token = Token::parse(VECTORS[1].token.as_bytes()).unwrap();
    Arc::make_mut(&mut token.header).kid = kid.map(str::to_owned);
    token.signature[0] ^= u8::from(forged);
    match ring.verify(&token) {
        Found::Verified(_) => "verified",
        Found::Forged => "forged",
        Found::Unknown { .. } => "unknown",
    }
}

#[test]
fn the_name_of_a_key_chooses_it() {
    for (kids, kid, forged, outcome) in [
        (&[Some("a"), Some("b")][..], Some("b"), false, "verified"),
        (&[Some("a"), Some("b")], Some("c"), false, "unknown"),
        (&[Some("a"), Some("b")], Some("b"), true, "forged"),
        (&[Some("a"), Some("b")], None, false, "verified"),
        (&[Some("a"), Some("b")], None, true, "unknown"),
        (&[None], Some("b"), false, "verified"),
        (&[None], Some("b"), true, "unknown"),
        (&[Some("a"), None], Some("a"), true, "forged"),
        (&[], Some("a"), false, "unknown"),
        (&[], None, false, "unknown"),
    ] {
        assert_eq!(found(&ring(kids), kid, forged), outcome, "{kids:?} {kid:?} {forged}");
    }
}

#[test]
fn a_key_that_is_fetched_again_is_known_again() {
    let first = ring(&[Some("a"), Some("b")]);
    let same = ring(&[Some("b"), Some("a")]).taking_over(&first);
    assert!(same.is_same(&first));
    let rotated = ring(&[Some("b"), Some("c")]).taking_over(&first);
    assert!(!rotated.is_same(&first));
    assert!(!ring(&[Some("a"), Some("b")]).is_same(&first), "equal keys that were not taken over are others");
}

const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

#[test]
fn a_pem_holds_public_keys() {
    let vector = VECTORS.iter().find(|vector| vector.source == "RFC 8037 A.4").unwrap();
    let (signed, signature) = crate::parts(vector.token);
    let keys = parse_pem(&format!("text around it\n{ED25519_PEM}{ED25519_PEM}")).unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys[1].verify(algorithm(vector), signed, &signature));
    for (text, reason) in [
        ("", "no block"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no RSA, P-256"),
        ("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "no PEM"),
    ] {
        let error = parse_pem(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
