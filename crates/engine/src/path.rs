//! The one normal form of a path, for matching, policies and upstream alike.
//!
//! What it is and why is written in `docs/concepts/path-normal-form.md`. In short: dot segments are resolved, duplicate
//! slashes merged, unreserved characters decoded, other escapes kept with upper-case digits, and whatever two parsers
//! could read differently is refused. The form is a fixed point: normalising it again changes nothing.

use std::fmt;

/// Why a path or query was refused. The client gets 400 with [`PathError::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Empty, or does not begin with `/`.
    NotAbsolute,
    /// NUL, raw or as `%00`.
    Nul,
    /// A control character, raw or escaped (`%0d%0a`).
    Control,
    /// A raw `\`, which some servers take for `/`.
    Backslash,
    /// A raw byte outside ASCII.
    NonAscii,
    /// A raw space, `#` or `?` in the path; a raw space or `#` in the query.
    Delimiter,
    /// `%` without two hexadecimal digits.
    BrokenEscape,
    /// `..` above the root.
    AboveRoot,
    /// `.;x` or `..;x`: some servers drop the parameter and then resolve the dots.
    DotParameter,
}

impl PathError {
    /// The stable code of the refusal.
    pub fn code(self) -> &'static str {
        "bad_path"
    }

    /// What is wrong, for the detail of the refusal, the log and `explain`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAbsolute => "the path does not begin with `/`",
            Self::Nul => "NUL in the path",
            Self::Control => "a control character in the target",
            Self::Backslash => "a backslash in the path",
            Self::NonAscii => "a byte outside ASCII that is not percent-encoded",
            Self::Delimiter => "a space, `#` or `?` that is not percent-encoded",
            Self::BrokenEscape => "`%` without two hexadecimal digits",
            Self::AboveRoot => "`..` above the root",
            Self::DotParameter => "a dot segment with a parameter",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for PathError {}

/// What a raw byte means in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself: unreserved, sub-delims, `:` and `@` (RFC 3986 `pchar`).
    Plain,
    Slash,
    Dot,
    Percent,
    /// Not allowed raw by RFC 3986 but sent by clients and harmless once escaped: `"<>[]^{|}` and the backtick.
    Escape,
    Refused,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Refused; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            b'%' => Class::Percent,
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Escape,
            byte if is_unreserved(byte) => Class::Plain,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' => Class::Plain,
            _ => Class::Refused,
        };
        byte += 1;
    }
    table
}

/// RFC 3986 section 2.3: an escape of one of these means the same as the character itself.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Brings a path into its normal form.
///
/// A path that already is normal is returned as it is after one scan; else the form is built in `scratch`, whose
/// contents are replaced. The target's query must have been cut off; `*` (of `OPTIONS *`) is no path.
pub fn normalise<'a>(path: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    match path.first() {
        Some(b'/') => {}
        _ => return Err(PathError::NotAbsolute),
    }
    if is_plain(path) || is_normal(path) {
        return Ok(path);
    }
    build(path, scratch)?;
    Ok(scratch)
}

/// What [`is_plain`] wants to know of a byte: 0 for one that stands for itself anywhere.
static MARKS: [u8; 256] = {
    let classes = classes();
    let mut marks = [ODD; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = match classes[byte] {
            Class::Plain => 0,
            Class::Slash => SLASH,
            Class::Dot => DOT,
            Class::Percent | Class::Escape | Class::Refused => ODD,
        };
        byte += 1;
    }
    marks
};
const SLASH: u8 = 1;
const DOT: u8 = 2;
const ODD: u8 = 4;

/// Whether a path is normal at the first glance: no escapes, and neither a slash nor a dot after a slash.
///
/// Without a branch a byte: nearly every path passes, and the rest is worth a closer look.
fn is_plain(path: &[u8]) -> bool {
    let (mut odd, mut before) = (0, 0);
    for &byte in path {
        let mark = MARKS[usize::from(byte)];
        odd |= (mark & ODD) | (before & SLASH).wrapping_neg() & mark;
        before = mark;
    }
    odd == 0
}

/// Whether a path that begins with `/` is in normal form.
fn is_normal(path: &[u8]) -> bool {
    let mut at = 0;
    let mut after_slash = false;
    while let Some(&byte) = path.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Plain => after_slash = false,
            Class::Slash if after_slash => return false,
            Class::Slash => after_slash = true,
            Class::Dot if after_slash && may_be_dot_segment(&path[at..]) => return false,
            Class::Dot => after_slash = false,
            Class::Percent => match path.get(at + 1..at + 3) {
                Some(&[high, low]) if is_normal_escape(high, low) => {
                    after_slash = false;
                    at += 2;
                }
                _ => return false,
            },
            Class::Escape | Class::Refused => return false,
        }
        at += 1;
    }
    true
}

/// Whether a segment that begins with a dot needs the slow look: `.`, `..`, and both with a parameter.
fn may_be_dot_segment(segment: &[u8]) -> bool {
    let after = match segment {
        [b'.', b'.', after @ ..] | [b'.', after @ ..] => after,
        after => after,
    };
    // An escaped dot is found by its escape.
    matches!(after, [] | [b'/' | b';', ..] | [b'%', b'3', b'B', ..])
}

/// Whether `%` with these digits stays as it is.
fn is_normal_escape(high: u8, low: u8) -> bool {
    let upper = |digit: u8| !digit.is_ascii_lowercase();
    match (hex(high), hex(low)) {
        (Some(h), Some(l)) if upper(high) && upper(low) => {
            let byte = h << 4 | l;
            !is_unreserved(byte) && !byte.is_ascii_control()
        }
        _ => false,
    }
}

fn build(path: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    out.clear();
    out.push(b'/');
    let mut start = 1; // where the current segment begins in `out`
    let mut at = 1;
    while let Some(&byte) = path.get(at) {
        at += 1;
        match CLASSES[usize::from(byte)] {
            Class::Plain | Class::Dot => out.push(byte),
            Class::Slash => start = end_segment(out, start, true)?,
            Class::Escape => push_escaped(out, byte),
            Class::Percent => {
                let byte = path.get(at..at + 2).and_then(unescape).ok_or(PathError::BrokenEscape)?;
                at += 2;
                match byte {
                    0 => return Err(PathError::Nul),
                    byte if byte.is_ascii_control() => return Err(PathError::Control),
                    byte if is_unreserved(byte) => out.push(byte),
                    byte => push_escaped(out, byte),
                }
            }
            Class::Refused => return Err(refusal(byte)),
        }
    }
    end_segment(out, start, false).map(drop)
}

/// Resolves the segment at the end of `out`; gives where the next one begins.
fn end_segment(out: &mut Vec<u8>, start: usize, slash: bool) -> Result<usize, PathError> {
    match &out[start..] {
        b"" => {}
        b"." => out.truncate(start),
        b".." => {
            let parent = out[..start - 1].iter().rposition(|&byte| byte == b'/').ok_or(PathError::AboveRoot)?;
            out.truncate(parent + 1);
        }
        segment if is_dot_parameter(segment) => return Err(PathError::DotParameter),
        _ if slash => out.push(b'/'),
        _ => {}
    }
    Ok(out.len())
}

/// `..;x`, also with the semicolon escaped.
fn is_dot_parameter(segment: &[u8]) -> bool {
    let rest = segment.strip_prefix(b"..").or_else(|| segment.strip_prefix(b"."));
    rest.is_some_and(|rest| rest.starts_with(b";") || rest.starts_with(b"%3B"))
}

/// Whether a segment of a path would be resolved away (`.`, `..`) or refused (`..;x`).
pub(crate) fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..") || is_dot_parameter(segment)
}

fn refusal(byte: u8) -> PathError {
    match byte {
        0 => PathError::Nul,
        b'\\' => PathError::Backslash,
        b' ' | b'#' | b'?' => PathError::Delimiter,
        byte if byte.is_ascii_control() => PathError::Control,
        _ => PathError::NonAscii,
    }
}

/// Checks a query, which is passed on as it was sent.
///
/// Control characters, spaces, `#` and bytes outside ASCII would end or split the request line upstream, or be read
/// differently there. Escapes are not looked into: a query has no normal form that all servers agree on.
pub fn check_query(query: &[u8]) -> Result<(), PathError> {
    match query.iter().find(|&&byte| !byte.is_ascii_graphic() || byte == b'#') {
        None => Ok(()),
        Some(b'#' | b' ') => Err(PathError::Delimiter),
        Some(0) => Err(PathError::Nul),
        Some(byte) if byte.is_ascii_control() => Err(PathError::Control),
        Some(_) => Err(PathError::NonAscii),
    }
}

/// Decodes the escapes of a text; a `%` without two digits stands for itself.
pub fn decode<'a>(text: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    decode_bytes(text, false)
}

/// Decodes a query name or value: as [`decode`], and `+` is a space.
pub fn decode_form<'a>(text: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    decode_bytes(text, true)
}

fn decode_bytes(text: &[u8], form: bool) -> impl Iterator<Item = u8> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'%' => {
                let decoded = text.get(at..at + 2).and_then(unescape);
                at += if decoded.is_some() { 2 } else { 0 };
                Some(decoded.unwrap_or(b'%'))
            }
            b'+' if form => Some(b' '),
            byte => Some(byte),
        }
    })
}

pub(crate) fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn unescape(digits: &[u8]) -> Option<u8> {
    match digits {
        &[high, low] => Some(hex(high)? << 4 | hex(low)?),
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
