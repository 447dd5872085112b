//! The client for Redis, and limits in Redis, against a real server. Skipped, by name, where `redis-server` is not installed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod differential;
mod hostile;
mod server;
mod synced;
