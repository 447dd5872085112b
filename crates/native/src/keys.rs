//! The keys of the store, on their way into the engine.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tidegate_engine::credentials::keys::Entry;
use tidegate_engine::credentials::passwords;
use tidegate_engine::credentials::secret::Digest;

/// Hash, id, name, consumer, its tier and tags, expiry, revoked.
pub type Row = (String, String, String, String, Option<String>, Vec<String>, Option<u64>, bool);

pub fn entries(rows: Vec<Row>) -> PyResult<Vec<Entry>> {
    rows.into_iter().map(entry).collect()
}

fn entry((hash, id, name, consumer, tier, tags, expires, revoked): Row) -> PyResult<Entry> {
    let digest = Digest::from_hex(&hash).ok_or_else(|| PyValueError::new_err("a hash of the store is no SHA-256"))?;
    Ok(Entry { digest, id, name, consumer, tier, tags, expires, revoked })
}

/// A new argon2id hash.
#[pyfunction]
pub fn hash_password(py: Python<'_>, password: &str) -> String {
    py.detach(|| passwords::hash(password.as_bytes()))
}
