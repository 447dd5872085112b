//! Key sets as issuers publish them (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::fmt;

use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};
use super::base64url;
use super::json;
use super::key::{VerifyingKey, without_zeros};

/// Keys in one set; what an issuer publishes are a handful.
const MAX_KEYS: usize = 256;
/// A JWK Set is a few kilobytes.
const MAX_BYTES: usize = 1 << 20;

/// Why something is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysError {
    TooLarge,
    NotJson,
    NoKeys,
    TooMany,
}

impl fmt::Display for KeysError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLarge => "the key set is larger than 1 MiB",
            Self::NotJson => "the key set is not a JSON object, or a member comes twice",
            Self::NoKeys => "the key set has no list of `keys`",
            Self::TooMany => "the key set has more than 256 keys",
        })
    }
}

impl std::error::Error for KeysError {}

/// The usable keys of a set, and for each other one why it is not used. Such keys do not spoil the rest (RFC 7517 section 5).
pub fn parse_jwks(text: &[u8]) -> Result<(Vec<VerifyingKey>, Vec<String>), KeysError> {
    if text.len() > MAX_BYTES {
        return Err(KeysError::TooLarge);
    }
    let set = json::parse_object(text).map_err(|_| KeysError::NotJson)?;
    let Some(Value::Array(entries)) = set.get("keys") else { return Err(KeysError::NoKeys) };
    if entries.len() > MAX_KEYS {
        return Err(KeysError::TooMany);
    }
    let mut keys = Vec::new();
    let mut unused = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match entry.as_object().ok_or("it is no object").and_then(parse_jwk) {
            Ok(key) => keys.push(key),
            Err(reason) => unused.push(format!("keys[{index}]: {reason}")),
        }
    }
    Ok((keys, unused))
}

fn parse_jwk(jwk: &Map<String, Value>) -> Result<VerifyingKey, &'static str> {
    if jwk.contains_key("d") || jwk.contains_key("k") {
        return Err("it is a private or secret key, which nobody may publish");
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("its `use` is not `sig`");
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
        Some(_) => return Err("its `key_ops` do not have `verify`"),
    }
    let only = match jwk.get("alg") {
        None => None,
        Some(name) => Some(name.as_str().and_then(Algorithm::named).ok_or("its `alg` is no algorithm for signatures")?),
    };
    let mut key = match text(jwk, "kty")? {
        "RSA" => VerifyingKey::rsa(without_zeros(&bytes(jwk, "n")?), without_zeros(&bytes(jwk, "e")?), only)?,
        "EC" => parse_ec(jwk, only)?,
        "OKP" => parse_okp(jwk, only)?,
        _ => return Err("its `kty` is not `RSA`, `EC` or `OKP`"),
    };
    key.kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str().into()),
        Some(_) => return Err("its `kid` is not text"),
    };
    Ok(key)
}

fn parse_ec(jwk: &Map<String, Value>, only: Option<Algorithm>) -> Result<VerifyingKey, &'static str> {
    let (family, length) = match text(jwk, "crv")? {
        "P-256" => (Family::P256, 32),
        "P-384" => (Family::P384, 48),
        "P-521" => (Family::P521, 66),
        _ => return Err("its `crv` is not `P-256`, `P-384` or `P-521`"),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err("its coordinates do not have the length of its curve");
    }
    VerifyingKey::curve(family, &[&[4], x.as_slice(), y.as_slice()].concat(), only)
}

fn parse_okp(jwk: &Map<String, Value>, only: Option<Algorithm>) -> Result<VerifyingKey, &'static str> {
    if text(jwk, "crv")? != "Ed25519" {
        return Err("its `crv` is not `Ed25519`");
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err("it does not have the length of its curve");
    }
    VerifyingKey::curve(Family::Ed25519, &x, only)
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, &'static str> {
    jwk.get(name).and_then(Value::as_str).ok_or("a member that its kind needs is missing")
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    base64url::decode(text(jwk, name)?.as_bytes()).ok_or("a member is not base64url")
}
