//! One key, ready to check signatures with the algorithms it is for.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents, RsaSubjectPublicKey};

use super::algorithm::{Algorithm, Family};

/// The least an RSA modulus may have (RFC 7518 section 3.3).
const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;

const RSA: [Algorithm; 6] =
    [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];

/// A public key, or a secret. It serves the algorithms of its own family only, and of those the one it names, if it does.
pub struct VerifyingKey {
    pub kid: Option<Box<str>>,
    /// What the key is, to know it again when it is fetched anew; empty for a secret, which is never fetched.
    material: Box<[u8]>,
    verifiers: Box<[(Algorithm, Verifier)]>,
}

enum Verifier {
    Signature(ParsedPublicKey),
    Mac(Box<hmac::Key>),
}

impl VerifyingKey {
    /// An RSA key of its modulus and exponent, big-endian without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8], only: Option<Algorithm>) -> Result<Self, &'static str> {
        check_rsa(modulus, exponent)?;
        let components = RsaPublicKeyComponents { n: modulus, e: exponent };
        let mut verifiers = Vec::new();
        for algorithm in chosen(&RSA, only)? {
            let parsed = components.to_parsed_public_key(rsa_parameters(algorithm)).map_err(|_| "it is no RSA key")?;
            verifiers.push((algorithm, Verifier::Signature(parsed)));
        }
        Ok(Self::made([modulus, b"/", exponent].concat(), verifiers))
    }

    /// A key of an elliptic curve: an uncompressed point, or the 32 bytes of Ed25519.
    pub(super) fn curve(family: Family, point: &[u8], only: Option<Algorithm>) -> Result<Self, &'static str> {
        let algorithm = match family {
            Family::P256 => Algorithm::Es256,
            Family::P384 => Algorithm::Es384,
            Family::P521 => Algorithm::Es512,
            Family::Ed25519 => Algorithm::EdDsa,
            Family::Rsa | Family::Secret => return Err("it is on no curve"),
        };
        let mut verifiers = Vec::new();
        for algorithm in chosen(&[algorithm], only)? {
            let verification = algorithm.verification().ok_or("its algorithm makes no signatures")?;
            let parsed = ParsedPublicKey::new(verification, point).map_err(|_| "it is no point of its curve")?;
            verifiers.push((algorithm, Verifier::Signature(parsed)));
        }
        Ok(Self::made(point.to_vec(), verifiers))
    }

    /// A key as SubjectPublicKeyInfo (RFC 5280 section 4.1): what `-----BEGIN PUBLIC KEY-----` holds.
    pub(super) fn of_der(spki: &[u8]) -> Result<Self, &'static str> {
        if let Ok(key) = RsaSubjectPublicKey::from_der(spki) {
            let (modulus, exponent) = rsa_parts(key.as_ref()).ok_or("it is no RSA key")?;
            return Self::rsa(modulus, exponent, None);
        }
        for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa] {
            // The bare forms of a key are shorter; only SubjectPublicKeyInfo begins as a SEQUENCE.
            if let Some(verification) = algorithm.verification()
                && spki.first() == Some(&0x30)
                && let Ok(parsed) = ParsedPublicKey::new(verification, spki)
            {
                return Ok(Self::made(spki.to_vec(), vec![(algorithm, Verifier::Signature(parsed))]));
            }
        }
        Err("it is no RSA, P-256, P-384, P-521 or Ed25519 public key")
    }

    /// A secret that both sides know, for the HS algorithms named.
    pub fn secret(secret: &[u8], algorithms: &[Algorithm]) -> Self {
        let verifier = |algorithm: &Algorithm| {
            let mac = algorithm.mac()?;
            Some((*algorithm, Verifier::Mac(Box::new(hmac::Key::new(mac, secret)))))
        };
        Self::made(Vec::new(), algorithms.iter().filter_map(verifier).collect())
    }

    fn made(material: Vec<u8>, verifiers: Vec<(Algorithm, Verifier)>) -> Self {
        Self { kid: None, material: material.into(), verifiers: verifiers.into() }
    }

    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(known, _)| *known == algorithm)
    }

    /// Whether `signature` is this key's for `message`; false for an algorithm that the key does not serve.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let known = self.verifiers.iter().find(|(known, _)| *known == algorithm);
        match known.map(|(_, verifier)| verifier) {
            Some(Verifier::Signature(key)) => key.verify_sig(message, signature).is_ok(),
            // In constant time.
            Some(Verifier::Mac(key)) => hmac::verify(key, message, signature).is_ok(),
            None => false,
        }
    }

    /// The same key under the same name for the same algorithms.
    pub(super) fn is(&self, other: &Self) -> bool {
        let algorithms = |key: &Self| key.verifiers.iter().map(|(algorithm, _)| *algorithm).collect::<Vec<_>>();
        !self.material.is_empty()
            && self.material == other.material
            && self.kid == other.kid
            && algorithms(self) == algorithms(other)
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Those of a family that the key is for: all, or the one it names.
fn chosen(family: &[Algorithm], only: Option<Algorithm>) -> Result<Vec<Algorithm>, &'static str> {
    match only {
        None => Ok(family.to_vec()),
        Some(only) if family.contains(&only) => Ok(vec![only]),
        Some(_) => Err("its `alg` is of another kind of key"),
    }
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), &'static str> {
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if bits < MIN_RSA_BITS {
        return Err("its modulus has fewer than 2048 bits");
    }
    if bits > MAX_RSA_BITS {
        return Err("its modulus has more than 8192 bits");
    }
    // What aws-lc takes, and more than one: with 1 as exponent every message is its own signature.
    let odd = exponent.last().is_some_and(|last| last & 1 == 1);
    if !odd || exponent.len() > 5 || exponent == [1] {
        return Err("its exponent is not one that is in use");
    }
    Ok(())
}

fn rsa_parameters(algorithm: Algorithm) -> &'static aws_lc_rs::signature::RsaParameters {
    use aws_lc_rs::signature as by;
    match algorithm {
        Algorithm::Rs384 => &by::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &by::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &by::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &by::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &by::RSA_PSS_2048_8192_SHA512,
        _ => &by::RSA_PKCS1_2048_8192_SHA256,
    }
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 appendix A.1.1), without leading zeros.
fn rsa_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((without_zeros(modulus), without_zeros(exponent)))
}

/// The content of the DER element at the start, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 3 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
