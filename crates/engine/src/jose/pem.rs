//! Public keys as PEM (RFC 7468).

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::{Error, PemObject};

use super::key::VerifyingKey;

/// Every `PUBLIC KEY` block of a text.
pub fn parse_pem(text: &str) -> Result<Vec<VerifyingKey>, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("it holds a private key; the gateway needs the public one only".into());
    }
    let mut keys = Vec::new();
    for block in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
        let der = block.map_err(|error: Error| format!("it is no PEM: {error}"))?;
        keys.push(VerifyingKey::of_der(&der)?);
    }
    if keys.is_empty() {
        return Err("it holds no block of `PUBLIC KEY`".into());
    }
    Ok(keys)
}
