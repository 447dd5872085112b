//! A client for Redis and Valkey: what limits (and later breaker hints, cache tags and idempotency) share between gateways.
//!
//! Every worker has connections of its own, and many commands are in flight on each at once. Why it is our own and no
//! library: docs/decisions/0012-an-own-client-for-redis.md.
//!
//! ```text
//! Store (shared)   what the document says, breaker, counts, live gateways
//! Client (worker)  the nodes of a store, and which of them has which slot
//! Node (worker)    one address: connects, backs off, connects again
//! Link (worker)    one connection: writes what has gathered, reads answers in order
//! ```

pub mod breaker;
pub mod client;
pub mod error;
mod handshake;
pub mod keeper;
mod link;
mod node;
pub mod resp;
pub mod script;
mod slots;
pub mod store;

pub use client::{Client, Clients};
pub use error::StoreError;
pub use resp::Reply;
pub use script::Script;
pub use slots::slot;
pub use store::Store;
