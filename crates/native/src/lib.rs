//! The Python boundary of Tidegate: it converts, bridges and exports, and decides nothing.
//!
//! What Python sees is typed and documented in `python/tidegate/_native.pyi`.

mod answer;
mod asked;
mod bridge;
mod call;
mod engine;
mod job;
mod keys;
mod limits;
mod quotas;
mod scope;
mod signing;

use pyo3::prelude::*;

/// For Rust's side only; Python keeps its own. See `docs/decisions/dependencies.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<bridge::Bridge>()?;
    module.add_class::<call::Answer>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<job::Job>()?;
    module.add_function(wrap_pyfunction!(engine::compile_plan, module)?)?;
    module.add_function(wrap_pyfunction!(engine::explain, module)?)?;
    module.add_function(wrap_pyfunction!(keys::hash_password, module)?)?;
    module.add_function(wrap_pyfunction!(engine::route_table, module)?)?;
    module.add_function(wrap_pyfunction!(limits::limits_trace, module)?)?;
    module.add_function(wrap_pyfunction!(signing::make_signing_key, module)?)?;
    module.add_function(wrap_pyfunction!(signing::signing_key_name, module)?)?;
    Ok(())
}
