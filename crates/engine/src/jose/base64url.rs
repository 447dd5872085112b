//! base64url without padding (RFC 7515 section 2), and nothing that merely resembles it.

/// Decodes; `None` for another alphabet, padding, white space, a length that no bytes have, or bits beyond the last byte.
///
/// With these rules every byte string has exactly one encoding, so a token cannot be respelled (RFC 4648 section 3.5).
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decode_into(text, &mut out).then_some(out)
}

/// As [`decode`], into memory that is used again; what it had is gone, also where nothing decodes.
pub(super) fn decode_into(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    append(text, out).is_some()
}

fn append(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (quads, rest) = text.as_chunks::<4>();
    out.reserve_exact(quads.len() * 3 + 2);
    out.resize(quads.len() * 3, 0);
    // What is wrong is looked for once, at the end: nearly all tokens are well-formed.
    let mut seen = 0;
    for (quad, three) in quads.iter().zip(out.as_chunks_mut::<3>().0) {
        let [first, second, third, fourth] = quad.map(|sign| VALUES[sign as usize]);
        seen |= first | second | third | fourth;
        *three = [first << 2 | second >> 4, second << 4 | third >> 2, third << 6 | fourth];
    }
    if seen & HIGH != 0 {
        return None;
    }
    match rest {
        [] => {}
        [first, second] => {
            let word = bits(&[*first, *second])?;
            if word & 0xf != 0 {
                return None;
            }
            out.push((word >> 4) as u8);
        }
        [first, second, third] => {
            let word = bits(&[*first, *second, *third])?;
            if word & 0x3 != 0 {
                return None;
            }
            out.extend_from_slice(&[(word >> 10) as u8, (word >> 2) as u8]);
        }
        _ => return None,
    }
    Some(())
}

/// Six bits a sign.
fn bits(signs: &[u8]) -> Option<u32> {
    let mut word = 0;
    for sign in signs {
        let value = VALUES[*sign as usize];
        if value == NONE {
            return None;
        }
        word = word << 6 | u32::from(value);
    }
    Some(word)
}

const NONE: u8 = 0xff;
/// No value has these bits.
const HIGH: u8 = 0xc0;

const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut values = [NONE; 256];
    let mut index = 0;
    while index < alphabet.len() {
        values[alphabet[index] as usize] = index as u8;
        index += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg", b"f"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg", b"foob"),
            ("-_-_", &[0xfb, 0xff, 0xbf]),
            ("A-z_4ME", &[3, 236, 255, 224, 193]), // RFC 7515 appendix C
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn nothing_else_does() {
        for text in [
            "Zg==", "Zm8=", "Zm9v\n", " Zm9v", "Zm9v ", "Zm 9v", "+/+/", "Z", "Zm9vZ", "Zh", "Zn", "Zm9", "Zm+v",
            "Zm9v.", "Zm9vé", "\0AAA",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }
}
