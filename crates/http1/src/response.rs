//! Parses the head of a response.

use crate::error::Error;
use crate::fields::{FieldLines, value_error};
use crate::head::{Limits, Parse, ResponseHead};
use crate::request::parse_version;
use crate::scan::value_end;
use crate::span::Span;

/// Length of `HTTP/1.1 200 `: the reason begins behind it.
const REASON: usize = 13;

/// What is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Status,
    Reason,
    Fields,
    Done,
}

/// Parses response heads; reusable, and resumable at any byte. Used like [`RequestParser`](crate::RequestParser).
#[derive(Debug, Default)]
pub struct ResponseParser {
    limits: Limits,
    head: ResponseHead,
    stage: Stage,
    /// The next byte of the reason.
    at: usize,
    lines: FieldLines,
}

impl ResponseParser {
    /// A parser with these limits; the one of the target is not used.
    pub fn new(limits: Limits) -> ResponseParser {
        ResponseParser { limits, ..ResponseParser::default() }
    }

    /// The head; filled once `parse` said `Complete`.
    #[inline]
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Makes the parser ready for the next message.
    #[inline]
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.head.fields);
        fields.clear();
        self.head = ResponseHead { fields, ..ResponseHead::default() };
        self.stage = Stage::Status;
    }

    /// Reads on in `buf`, which begins at the start of the message and holds at least what it held before.
    #[inline]
    pub fn parse(&mut self, buf: &[u8]) -> Result<Parse, Error> {
        let window = self.limits.window(buf);
        let parse = self.advance(window)?;
        self.limits.judge(parse, window)
    }

    fn advance(&mut self, buf: &[u8]) -> Result<Parse, Error> {
        if self.stage == Stage::Status && !self.status(buf)? {
            return Ok(Parse::Partial);
        }
        if self.stage == Stage::Reason && !self.reason(buf)? {
            return Ok(Parse::Partial);
        }
        let head = &mut self.head;
        let parse = self.lines.parse(buf, self.limits.fields, &mut head.fields, &mut head.seen)?;
        if parse == Parse::Complete {
            head.length = self.lines.end();
            self.stage = Stage::Done;
        }
        Ok(parse)
    }

    /// Reads `HTTP/1.1 200 `; the space is required even when no reason follows (RFC 9112 section 4).
    #[inline(always)]
    fn status(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let Some(version) = parse_version(buf)? else {
            return Ok(false);
        };
        let Some(&[b' ', a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ']) = buf.get(8..REASON) else {
            return partial_status(&buf[8..]);
        };
        self.head.version = version;
        self.head.status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
        self.at = REASON;
        self.stage = Stage::Reason;
        Ok(true)
    }

    #[inline(always)]
    fn reason(&mut self, buf: &[u8]) -> Result<bool, Error> {
        self.at = value_end(buf, self.at);
        match (buf.get(self.at), buf.get(self.at + 1)) {
            (None, _) | (Some(b'\r'), None) => Ok(false),
            (Some(b'\r'), Some(b'\n')) => {
                self.head.reason = Span::new(REASON, self.at);
                self.lines = FieldLines::at(self.at + 2);
                self.stage = Stage::Fields;
                Ok(true)
            }
            (Some(&byte), _) => Err(reason_error(byte)),
        }
    }
}

/// A status that is not whole, or wrong: a wrong byte is told at once.
#[cold]
fn partial_status(rest: &[u8]) -> Result<bool, Error> {
    let shape = |(place, byte): (usize, &u8)| match place {
        0 | 4 => *byte == b' ',
        1 => matches!(byte, b'1'..=b'5'),
        _ => byte.is_ascii_digit(),
    };
    if rest.iter().take(5).enumerate().all(shape) { Ok(false) } else { Err(Error::BadStatusLine) }
}

#[cold]
fn reason_error(byte: u8) -> Error {
    match value_error(byte) {
        Error::BadFieldValue => Error::BadStatusLine,
        error => error,
    }
}
