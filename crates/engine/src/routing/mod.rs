//! Which route takes a request: host, path, method, headers, query and cookies, in one total order.
//!
//! The order is written in `docs/concepts/routing.md`. [`Router::compile`] sorts every route's hosts and paths by it once;
//! [`Router::find`] then gives the first that matches. [`explain`] and [`table`] say the same for people.

mod condition;
mod cover;
mod explain;
mod host;
mod lookup;
mod methods;
mod pattern;
mod regex;
mod router;
mod search;
mod table;
mod target;
mod trie;
mod written;

pub use explain::{Explanation, Loser, Reason, Winner, explain};
pub use host::{HostError, normalise_host};
pub use lookup::{Captures, Lookup, query_pairs};
pub use regex::ValueRegex;
pub use router::{Found, Router};
pub use table::{Line, Overlap, OverlapKind, Unreachable, table, unreachable};
pub use target::UpstreamTarget;
pub use written::{written_condition, written_path};
