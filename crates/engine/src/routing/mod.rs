//! Which route takes a request: host, path, method, headers, query and cookies, in one total order.
//!
//! The order is written in `docs/concepts/routing.md`. [`Router::compile`] sorts every route's hosts and paths by it once;
//! [`Router::find`] then gives the first that matches. [`explain`] and [`table`] say the same for people.

mod condition;
mod host;
mod lookup;
mod pattern;
mod router;
mod target;
mod trie;

pub use host::{HostError, normalise_host};
pub use lookup::{Captures, Lookup, query_pairs};
pub use router::{Found, Router};
pub use target::UpstreamTarget;
