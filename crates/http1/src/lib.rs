//! The HTTP/1.1 codec: sans-IO, strict, without allocation on the hot path.
//!
//! A message goes through in three steps, each of which may refuse it:
//!
//! 1. [`RequestParser`] or [`ResponseParser`] turns bytes into a head: spans over the caller's buffer, which begins at the first byte
//!    of the message. More bytes may come at any time; none is looked at twice.
//! 2. [`request_framing`] or [`response_framing`] says where the body ends, whether the connection lives on and, for a request,
//!    which [`Target`] and Host are meant.
//! 3. A chunked body goes through [`ChunkDecoder`], which tells framing from payload without copying.
//!
//! The other way, [`write_request_line`] and its neighbours write into a `Vec<u8>`.
//!
//! # Refuse rather than repair
//!
//! What RFC 9112 lets a recipient tolerate is refused, since two recipients that repair differently are a smuggled request. The one
//! exception is a single CR LF before a request line, which old clients send behind a POST body; it is skipped and never forwarded.
//! `docs/reference/http1.md` lists what is accepted and refused, with the section of the RFC.
//!
//! # Results do not depend on how bytes arrive
//!
//! A head split at any byte gives the same result: an error is a property of the bytes up to it, and limits are places in the message.
//!
//! ```
//! use tidegate_http1::{BodyLength, Known, Parse, RequestParser, request_framing};
//!
//! let bytes = b"POST /orders?draft HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\n{}";
//! let mut parser = RequestParser::default();
//! assert_eq!(parser.parse(&bytes[..20]), Ok(Parse::Partial));
//! assert_eq!(parser.parse(bytes), Ok(Parse::Complete));
//! let head = parser.head();
//! let framing = request_framing(head, bytes).unwrap();
//! assert_eq!(framing.body, BodyLength::Length(2));
//! assert_eq!(framing.host.of(bytes), b"shop.example");
//! assert_eq!(head.get(Known::ContentLength, bytes), Some(&b"2"[..]));
//! assert_eq!(&bytes[head.length..], b"{}");
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod chunk;
mod connection;
mod error;
mod fields;
mod framing;
mod head;
mod known;
mod request;
mod response;
mod scan;
mod span;
mod target;
mod write;

pub use chunk::{ChunkDecoder, ChunkLimits, Decoded, Trailers};
pub use connection::{connection_nominated, connection_nominates, connection_options, list_elements};
pub use error::{ChunkError, Error, FramingError};
pub use framing::{BodyLength, RequestFraming, RequestKind, ResponseFraming, request_framing, response_framing};
pub use head::{Field, Limits, Parse, RequestHead, ResponseHead, Version};
pub use known::{Known, KnownSet};
pub use request::RequestParser;
pub use response::ResponseParser;
pub use scan::{is_field_value, is_target, is_token};
pub use span::Span;
pub use target::{Target, is_authority};
pub use write::{
    CHUNK_END, CHUNK_TAIL, HEAD_END, LAST_CHUNK, reason_phrase, write_chunk, write_chunk_head, write_chunked,
    write_content_length, write_decimal, write_field, write_request_line, write_status_line,
};
