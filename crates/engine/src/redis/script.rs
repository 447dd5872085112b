//! Scripts that the server runs as one step.

use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::digest;

/// A Lua script; it is sent by its digest, and as a whole only to a server that does not have it yet.
pub struct Script {
    pub text: String,
    /// SHA-1 in lower case, by which servers know scripts. It names, it secures nothing.
    pub digest: String,
}

/// A script of ours.
pub type Known = LazyLock<Script>;

impl Script {
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let mut digest = String::with_capacity(40);
        for byte in hash.as_ref() {
            write!(digest, "{byte:02x}").expect("a string takes every character");
        }
        Self { text, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_server_s() {
        assert_eq!(Script::new("return 1").digest, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
