//! What happens around an answer: one file a policy, called by [`crate::pipeline`] in its order.
//!
//! `trust` is no policy: it is the ground all of them stand on, and every exchange begins there.

pub mod all_of;
pub mod any_of;
pub mod api_key;
pub mod api_version;
pub mod authentication;
pub mod authorize;
pub mod basic;
pub mod claims_to_headers;
pub mod concurrency;
mod consumer_headers;
pub mod cors;
pub mod csrf;
pub mod fault;
pub mod forward_auth;
pub mod forwarded;
mod generations;
mod header_edits;
pub mod idempotency;
pub mod introspection;
pub mod ip;
pub mod jwt;
mod limit_charge;
pub(crate) mod limit_fields;
pub(crate) mod limit_key;
mod local;
pub mod mtls;
pub mod oidc;
pub mod plugins;
pub mod presented;
pub mod quota;
pub(crate) mod random;
pub mod rate_limit;
pub mod request_headers;
pub mod request_id;
pub mod response_headers;
pub mod security_headers;
pub mod signed_identity;
pub mod token_places;
pub mod trace_context;
pub mod trust;
pub mod verdicts;

pub use local::Local;
