//! The chunked coding, RFC 9112 section 7.1, without copying the data.

use crate::error::{ChunkError, Error};
use crate::fields::FieldLines;
use crate::head::{Field, Parse};
use crate::known::KnownSet;
use crate::scan::{is_token_byte, is_value_byte};

/// What the decoder found at the start of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Decoded {
    /// Behind `skip` bytes of framing stand `len` bytes of payload, never 0, perhaps a part of a chunk. Consume both.
    Data {
        /// Bytes of framing before the payload.
        skip: usize,
        /// Bytes of payload.
        len: usize,
    },
    /// The whole buffer was framing and is consumed; more is needed.
    Partial {
        /// Always the length of the buffer.
        consumed: usize,
    },
    /// The body is over, trailers and all. What follows is the next message.
    End {
        /// Bytes up to the end of the body.
        consumed: usize,
    },
}

/// How much framing a chunked body may carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkLimits {
    /// Bytes of chunk extensions in the whole body.
    pub extensions: usize,
    /// Bytes of the trailer section with its empty line.
    pub trailers: usize,
    /// Trailer lines.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        ChunkLimits { extensions: 16 * 1024, trailers: 8 * 1024, trailer_fields: 32 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Within the digits.
    Digits,
    /// Behind the semicolon of an extension.
    ExtensionStart,
    ExtensionName,
    /// Behind its equals sign.
    ExtensionValue,
    ExtensionToken,
    ExtensionQuoted,
    /// Behind a backslash in the quotes.
    ExtensionEscape,
    ExtensionQuoteEnd,
    /// Behind the CR of a size line.
    SizeLf,
    Data,
    /// Behind the payload.
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// Decodes one chunked body; reusable. Every byte is looked at once, whatever way the body was split.
#[derive(Debug, Default)]
pub struct ChunkDecoder {
    limits: ChunkLimits,
    state: State,
    /// Digits of the current size.
    digits: u8,
    /// The size being read, then what is left of the chunk.
    left: u64,
    extensions: usize,
    trailers: Trailers,
}

/// The trailer section: its bytes and its fields.
#[derive(Debug, Default)]
pub struct Trailers {
    /// The section as it was sent; the spans of `fields` are offsets into it.
    pub bytes: Vec<u8>,
    /// The lines in order. Those whose `known` is not [`Known::is_allowed_in_trailers`](crate::Known::is_allowed_in_trailers) must
    /// not be merged into a head or forwarded; [`Trailers::allowed`] leaves them out.
    pub fields: Vec<Field>,
    seen: KnownSet,
    lines: FieldLines,
}

impl Trailers {
    /// Names and values of the fields that may be forwarded as trailers.
    pub fn allowed(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let allowed = self.fields.iter().filter(|field| field.known.is_allowed_in_trailers());
        allowed.map(|field| (field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// Which known names are among the fields.
    pub fn seen(&self) -> KnownSet {
        self.seen
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.seen = KnownSet::default();
        self.lines = FieldLines::default();
    }

    /// Takes what belongs to the section from `input`; the number of bytes taken, and whether the section is complete.
    fn take(&mut self, input: &[u8], limits: &ChunkLimits) -> Result<(usize, Parse), ChunkError> {
        let before = self.bytes.len();
        let room = limits.trailers.saturating_sub(before);
        let input = &input[..input.len().min(room)];
        self.bytes.extend_from_slice(input);
        let parse = self.lines.parse(&self.bytes, limits.trailer_fields, &mut self.fields, &mut self.seen);
        match parse {
            Ok(Parse::Complete) => {
                let end = self.lines.end();
                self.bytes.truncate(if self.fields.is_empty() { 0 } else { end });
                Ok((end - before, Parse::Complete))
            }
            Ok(Parse::Partial) if input.len() == room => Err(ChunkError::TrailersTooLarge),
            Ok(Parse::Partial) => Ok((input.len(), Parse::Partial)),
            Err(Error::TooManyFields) => Err(ChunkError::TrailersTooLarge),
            Err(_) => Err(ChunkError::BadTrailer),
        }
    }
}

impl ChunkDecoder {
    /// A decoder with these limits.
    pub fn new(limits: ChunkLimits) -> ChunkDecoder {
        ChunkDecoder { limits, ..ChunkDecoder::default() }
    }

    /// Makes it ready for the next body and keeps its memory.
    pub fn clear(&mut self) {
        self.state = State::Size;
        self.digits = 0;
        self.left = 0;
        self.extensions = 0;
        self.trailers.clear();
    }

    /// The trailer section; empty before the end and, mostly, behind it.
    pub fn trailers(&self) -> &Trailers {
        &self.trailers
    }

    /// Whether the end of the body was read.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// Payload bytes left of the current chunk, a hint for reading.
    #[inline]
    pub fn chunk_left(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Reads on in `buf`, which begins behind what was consumed before.
    ///
    /// After an error, which has consumed nothing that can be told, the connection is of no more use.
    #[inline]
    pub fn decode(&mut self, buf: &[u8]) -> Result<Decoded, ChunkError> {
        let mut at = 0;
        while at < buf.len() {
            match self.state {
                State::Data => {
                    let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len() - at);
                    self.left -= len as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Decoded::Data { skip: at, len });
                }
                State::Trailers => {
                    at += self.trailer_bytes(&buf[at..])?;
                    if self.state == State::End {
                        return Ok(Decoded::End { consumed: at });
                    }
                }
                State::End => break,
                _ => {
                    self.step(buf[at])?;
                    at += 1;
                }
            }
        }
        Ok(if self.state == State::End { Decoded::End { consumed: at } } else { Decoded::Partial { consumed: at } })
    }

    fn trailer_bytes(&mut self, input: &[u8]) -> Result<usize, ChunkError> {
        // Mostly there are none, and the body ends with the empty line.
        if self.trailers.bytes.is_empty() && input.starts_with(b"\r\n") && self.limits.trailers >= 2 {
            self.state = State::End;
            return Ok(2);
        }
        let (taken, parse) = self.trailers.take(input, &self.limits)?;
        if parse == Parse::Complete {
            self.state = State::End;
        }
        Ok(taken)
    }

    /// Takes one byte of framing before the trailers.
    #[inline]
    fn step(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size | State::Digits, _) if byte.is_ascii_hexdigit() => self.digit(byte)?,
            (State::Size, _) => return Err(ChunkError::BadSize),
            (State::Digits, b'\r') => State::SizeLf,
            (State::Digits, b';') => State::ExtensionStart,
            (State::Digits, b'\n') => return Err(ChunkError::BadLineEnd),
            (State::Digits, _) => return Err(ChunkError::BadSize),
            (State::SizeLf, b'\n') if self.left == 0 => State::Trailers,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => self.next_chunk(),
            (State::SizeLf | State::DataCr | State::DataLf, _) => {
                return Err(ChunkError::BadLineEnd);
            }
            (state, _) => extension(state, byte)?,
        };
        self.extensions += usize::from(is_extension(self.state));
        if self.extensions > self.limits.extensions {
            return Err(ChunkError::ExtensionsTooLarge);
        }
        Ok(())
    }

    #[inline]
    fn digit(&mut self, byte: u8) -> Result<State, ChunkError> {
        if self.digits == 16 {
            return Err(ChunkError::SizeTooLong);
        }
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.digits += 1;
        self.left = self.left << 4 | u64::from(value);
        Ok(State::Digits)
    }

    #[inline]
    fn next_chunk(&mut self) -> State {
        self.digits = 0;
        self.left = 0;
        State::Size
    }
}

fn is_extension(state: State) -> bool {
    use State::*;
    matches!(
        state,
        ExtensionStart
            | ExtensionName
            | ExtensionValue
            | ExtensionToken
            | ExtensionQuoted
            | ExtensionEscape
            | ExtensionQuoteEnd
    )
}

/// `;name`, `;name=token`, `;name="text"`, again and again, without the white space that RFC 9112 section 7.1.1 calls bad.
#[cold]
fn extension(state: State, byte: u8) -> Result<State, ChunkError> {
    use State::*;
    match (state, byte) {
        (ExtensionStart | ExtensionName, _) if is_token_byte(byte) => Ok(ExtensionName),
        (ExtensionName, b'=') => Ok(ExtensionValue),
        (ExtensionValue | ExtensionToken, _) if is_token_byte(byte) => Ok(ExtensionToken),
        (ExtensionValue, b'"') => Ok(ExtensionQuoted),
        (ExtensionQuoted, b'"') => Ok(ExtensionQuoteEnd),
        (ExtensionQuoted, b'\\') => Ok(ExtensionEscape),
        (ExtensionQuoted | ExtensionEscape, _) if is_value_byte(byte) => Ok(ExtensionQuoted),
        (ExtensionName | ExtensionToken | ExtensionQuoteEnd, b';') => Ok(ExtensionStart),
        (ExtensionName | ExtensionToken | ExtensionQuoteEnd, b'\r') => Ok(SizeLf),
        (_, b'\r' | b'\n') => Err(ChunkError::BadLineEnd),
        _ => Err(ChunkError::BadExtension),
    }
}
