//! The limits without a gateway around them, so that tests in Python can compare them with models of their own.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tidegate_engine::limits::algorithm::{Algorithm, NEVER, Parameters};
use tidegate_engine::limits::trace::{self, Arrival};

/// Algorithm, amount, window, burst and longest delay; times in microseconds.
type Limit = (String, u64, u64, u64, u64);

/// Whether it passed, whether it was charged, the wait (`None`: for ever), what remains, and the time until all is back.
type Told = (bool, bool, Option<u64>, u64, u64);

/// Runs the arrivals (time, cost, whether the one before is given back) of one key through limits that are checked together.
#[pyfunction]
pub fn limits_trace(py: Python<'_>, limits: Vec<Limit>, arrivals: Vec<(u64, u64, bool)>) -> PyResult<Vec<Vec<Told>>> {
    let limits = limits.into_iter().map(parameters).collect::<PyResult<Vec<_>>>()?;
    let arrival = |(at, cost, refund)| Arrival { at, cost, refund };
    let arrivals: Vec<_> = arrivals.into_iter().map(arrival).collect();
    let told = py.detach(|| trace::run(&limits, &arrivals)).map_err(PyValueError::new_err)?;
    let one = |told: trace::Told| {
        let wait = (told.wait != NEVER).then_some(told.wait);
        (told.passed, told.charged, wait, told.reading.remaining, told.reading.reset)
    };
    Ok(told.into_iter().map(|told| told.into_iter().map(one).collect()).collect())
}

fn parameters((algorithm, amount, window, burst, delay): Limit) -> PyResult<Parameters> {
    let algorithm = match algorithm.as_str() {
        "fixed_window" => Algorithm::FixedWindow,
        "sliding_window" => Algorithm::SlidingWindow,
        "sliding_log" => Algorithm::SlidingLog,
        "token_bucket" => Algorithm::TokenBucket,
        "leaky_bucket" => Algorithm::LeakyBucket,
        other => return Err(PyValueError::new_err(format!("`{other}` is no algorithm"))),
    };
    Ok(Parameters { algorithm, amount, window, burst, delay })
}
