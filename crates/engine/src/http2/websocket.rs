//! The key handshake of WebSockets over HTTP/1.1 (RFC 6455 section 4), which HTTP/2 does without (RFC 8441 section 5): the
//! gateway does it where only one of its two sides speaks HTTP/1.1.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand;

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A `Sec-WebSocket-Key`: 16 random bytes.
pub fn new_key() -> [u8; 24] {
    let mut nonce = [0; 16];
    rand::fill(&mut nonce).expect("the system has random bytes");
    let mut key = [0; 24];
    write_base64(&nonce, &mut key);
    key
}

/// The `Sec-WebSocket-Accept` that proves that a key was read.
pub fn accept(key: &[u8]) -> [u8; 28] {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    let mut accept = [0; 28];
    write_base64(hash.as_ref(), &mut accept);
    accept
}

/// Base64 with padding (RFC 4648 section 4); `out` has just the room.
fn write_base64(bytes: &[u8], out: &mut [u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (three, four) in bytes.chunks(3).zip(out.chunks_mut(4)) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (index, letter) in four.iter_mut().enumerate() {
            *letter = match index > three.len() {
                true => b'=',
                false => LETTERS[(bits >> (18 - 6 * index)) as usize & 63],
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_accepted() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_sixteen_bytes_and_differ() {
        let (one, other) = (new_key(), new_key());
        assert!(one.ends_with(b"==") && one != other);
    }
}
