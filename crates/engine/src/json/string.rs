//! Strings: what they stand for, and how they are written (RFC 8259 section 7).

use super::scan::hex4;
use crate::template::escape_json;

/// Appends a text as a string, with its quotes; bytes that are not UTF-8 become U+FFFD.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_content(text, out);
    out.push(b'"');
}

/// As [`write_string`], without the quotes.
pub(super) fn write_content(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    escape_json(out, start);
}

pub(super) fn has_escapes(content: &[u8]) -> bool {
    memchr::memchr(b'\\', content).is_some()
}

/// Appends what the content of a string stands for.
pub(super) fn unescape(mut content: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', content) {
        out.extend_from_slice(&content[..at]);
        let (sign, length) = escaped(&content[at..]);
        out.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
        content = content.get(at + length..).unwrap_or_default();
    }
    out.extend_from_slice(content);
}

/// Whether the content of a string stands for this text.
pub(super) fn equals(mut content: &[u8], text: &str) -> bool {
    let mut text = text.as_bytes();
    loop {
        let at = memchr::memchr(b'\\', content).unwrap_or(content.len());
        let Some(rest) = text.strip_prefix(&content[..at]) else { return false };
        content = &content[at..];
        if content.is_empty() {
            return rest.is_empty();
        }
        let (sign, length) = escaped(content);
        match rest.strip_prefix(sign.encode_utf8(&mut [0; 4]).as_bytes()) {
            Some(rest) => text = rest,
            None => return false,
        }
        content = content.get(length..).unwrap_or_default();
    }
}

/// The character of the escape that a text begins with, and the length of the escape. The text was checked.
fn escaped(text: &[u8]) -> (char, usize) {
    let sign = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text),
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (sign, 2)
}

fn unicode(text: &[u8]) -> (char, usize) {
    let unit = u32::from(hex4(text, 2).unwrap_or(0xFFFD));
    match (unit, hex4(text, 8)) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            let value = 0x10000 + ((unit - 0xD800) << 10) + (u32::from(low) - 0xDC00);
            (char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
    }
}
