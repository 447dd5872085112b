//! The one way to call a service: choose a target, find or open a connection, send, and try again where that is safe.

pub mod affinity;
pub mod attempt;
pub mod balance;
pub mod budget;
pub mod call;
pub mod calling;
mod collector;
pub mod connect;
pub mod deadline;
mod discard;
pub mod fetch;
pub mod hedge;
pub mod http1;
pub mod http2;
pub mod http2_links;
pub mod latency;
pub mod membership;
pub mod name;
pub mod outcome;
pub mod pool;
pub mod resolve;
pub mod retry;
pub mod retry_after;
pub mod service;
pub mod target;
pub mod targets;
pub mod tls;
