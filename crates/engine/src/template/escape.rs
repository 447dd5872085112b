//! Makes the tail of a buffer safe for where it stands, in place.

use crate::path::{is_unreserved, push_escaped};

/// A header value keeps to its line.
pub(crate) fn header(out: &mut [u8], start: usize) {
    for byte in &mut out[start..] {
        if byte.is_ascii_control() && *byte != b'\t' {
            *byte = b' ';
        }
    }
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn percent(out: &mut Vec<u8>, start: usize) {
    if out[start..].iter().all(|&byte| is_unreserved(byte)) {
        return;
    }
    rewrite(out, start, |byte, out| match byte {
        byte if is_unreserved(byte) => out.push(byte),
        byte => push_escaped(out, byte),
    });
}

/// The content of a JSON string (RFC 8259 section 7); bytes that are not UTF-8 become U+FFFD.
pub(crate) fn json(out: &mut Vec<u8>, start: usize) {
    make_utf8(out, start);
    if !out[start..].iter().any(|&byte| byte.is_ascii_control() || matches!(byte, b'"' | b'\\')) {
        return;
    }
    rewrite(out, start, |byte, out| match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        byte if byte.is_ascii_control() => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        byte => out.push(byte),
    });
}

/// Text in HTML or XML; bytes that are not UTF-8 and control characters that XML does not know become U+FFFD.
pub(crate) fn markup(out: &mut Vec<u8>, start: usize) {
    make_utf8(out, start);
    let special = |byte: u8| byte.is_ascii_control() || matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | b'`');
    if !out[start..].iter().any(|&byte| special(byte)) {
        return;
    }
    rewrite(out, start, |byte, out| match byte {
        b'&' => out.extend_from_slice(b"&amp;"),
        b'<' => out.extend_from_slice(b"&lt;"),
        b'>' => out.extend_from_slice(b"&gt;"),
        b'"' => out.extend_from_slice(b"&#34;"),
        b'\'' => out.extend_from_slice(b"&#39;"),
        b'`' => out.extend_from_slice(b"&#96;"),
        b'\t' | b'\n' | b'\r' => out.push(byte),
        byte if byte.is_ascii_control() => out.extend_from_slice("\u{fffd}".as_bytes()),
        byte => out.push(byte),
    });
}

/// The slow way, for a value that has something to escape.
fn rewrite(out: &mut Vec<u8>, start: usize, write: impl Fn(u8, &mut Vec<u8>)) {
    let value = out.split_off(start);
    out.reserve(value.len() * 3);
    for byte in value {
        write(byte, out);
    }
}

fn make_utf8(out: &mut Vec<u8>, start: usize) {
    if std::str::from_utf8(&out[start..]).is_err() {
        let value = out.split_off(start);
        out.extend_from_slice(String::from_utf8_lossy(&value).as_bytes());
    }
}
