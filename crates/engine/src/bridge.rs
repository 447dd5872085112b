//! The way to user code: what the engine asks of whoever runs it. The native crate answers with Python.

/// Runs handlers. Called on a worker, so it must neither block nor take the interpreter's lock.
pub trait Bridge: Send + Sync {}
