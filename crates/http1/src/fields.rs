//! Field lines: the part that requests, responses and trailers share.

use crate::error::Error;
use crate::head::{Field, Parse};
use crate::known::{Known, KnownSet};
use crate::scan::{token_end, value_end};
use crate::span::Span;

/// Where the parser stands within the field lines.
///
/// The state is exact to the byte: bytes that were accepted are never read again, so a head that drips in costs O(n), and an
/// error depends only on the bytes up to it, never on how they were split.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct FieldLines {
    /// Start of the current line.
    line: usize,
    /// Length of the current name once its colon was seen; 0 before.
    name_len: usize,
    /// The known name of the current line.
    known: Known,
    /// Start of the current value, behind its leading white space.
    value: usize,
    /// The next byte to look at.
    at: usize,
}

impl FieldLines {
    /// Begins at the first byte behind the start line.
    #[inline]
    pub fn at(start: usize) -> FieldLines {
        FieldLines { line: start, at: start, ..FieldLines::default() }
    }

    /// The first byte behind the empty line, once complete.
    #[inline]
    pub fn end(&self) -> usize {
        self.at
    }

    /// Reads lines up to and with the empty one.
    #[inline]
    pub fn parse(
        &mut self,
        buf: &[u8],
        limit: usize,
        fields: &mut Vec<Field>,
        seen: &mut KnownSet,
    ) -> Result<Parse, Error> {
        // A copy that lives in registers.
        let mut lines = *self;
        let mut known = *seen;
        let result = lines.run(buf, limit, fields, &mut known);
        *self = lines;
        *seen = known;
        result
    }

    #[inline(always)]
    fn run(&mut self, buf: &[u8], limit: usize, fields: &mut Vec<Field>, seen: &mut KnownSet) -> Result<Parse, Error> {
        loop {
            if self.name_len == 0 && self.name(buf, fields.len() < limit)? {
                return Ok(Parse::Complete);
            }
            if self.name_len == 0 || !self.value(buf)? {
                return Ok(Parse::Partial);
            }
            let field = self.finish(buf);
            seen.insert(field.known);
            fields.push(field);
        }
    }

    /// Reads a name and its colon; true at the empty line. The name stays 0 when bytes are missing.
    #[inline(always)]
    fn name(&mut self, buf: &[u8], room: bool) -> Result<bool, Error> {
        if self.at == self.line {
            match buf.get(self.at) {
                None => return Ok(false),
                Some(b'\r') => return self.empty_line(buf),
                Some(b' ' | b'\t') => return Err(Error::FoldedLine),
                Some(_) if !room => return Err(Error::TooManyFields),
                Some(_) => {}
            }
        }
        self.at = token_end(buf, self.at);
        match buf.get(self.at) {
            None => Ok(false),
            Some(b':') if self.at > self.line => {
                self.name_len = self.at - self.line;
                self.known = Known::of_token(&buf[self.line..self.at]);
                self.at += 1;
                self.value = self.at;
                Ok(false)
            }
            Some(&byte) => Err(name_error(byte)),
        }
    }

    fn empty_line(&mut self, buf: &[u8]) -> Result<bool, Error> {
        match buf.get(self.at + 1) {
            None => Ok(false),
            Some(b'\n') => {
                self.at += 2;
                Ok(true)
            }
            Some(_) => Err(Error::BareCr),
        }
    }

    /// Reads a value and its line end; false when bytes are missing.
    #[inline(always)]
    fn value(&mut self, buf: &[u8]) -> Result<bool, Error> {
        if self.value == self.at {
            while let Some(b' ' | b'\t') = buf.get(self.at) {
                self.at += 1;
            }
            self.value = self.at;
        }
        self.at = value_end(buf, self.at);
        match (buf.get(self.at), buf.get(self.at + 1)) {
            (None, _) | (Some(b'\r'), None) => Ok(false),
            (Some(b'\r'), Some(b'\n')) => Ok(true),
            (Some(&byte), _) => Err(value_error(byte)),
        }
    }

    /// Makes the field of the line whose end was found, and goes to the next line.
    #[inline(always)]
    fn finish(&mut self, buf: &[u8]) -> Field {
        let mut end = self.at;
        while end > self.value && matches!(buf[end - 1], b' ' | b'\t') {
            end -= 1;
        }
        let field = Field {
            name: Span::new(self.line, self.line + self.name_len),
            value: Span::new(self.value, end),
            known: self.known,
        };
        *self = FieldLines::at(self.at + 2);
        field
    }
}

#[cold]
fn name_error(byte: u8) -> Error {
    match byte {
        b' ' | b'\t' => Error::SpaceBeforeColon,
        b'\n' => Error::BareLf,
        0 => Error::Nul,
        _ => Error::BadFieldName,
    }
}

/// What is wrong with a byte that ended a value or a reason without being the line end.
#[cold]
pub(crate) fn value_error(byte: u8) -> Error {
    match byte {
        b'\r' => Error::BareCr,
        b'\n' => Error::BareLf,
        0 => Error::Nul,
        _ => Error::BadFieldValue,
    }
}
