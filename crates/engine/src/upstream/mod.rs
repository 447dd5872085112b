//! The one way to call a service: choose a target, find or open a connection, send, and try again where that is safe.

pub mod affinity;
pub mod balance;
pub mod call;
pub mod connect;
pub mod fetch;
pub mod http1;
pub mod http2;
pub mod http2_links;
pub mod outcome;
pub mod pool;
pub mod resolve;
pub mod service;
pub mod target;
pub mod targets;
pub mod tls;
