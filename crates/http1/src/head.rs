//! What a parsed head is: spans over the read buffer.

use crate::error::Error;
use crate::known::{Known, KnownSet};
use crate::span::Span;

/// The version of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    /// As it stands on the wire.
    #[inline]
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// One field line. The value has no white space around it and may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Field {
    /// The name as it was sent.
    pub name: Span,
    /// The value without the white space around it.
    pub value: Span,
    /// The name, if the gateway knows it.
    pub known: Known,
}

/// How much of a head is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the whole head, with its empty line; at most 4 GiB.
    pub head: usize,
    /// Field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { head: 32 * 1024, fields: 100, target: 8 * 1024 }
    }
}

impl Limits {
    /// Bytes of the longest head; spans have 32 bits.
    #[inline]
    fn most(&self) -> usize {
        self.head.min(u32::MAX as usize)
    }

    /// The part of `buf` a head may lie in. Bytes behind it are never looked at, so a result does not depend on how much arrived.
    #[inline]
    pub(crate) fn window<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[..buf.len().min(self.most())]
    }

    /// A head that is not whole within all of its window is too large.
    #[inline]
    pub(crate) fn judge(&self, parse: Parse, window: &[u8]) -> Result<Parse, Error> {
        if parse == Parse::Partial && window.len() >= self.most() { Err(Error::HeadTooLarge) } else { Ok(parse) }
    }
}

/// Whether a head is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Parse {
    /// It is; the parser's `head()` is filled.
    Complete,
    /// More bytes are needed: call again with the same bytes and what came behind them.
    Partial,
}

/// The head of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestHead {
    /// The method, a token of at most 32 bytes; case matters.
    pub method: Span,
    /// The target as it was sent; see [`Target`](crate::Target) for its parts.
    pub target: Span,
    /// The version.
    pub version: Version,
    /// The field lines in order.
    pub fields: Vec<Field>,
    /// Which known names are among the fields.
    pub seen: KnownSet,
    /// Bytes of the head with its empty line: where the body begins.
    pub length: usize,
}

/// The head of a response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResponseHead {
    /// The version.
    pub version: Version,
    /// The status, 100 to 599.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: Span,
    /// The field lines in order.
    pub fields: Vec<Field>,
    /// Which known names are among the fields.
    pub seen: KnownSet,
    /// Bytes of the head with its empty line: where the body begins.
    pub length: usize,
}

macro_rules! lookups {
    ($head:ident) => {
        impl $head {
            /// The first value of a known name.
            #[inline]
            pub fn get<'a>(&self, known: Known, buf: &'a [u8]) -> Option<&'a [u8]> {
                self.get_all(known).next().map(|field| field.value.of(buf))
            }

            /// All fields of a known name in order; none for [`Known::Other`].
            #[inline]
            pub fn get_all(&self, known: Known) -> impl Iterator<Item = &Field> {
                let fields = if self.seen.contains(known) { &self.fields[..] } else { &[] };
                fields.iter().filter(move |field| field.known == known)
            }
        }
    };
}

lookups!(RequestHead);
lookups!(ResponseHead);
