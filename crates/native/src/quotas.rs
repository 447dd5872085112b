//! What quotas have counted, on its way to the store and back.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tidegate_engine::limits::quota::{Change, Period, QuotaKey};
use tidegate_engine::state::State;

/// Key (32 hexadecimal digits), begin and end of the period in seconds since the epoch, amount.
pub type QuotaUse = (String, i64, i64, i64);

/// Takes what is not written yet.
pub fn take_changes(state: &State) -> Vec<QuotaUse> {
    let changes = state.quotas.take_changes();
    changes
        .into_iter()
        .map(|change| (format!("{:032x}", change.key.0), change.period.start, change.period.end, change.amount))
        .collect()
}

pub fn parse(uses: &[QuotaUse]) -> PyResult<Vec<Change>> {
    let one = |(key, start, end, amount): &QuotaUse| {
        let key = u128::from_str_radix(key, 16).map_err(|_| PyValueError::new_err("a quota's key is hexadecimal"))?;
        Ok(Change { key: QuotaKey(key), period: Period { start: *start, end: *end }, amount: *amount })
    };
    uses.iter().map(one).collect()
}
