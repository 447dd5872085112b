//! HTTP/2 messages on a stream, for clients and services alike: heads, and the two directions of a body.
//!
//! The frames themselves are the `h2` crate's.

pub mod fields;
pub mod inbound;
pub mod intake;
pub mod outbound;
pub mod websocket;
