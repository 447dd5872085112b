//! The sockets we accept on, and what happens to a connection before its first request.

pub mod accept;
pub mod bind;
pub mod http1;
pub mod http2;
pub mod http2_stream;
pub mod http2_tasks;
pub mod meter;
pub mod proxy_protocol;
pub mod socket;
pub mod tls;
