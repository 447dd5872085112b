//! Keys that the gateway signs with, on their way into the engine.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tidegate_engine::signing::{Algorithm, KeyRing, SigningKey, make_key};

/// PEM, and the Unix seconds from which it signs and until which it is published.
pub type Key = (String, u64, u64);

pub fn ring(keys: Vec<Key>) -> PyResult<KeyRing> {
    let parse = |(pem, from, until): Key| SigningKey::from_pem(&pem, from, until).map_err(PyValueError::new_err);
    Ok(KeyRing::new(keys.into_iter().map(parse).collect::<PyResult<_>>()?))
}

/// The name (`kid`) of a private key in PEM.
#[pyfunction]
pub fn signing_key_name(pem: &str) -> PyResult<String> {
    SigningKey::from_pem(pem, 0, 0).map(|key| key.name().to_owned()).map_err(PyValueError::new_err)
}

/// A new private key in PEM.
#[pyfunction]
pub fn make_signing_key(algorithm: &str) -> PyResult<String> {
    match algorithm {
        "ES256" => Ok(make_key(Algorithm::Es256)),
        "EdDSA" => Ok(make_key(Algorithm::EdDsa)),
        other => Err(PyValueError::new_err(format!("`{other}` is no algorithm that the gateway signs with"))),
    }
}
