//! The client for Redis, and limits in Redis, against a real server. Skipped, by name, where `redis-server` is not installed.

mod client;
mod differential;
mod server;
