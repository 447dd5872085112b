//! Where JSON begins and ends: the one strict look at a text, and the quick ones at what was found sound.
//!
//! Nothing here recurses, and no place in a text is looked at twice.

use super::document::{Fault, MOST_DEPTH};

/// Checks a text against RFC 8259 and gives where its value begins and ends. It must be UTF-8 already.
///
/// Stricter than the grammar in one thing: `\u` escapes have to be characters, so half of a surrogate pair is refused (section
/// 8.2 leaves open what it means). Numbers are of any size.
pub(super) fn check(text: &[u8], most_depth: usize) -> Result<(usize, usize), Fault> {
    let start = space(text, 0);
    let mut open = Open::new(most_depth);
    let mut at = start;
    loop {
        at = match byte(text, at) {
            opening @ (b'{' | b'[') => {
                let is_object = opening == b'{';
                at = space(text, at + 1);
                open.push(is_object)?;
                match (byte(text, at), is_object) {
                    (b'}', true) | (b']', false) => {
                        open.pop();
                        at + 1
                    }
                    (_, true) => {
                        at = name(text, at)?;
                        continue;
                    }
                    (_, false) => continue,
                }
            }
            b'"' => string(text, at + 1)?,
            b'-' | b'0'..=b'9' => number(text, at)?,
            b't' => word(text, at, b"true")?,
            b'f' => word(text, at, b"false")?,
            b'n' => word(text, at, b"null")?,
            _ => return Err(Fault::NotJson),
        };
        // A value has ended: what is around it goes on or ends, too.
        loop {
            let end = at;
            at = space(text, at);
            match (open.top(), byte(text, at)) {
                (None, _) if at == text.len() => return Ok((start, end)),
                (Some(true), b',') => {
                    at = name(text, space(text, at + 1))?;
                    break;
                }
                (Some(false), b',') => {
                    at = space(text, at + 1);
                    break;
                }
                (Some(true), b'}') | (Some(false), b']') => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(Fault::NotJson),
            }
        }
    }
}

/// The objects and arrays around a place, a bit each: 1 for an object.
struct Open {
    bits: [u64; MOST_DEPTH / 64],
    depth: usize,
    most: usize,
}

impl Open {
    fn new(most: usize) -> Self {
        Self { bits: [0; MOST_DEPTH / 64], depth: 0, most: most.min(MOST_DEPTH) }
    }

    fn push(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.depth == self.most {
            return Err(Fault::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn top(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.bits[last / 64] >> (last % 64) & 1 == 1)
    }
}

/// The byte at a place; 0, which nothing in JSON is, behind the end.
#[inline]
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The first place at or after `at` that is no whitespace.
#[inline]
pub(super) fn space(text: &[u8], mut at: usize) -> usize {
    while matches!(byte(text, at), b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

/// From the quote of a member's name to where its value begins.
fn name(text: &[u8], at: usize) -> Result<usize, Fault> {
    if byte(text, at) != b'"' {
        return Err(Fault::NotJson);
    }
    let colon = space(text, string(text, at + 1)?);
    if byte(text, colon) != b':' {
        return Err(Fault::NotJson);
    }
    Ok(space(text, colon + 1))
}

/// From behind the opening quote to behind the closing one.
fn string(text: &[u8], mut at: usize) -> Result<usize, Fault> {
    loop {
        at = plain(text, at);
        match byte(text, at) {
            b'"' => return Ok(at + 1),
            b'\\' => at = escape(text, at + 1)?,
            _ => return Err(Fault::NotJson),
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks with their highest bit bytes that are zero. A byte above one that is may be marked falsely.
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// As [`zeros`], for bytes that are `wanted`.
#[inline]
const fn equal(word: u64, wanted: u8) -> u64 {
    zeros(word ^ (ONES * wanted as u64))
}

#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let chunk = text.get(at..at + 8)?;
    Some(u64::from_le_bytes(chunk.try_into().expect("eight bytes")))
}

/// The first place at or after `at` of a quote, a backslash or a control character; the end of the text if there is none.
#[inline]
fn plain(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = word_at(text, at) {
        // The lowest mark is always a true one.
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let marks = equal(word, b'"') | equal(word, b'\\') | control;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// From behind a backslash to behind its escape.
fn escape(text: &[u8], at: usize) -> Result<usize, Fault> {
    match byte(text, at) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
        b'u' => match hex4(text, at + 1).ok_or(Fault::NotJson)? {
            0xDC00..=0xDFFF => Err(Fault::NotJson),
            0xD800..=0xDBFF => match (text.get(at + 5..at + 7), hex4(text, at + 7)) {
                (Some(b"\\u"), Some(0xDC00..=0xDFFF)) => Ok(at + 11),
                _ => Err(Fault::NotJson),
            },
            _ => Ok(at + 5),
        },
        _ => Err(Fault::NotJson),
    }
}

/// Four hexadecimal digits.
pub(super) fn hex4(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)? as u16))
}

fn word(text: &[u8], at: usize, wanted: &[u8]) -> Result<usize, Fault> {
    match text.get(at..).is_some_and(|rest| rest.starts_with(wanted)) {
        true => Ok(at + wanted.len()),
        false => Err(Fault::NotJson),
    }
}

fn number(text: &[u8], mut at: usize) -> Result<usize, Fault> {
    at += usize::from(byte(text, at) == b'-');
    at = match byte(text, at) {
        b'0' => at + 1,
        _ => digits(text, at)?,
    };
    if byte(text, at) == b'.' {
        at = digits(text, at + 1)?;
    }
    if matches!(byte(text, at), b'e' | b'E') {
        at += 1;
        at += usize::from(matches!(byte(text, at), b'+' | b'-'));
        at = digits(text, at)?;
    }
    Ok(at)
}

/// One digit and more.
fn digits(text: &[u8], at: usize) -> Result<usize, Fault> {
    let mut end = at;
    while byte(text, end).is_ascii_digit() {
        end += 1;
    }
    if end > at { Ok(end) } else { Err(Fault::NotJson) }
}

/// Behind a value that begins at `at`, in a text that was checked.
#[inline]
pub(super) fn skip(text: &[u8], at: usize) -> usize {
    match byte(text, at) {
        b'"' => skip_string(text, at + 1),
        b'{' | b'[' => skip_nested(text, at + 1),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            let rest = text.get(at..).unwrap_or_default();
            at + rest.iter().position(ends).unwrap_or(rest.len())
        }
    }
}

/// As `string`, in a text that was checked.
#[inline]
pub(super) fn skip_string(text: &[u8], mut at: usize) -> usize {
    loop {
        at = plain(text, at);
        match byte(text, at) {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => return text.len(),
        }
    }
}

/// Behind the bracket that closes one level, whatever is open inside.
fn skip_nested(text: &[u8], mut at: usize) -> usize {
    let mut depth = 1_usize;
    loop {
        at = bracket_or_quote(text, at);
        match byte(text, at) {
            b'"' => at = skip_string(text, at + 1),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => return text.len(),
        }
    }
}

#[inline]
fn bracket_or_quote(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = word_at(text, at) {
        // `[` and `{`, `]` and `}` differ in this bit alone, and nothing else in sound JSON looks like them with it.
        let folded = word | (ONES * 0x20);
        let marks = equal(word, b'"') | equal(folded, b'{') | equal(folded, b'}');
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while !matches!(byte(text, at), b'"' | b'{' | b'[' | b'}' | b']') && at < text.len() {
        at += 1;
    }
    at
}
