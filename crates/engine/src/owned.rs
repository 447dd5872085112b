//! Names of headers that only the gateway may set.
//!
//! A service that trusts `x-user-id` must never see one that a client has written, in any spelling that its framework takes
//! for the same: servers after CGI turn `-` into `_`, and some take every other mark for it too. Owned names are taken out of every
//! request before anything looks at it, on every route: the service behind a route without authentication may be the same.

use crate::head::Head;
use crate::plan::{HeaderEdits, Plan, Policy};
use crate::policies::trust::is_alias;

/// The owned names of a whole document.
#[derive(Debug, Default)]
pub struct Owned {
    /// In lower case.
    names: Box<[Box<[u8]>]>,
    /// A bit for each length that an owned name has: most names of a request end here.
    lengths: u64,
}

impl Owned {
    pub fn new(names: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        let mut names: Vec<_> = names.into_iter().map(|name| name.to_ascii_lowercase().into_boxed_slice()).collect();
        names.sort_unstable();
        names.dedup();
        let lengths = names.iter().fold(0, |bits, name| bits | bit(name.len()));
        Self { names: names.into(), lengths }
    }

    /// What the trailers of a client may not carry: `owned`, and every name that a policy of the document writes or removes.
    ///
    /// Such a name is taken out of the head when the policy acts; a trailer comes later, and some servers put trailers among
    /// the headers. It holds on every route, as a service does not know by which of them a request came.
    pub fn in_trailers(plan: &Plan, owned: &[Box<[u8]>]) -> Self {
        let routes = plan.routes.iter().flat_map(|route| &route.policies);
        let consumers = plan.consumers.iter().flat_map(|consumer| &consumer.policies);
        let policies = plan.policies.iter().chain(routes).chain(consumers);
        Self::new(policies.flat_map(written).map(|name| name.as_bytes().into()).chain(owned.iter().cloned()))
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a service may take this name for one of them.
    pub fn covers(&self, name: &[u8]) -> bool {
        self.lengths & bit(name.len()) != 0 && self.names.iter().any(|owned| is_alias(name, owned))
    }

    /// Takes every one of them out.
    pub fn strip(&self, head: &mut Head) {
        if !self.is_empty() {
            head.retain(|_, name, _| !self.covers(name));
        }
    }
}

/// The names of request headers that a policy writes or removes; what it says of its own names is in [`Context::owned`].
///
/// [`Context::owned`]: crate::pipeline::Context::owned
fn written(policy: &Policy) -> Vec<&str> {
    match policy {
        Policy::RequestId(policy) => vec![&policy.header],
        Policy::TraceContext(_) => vec!["traceparent", "tracestate"],
        Policy::Forwarded(_) => vec!["via"],
        Policy::RequestHeaders(HeaderEdits { remove, set, .. }) => {
            remove.iter().map(String::as_str).chain(set.iter().map(|set| set.name.as_str())).collect()
        }
        _ => Vec::new(),
    }
}

fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_owned_in_every_spelling() {
        let owned = Owned::new([b"X-User-Id".as_slice().into(), [b'a'; 100].into()]);
        for (name, covered) in [
            ("x-user-id", true),
            ("X_User_Id", true),
            ("x.user-ID", true),
            ("X!User~Id", true),
            ("x|user`id", true),
            ("x-user-ids", false),
            ("x-userid", false),
            ("y-user-id", false),
            (&"A".repeat(100), true),
            (&"a".repeat(99), false),
        ] {
            assert_eq!(owned.covers(name.as_bytes()), covered, "{name}");
        }
        assert!(!Owned::default().covers(b"x-user-id"));
    }

    // A document may write a name as its service does: in `x_user_id` the client's own spelling was let through.
    #[test]
    fn a_name_is_owned_however_the_document_spells_it() {
        for written in ["x_user_id", "X.User-Id", "x-user-id"] {
            let owned = Owned::new([written.as_bytes().into()]);
            for name in ["x_user_id", "x-user-id", "X.User.Id", "x.user-id"] {
                assert!(owned.covers(name.as_bytes()), "{written}, {name}");
            }
        }
    }
}
