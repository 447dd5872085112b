//! JSON strings out of whatever a client sent.

/// Writes the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD; most text is plain and is copied as it is.
pub(super) fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| PLAIN[*byte as usize]) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        write_valid(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Printable ASCII that stands for itself.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

fn write_valid(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // Also DEL, C1 controls and the line separators: a line of the log must stay one line on every screen.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => write_unicode(out, character),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn write_unicode(out: &mut Vec<u8>, character: char) {
    let digit = |shift: u32| b"0123456789abcdef"[(character as u32 >> shift) as usize & 15];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_becomes_a_json_string_and_comes_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        for text in
            [&b"plain"[..], b"", b"a\"b\\c", b"\r\n\t\0\x1b[31m\x7f", "ü🌊\u{2028}\u{85}".as_bytes(), &every_byte]
        {
            let mut out = vec![b'"'];
            write_escaped(&mut out, text);
            out.push(b'"');
            assert!(out.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f));
            let read: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(read, String::from_utf8_lossy(text));
        }
    }
}
