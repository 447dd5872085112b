//! Parses the head of a request.

use crate::error::Error;
use crate::fields::FieldLines;
use crate::head::{Limits, Parse, RequestHead, Version};
use crate::scan::{target_end, token_end};
use crate::span::Span;

/// The longest registered method has 17 bytes.
const LONGEST_METHOD: usize = 32;

/// What is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    EmptyLine,
    Method,
    Target,
    Version,
    Fields,
    Done,
}

/// Parses request heads; reusable, and resumable at any byte.
///
/// Call [`parse`](RequestParser::parse) with everything received since the start of the message, again whenever more arrived;
/// after `Complete` or an error, [`clear`](RequestParser::clear) makes it ready for the next message and keeps its memory.
#[derive(Debug, Default)]
pub struct RequestParser {
    limits: Limits,
    head: RequestHead,
    stage: Stage,
    /// Start of the method or target being read.
    start: usize,
    /// The next byte to look at, before the fields.
    at: usize,
    lines: FieldLines,
}

impl RequestParser {
    /// A parser with these limits.
    pub fn new(limits: Limits) -> RequestParser {
        RequestParser { limits, ..RequestParser::default() }
    }

    /// The head; filled once `parse` said `Complete`.
    #[inline]
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Makes the parser ready for the next message.
    #[inline]
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.head.fields);
        fields.clear();
        self.head = RequestHead { fields, ..RequestHead::default() };
        self.stage = Stage::EmptyLine;
        self.start = 0;
        self.at = 0;
    }

    /// Whether bytes of a message were seen, for the choice between an idle and a head timeout; an empty line is none.
    #[inline]
    pub fn is_started(&self) -> bool {
        match self.stage {
            Stage::EmptyLine => false,
            Stage::Method => self.at > self.start,
            _ => true,
        }
    }

    /// Reads on in `buf`, which begins at the start of the message and holds at least what it held before.
    #[inline]
    pub fn parse(&mut self, buf: &[u8]) -> Result<Parse, Error> {
        let window = self.limits.window(buf);
        let parse = self.advance(window)?;
        self.limits.judge(parse, window)
    }

    fn advance(&mut self, buf: &[u8]) -> Result<Parse, Error> {
        if self.stage != Stage::Fields && !self.request_line(buf)? {
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

    /// True when the whole line was read.
    fn request_line(&mut self, buf: &[u8]) -> Result<bool, Error> {
        if self.stage == Stage::EmptyLine && !self.empty_line(buf)? {
            return Ok(false);
        }
        if self.stage == Stage::Method && !self.method(buf)? {
            return Ok(false);
        }
        if self.stage == Stage::Target && !self.target(buf)? {
            return Ok(false);
        }
        if self.stage == Stage::Version && !self.version(buf)? {
            return Ok(false);
        }
        Ok(self.stage != Stage::Done)
    }

    /// Skips one empty line before the request line (RFC 9112 section 2.2): old clients send one behind a POST body.
    #[inline(always)]
    fn empty_line(&mut self, buf: &[u8]) -> Result<bool, Error> {
        match (buf.first(), buf.get(1)) {
            (None, _) | (Some(b'\r'), None) => return Ok(false),
            (Some(b'\r'), Some(b'\n')) => self.start = 2,
            (Some(b'\r'), Some(_)) => return Err(Error::BareCr),
            (Some(_), _) => {}
        }
        self.at = self.start;
        self.stage = Stage::Method;
        Ok(true)
    }

    #[inline(always)]
    fn method(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let limit = buf.len().min(self.start + LONGEST_METHOD + 1);
        self.at = token_end(&buf[..limit], self.at);
        if self.at - self.start > LONGEST_METHOD {
            return Err(Error::BadMethod);
        }
        match buf.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > self.start => {
                self.head.method = Span::new(self.start, self.at);
                self.at += 1;
                self.start = self.at;
                self.stage = Stage::Target;
                Ok(true)
            }
            Some(&byte) => Err(method_error(byte, self.at, self.start)),
        }
    }

    #[inline(always)]
    fn target(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let limit = buf.len().min(self.start.saturating_add(self.limits.target).saturating_add(1));
        self.at = target_end(&buf[..limit], self.at);
        if self.at - self.start > self.limits.target {
            return Err(Error::TargetTooLong);
        }
        match buf.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > self.start => {
                self.head.target = Span::new(self.start, self.at);
                self.at += 1;
                self.start = self.at;
                self.stage = Stage::Version;
                Ok(true)
            }
            Some(&byte) => Err(target_error(byte)),
        }
    }

    #[inline(always)]
    fn version(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let rest = &buf[self.start..];
        let Some(version) = parse_version(rest)? else {
            return Ok(false);
        };
        match (rest.get(8), rest.get(9)) {
            (None, _) | (Some(b'\r'), None) => Ok(false),
            // RFC 9113 section 3.4: the method of the HTTP/2 preface, which some parsers take for one whatever follows.
            (Some(b'\r'), Some(b'\n')) if self.head.method.of(buf) == b"PRI" => Err(Error::BadMethod),
            (Some(b'\r'), Some(b'\n')) => {
                self.head.version = version;
                self.lines = FieldLines::at(self.start + 10);
                self.at = self.start + 10;
                self.stage = Stage::Fields;
                Ok(true)
            }
            (Some(b'\r'), Some(_)) => Err(Error::BareCr),
            (Some(b'\n'), _) => Err(Error::BareLf),
            (Some(0), _) => Err(Error::Nul),
            (Some(_), _) => Err(Error::BadVersion),
        }
    }
}

/// Reads `HTTP/1.1` or `HTTP/1.0`; none while bytes are missing. A wrong byte is told at once.
#[inline(always)]
pub(crate) fn parse_version(buf: &[u8]) -> Result<Option<Version>, Error> {
    match buf.first_chunk::<8>() {
        Some(b"HTTP/1.1") => Ok(Some(Version::Http11)),
        Some(b"HTTP/1.0") => Ok(Some(Version::Http10)),
        _ => other_version(buf),
    }
}

#[cold]
fn other_version(buf: &[u8]) -> Result<Option<Version>, Error> {
    let shape = |(place, &byte): (usize, &u8)| match place {
        5 | 7 => byte.is_ascii_digit(),
        _ => byte == b"HTTP/ . "[place],
    };
    if !buf.iter().take(8).enumerate().all(shape) {
        return Err(Error::BadVersion);
    }
    if buf.len() >= 8 { Err(Error::UnsupportedVersion) } else { Ok(None) }
}

#[cold]
fn method_error(byte: u8, at: usize, start: usize) -> Error {
    match byte {
        // Two empty lines: at the start of the second.
        b'\r' if at == start && start > 0 => Error::LeadingEmptyLines,
        b'\n' => Error::BareLf,
        0 => Error::Nul,
        _ => Error::BadMethod,
    }
}

#[cold]
fn target_error(byte: u8) -> Error {
    match byte {
        // The line ends where the version should be, as in HTTP/0.9.
        b'\r' => Error::BadVersion,
        b'\n' => Error::BareLf,
        0 => Error::Nul,
        _ => Error::BadTarget,
    }
}
