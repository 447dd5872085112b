//! Names of headers that only the gateway may set.
//!
//! A service that trusts `x-user-id` must never see one that a client has written, in any spelling that its framework takes
//! for the same: servers after CGI turn `-` into `_`, and some take `.` for it too. Owned names are taken out of every
//! request before anything looks at it, on every route: the service behind a route without authentication may be the same.

use crate::head::Head;
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
}
