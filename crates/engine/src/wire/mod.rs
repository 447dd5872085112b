//! HTTP/1.1 bodies on a socket, for clients and services alike: one half reads, one writes.

pub mod inbound;
pub mod outbound;
