//! Base64 that is written: plain with padding, and for URLs without (RFC 4648 sections 4 and 5).

const PLAIN: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends bytes in the plain alphabet, padded.
pub fn push_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    push(out, bytes, PLAIN);
    out.resize(out.len() + (3 - bytes.len() % 3) % 3, b'=');
}

/// Appends bytes in the alphabet for URLs, not padded; the one of JOSE (RFC 7515 section 2).
pub fn push_url(out: &mut Vec<u8>, bytes: &[u8]) {
    push(out, bytes, URL);
}

/// As [`push_url`], as text of its own.
pub fn url(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    push_url(&mut out, bytes);
    out.into_iter().map(char::from).collect()
}

fn push(out: &mut Vec<u8>, bytes: &[u8], letters: &[u8; 64]) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let four: [u8; 4] = std::array::from_fn(|index| letters[(bits >> (18 - 6 * index)) as usize & 63]);
        out.extend_from_slice(&four[..=three.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            push_plain(&mut out, text.as_bytes());
            assert_eq!(out, encoded.as_bytes(), "{text}");
            assert_eq!(url(text.as_bytes()), encoded.trim_end_matches('='), "{text}");
        }
        assert_eq!(url(&[0xfb, 0xff]), "-_8");
    }
}
