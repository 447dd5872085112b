//! The form of a key. `python/tidegate/store/secret.py` makes them and says why they look so.

use std::hash::{Hash, Hasher};

use aws_lc_rs::digest;

const OURS: &[u8] = b"tg_";
const CHANCE: usize = 30;
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The SHA-256 of a key: all that is kept of it, and what it is looked up by.
///
/// Lookups compare digests, never secrets: how far a comparison comes tells nothing of a key that opens something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let digit = |byte: u8| (byte as char).to_digit(16);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(Self(bytes))
    }

    pub(super) fn word(&self, index: usize) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|byte| self.0[index * 8 + byte]))
    }
}

impl Hash for Digest {
    /// Its bits are as good as random: hashing them once more would gain nothing.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.word(1));
    }
}

/// Takes a part of a [`Digest`] for the hash.
#[derive(Clone, Copy, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "only digests are hashed so: {} bytes", bytes.len());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

pub type DigestMap<V> = std::collections::HashMap<Digest, V, std::hash::BuildHasherDefault<AsIs>>;

/// Whether it begins like a key of ours and is none: no lookup is needed to refuse it.
pub fn is_mistyped(secret: &[u8]) -> bool {
    secret.starts_with(OURS) && !is_whole(secret)
}

fn is_whole(secret: &[u8]) -> bool {
    let Some(at) = secret.len().checked_sub(CHANCE + CHECKSUM) else { return false };
    let (prefix, rest) = secret.split_at(at);
    let (body, checksum) = secret.split_at(secret.len() - CHECKSUM);
    prefix.ends_with(b"_") && rest.iter().all(u8::is_ascii_alphanumeric) && checksum == checksum_of(body)
}

fn checksum_of(body: &[u8]) -> [u8; CHECKSUM] {
    let mut number = crc32(body);
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    digits
}

/// CRC-32 as in zlib (RFC 1952 section 8), bit by bit: some 40 bytes are not worth a table.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let mixed = crc ^ u32::from(*byte);
        (0..8).fold(mixed, |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_typing_error_is_told_from_a_key() {
        // Made by `tidegate.store.secret`.
        let key = b"tg_live_0123456789ABCDEFGHIJKLMNOPQRST".to_vec();
        let whole = [key.clone(), checksum_of(&key).to_vec()].concat();
        assert!(!is_mistyped(&whole));
        for at in 3..whole.len() {
            let mut typed = whole.clone();
            typed[at] = if typed[at] == b'x' { b'y' } else { b'x' };
            assert!(is_mistyped(&typed), "{at}");
        }
        for cut in 3..whole.len() {
            assert!(is_mistyped(&whole[..cut]), "{cut}");
        }
        for foreign in [&b""[..], b"tg", b"sk_live_1", b"AKIA", &[0xff; 60]] {
            assert!(!is_mistyped(foreign));
        }
    }

    #[test]
    fn a_digest_reads_its_own_digits() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert!(Digest::from_hex(hex) == Some(Digest::of(b"test")));
        assert!(Digest::from_hex(&hex.to_uppercase()) == Some(Digest::of(b"test")));
        for bad in ["", &hex[1..], &format!("{hex}0"), &hex.replace('9', "g"), &hex.replace("9f", "é")] {
            assert!(Digest::from_hex(bad).is_none(), "{bad}");
        }
    }
}
