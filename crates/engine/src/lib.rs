//! The engine of Tidegate: listeners, routing, policies, actions, upstream calls.
//!
//! It knows nothing of Python. Whoever runs it gives it a [`plan::Plan`] and, for handlers, a [`bridge::Bridge`].
//!
//! ```text
//! listener  ->  intake  ->  serve:  routing -> pipeline -> action -> upstream::call -> transfer -> pipeline -> telemetry
//! ```
#![forbid(unsafe_code)]

pub mod actions;
pub mod base64;
pub mod bridge;
pub mod buffer;
pub mod canary;
pub mod claims;
pub mod clock;
mod collect;
pub mod credentials;
mod date;
pub mod dns;
pub mod engine;
pub mod exchange;
pub mod explain;
pub mod head;
pub mod http2;
pub mod identity;
mod intake;
pub mod jose;
pub mod json;
pub mod key_sets;
pub mod limits;
pub mod listener;
pub mod network;
pub mod outbox;
pub mod overload;
pub mod owned;
pub mod path;
pub mod pipeline;
pub mod plan;
pub mod policies;
mod preflight;
pub mod problem;
pub mod provider;
pub mod redis;
pub mod respond;
pub mod routing;
mod run;
pub mod serve;
pub mod sides;
pub mod signing;
mod slow;
pub mod snapshot;
pub mod state;
pub mod telemetry;
pub mod template;
pub mod transfer;
pub mod upstream;
mod values;
pub mod wheel;
pub mod wire;
pub mod worker;
