//! Reads whole messages through the codec, the way a connection does, from pieces of any size.
//!
//! Tests, the `parse` example and the fuzz targets all judge the codec by what this says.

use std::fmt::Write;

use tidegate_http1::{
    BodyLength, ChunkDecoder, ChunkLimits, Decoded, Field, HEAD_END, LAST_CHUNK, Limits, Parse, RequestKind,
    RequestParser, ResponseParser, Target, Version, request_framing, response_framing, write_chunk, write_field,
    write_request_line,
};

/// One message, copied out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`, put together from the spans.
    pub start: Vec<u8>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body length, form of the target and what is said about the connection, in words.
    pub framing: String,
    pub ends: BodyLength,
    pub keep_alive: bool,
    /// Whether what follows is not HTTP/1 any more, or might not be.
    pub upgrade: bool,
    pub body: Vec<u8>,
    /// All lines of the trailer section; `allowed` of them may be forwarded.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub allowed: usize,
    /// Bytes from the start of the message to its end.
    pub length: usize,
}

/// How reading ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Message(Box<Message>),
    /// The message was not over when the bytes were; what of the body was decoded.
    Partial(Vec<u8>),
    /// The code of the error.
    Refused(&'static str),
}

/// Which side sent the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Request,
    /// The response to a request of this kind.
    Response(RequestKind),
}

/// Reads one message; `cuts` are the places at which the bytes come apart, in order.
pub fn read(bytes: &[u8], cuts: &[usize], kind: Kind) -> Outcome {
    read_within(bytes, cuts, kind, Limits::default(), ChunkLimits::default())
}

pub fn read_within(bytes: &[u8], cuts: &[usize], kind: Kind, limits: Limits, chunks: ChunkLimits) -> Outcome {
    let arrivals = || cuts.iter().copied().chain([bytes.len()]);
    let Some((mut message, length)) = (match head(bytes, arrivals(), kind, limits) {
        Ok(head) => head,
        Err(code) => return Outcome::Refused(code),
    }) else {
        return Outcome::Partial(Vec::new());
    };
    let start = message.length;
    match body(bytes, arrivals(), start, length, chunks, &mut message) {
        Ok(true) => Outcome::Message(Box::new(message)),
        Ok(false) => Outcome::Partial(message.body),
        Err(code) => Outcome::Refused(code),
    }
}

/// Reads message after message until the bytes are over, something is refused, or the connection is.
pub fn read_all(bytes: &[u8], kind: Kind) -> (Vec<Message>, Option<Outcome>) {
    let mut messages = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match read(&bytes[at..], &[], kind) {
            Outcome::Message(message) => {
                at += message.length;
                let last = !message.keep_alive || message.upgrade;
                messages.push(*message);
                if last {
                    break;
                }
            }
            other => return (messages, Some(other)),
        }
    }
    (messages, None)
}

type Head = Option<(Message, BodyLength)>;

fn head(bytes: &[u8], arrivals: impl Iterator<Item = usize>, kind: Kind, limits: Limits) -> Result<Head, &'static str> {
    let mut request = RequestParser::new(limits);
    let mut response = ResponseParser::new(limits);
    for end in arrivals {
        let parse = match kind {
            Kind::Request => request.parse(&bytes[..end]),
            Kind::Response(_) => response.parse(&bytes[..end]),
        };
        if parse.map_err(|error| error.code())? == Parse::Complete {
            let seen = &bytes[..end];
            return match kind {
                Kind::Request => request_message(&request, seen).map(Some),
                Kind::Response(kind) => response_message(&response, seen, kind).map(Some),
            };
        }
    }
    Ok(None)
}

fn request_message(parser: &RequestParser, buf: &[u8]) -> Result<(Message, BodyLength), &'static str> {
    let head = parser.head();
    let framing = request_framing(head, buf).map_err(|error| error.code())?;
    let text = |span: tidegate_http1::Span| span.of(buf).escape_ascii().to_string();
    let mut words = match framing.target {
        Target::Origin { path, query } => {
            format!("origin {}", text(path)) + &query.map_or(String::new(), |q| format!(" ?{}", text(q)))
        }
        Target::Absolute { scheme, authority, path, query } => {
            format!("absolute {} {} {}", text(scheme), text(authority), text(path))
                + &query.map_or(String::new(), |q| format!(" ?{}", text(q)))
        }
        Target::Asterisk => "asterisk".into(),
        Target::Authority => "authority".into(),
    };
    let _ = write!(words, ", host {}, {:?}", text(framing.host), framing.body);
    for (set, word) in [(framing.keep_alive, "keep"), (framing.expect_continue, "expect"), (framing.upgrade, "upgrade")]
    {
        if set {
            let _ = write!(words, ", {word}");
        }
    }
    let message = Message {
        start: [head.method.of(buf), b" ", head.target.of(buf), b" ", head.version.as_str().as_bytes()].concat(),
        fields: copy(&head.fields, buf),
        framing: words,
        ends: framing.body,
        keep_alive: framing.keep_alive,
        upgrade: framing.upgrade || framing.target == Target::Authority,
        length: head.length,
        ..Message::default()
    };
    Ok((message, framing.body))
}

fn response_message(
    parser: &ResponseParser,
    buf: &[u8],
    kind: RequestKind,
) -> Result<(Message, BodyLength), &'static str> {
    let head = parser.head();
    let framing = response_framing(head, buf, kind).map_err(|error| error.code())?;
    let mut words = format!("{:?}", framing.body);
    for (set, word) in [(framing.keep_alive, "keep"), (framing.interim, "interim"), (framing.switched, "switched")] {
        if set {
            let _ = write!(words, ", {word}");
        }
    }
    let status = head.status.to_string();
    let message = Message {
        start: [head.version.as_str().as_bytes(), b" ", status.as_bytes(), b" ", head.reason.of(buf)].concat(),
        fields: copy(&head.fields, buf),
        framing: words,
        ends: framing.body,
        keep_alive: framing.keep_alive,
        upgrade: framing.switched,
        length: head.length,
        ..Message::default()
    };
    Ok((message, framing.body))
}

fn copy(fields: &[Field], buf: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|field| (field.name.of(buf).to_vec(), field.value.of(buf).to_vec())).collect()
}

/// True when the body is whole.
fn body(
    bytes: &[u8],
    arrivals: impl Iterator<Item = usize>,
    start: usize,
    length: BodyLength,
    limits: ChunkLimits,
    message: &mut Message,
) -> Result<bool, &'static str> {
    match length {
        BodyLength::None => Ok(true),
        BodyLength::Close => {
            message.body = bytes[start..].to_vec();
            message.length = bytes.len();
            Ok(true)
        }
        BodyLength::Length(length) => {
            let rest = &bytes[start..];
            let len = rest.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            message.body = rest[..len].to_vec();
            message.length = start + len;
            Ok(len as u64 == length)
        }
        BodyLength::Chunked => chunked(bytes, arrivals, start, limits, message),
    }
}

fn chunked(
    bytes: &[u8],
    arrivals: impl Iterator<Item = usize>,
    start: usize,
    limits: ChunkLimits,
    message: &mut Message,
) -> Result<bool, &'static str> {
    let mut decoder = ChunkDecoder::new(limits);
    let mut at = start;
    for end in arrivals.filter(|&end| end >= start) {
        while at < end {
            match decoder.decode(&bytes[at..end]).map_err(|error| error.code())? {
                Decoded::Data { skip, len } => {
                    assert!(len > 0, "data is never empty");
                    message.body.extend_from_slice(&bytes[at + skip..at + skip + len]);
                    at += skip + len;
                }
                Decoded::Partial { consumed } => {
                    assert_eq!(at + consumed, end, "a partial result consumes everything");
                    at = end;
                }
                Decoded::End { consumed } => {
                    let trailers = decoder.trailers();
                    message.trailers = copy(&trailers.fields, &trailers.bytes);
                    message.allowed = trailers.allowed().count();
                    message.length = at + consumed;
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Writes a request again, from nothing but what was read.
pub fn write_again(message: &Message) -> Vec<u8> {
    let parts: Vec<&[u8]> = message.start.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else { panic!("a request line has three parts") };
    let version = if version == b"HTTP/1.1" { Version::Http11 } else { Version::Http10 };
    let mut out = Vec::new();
    write_request_line(&mut out, method, target, version);
    write_fields(&mut out, &message.fields);
    if message.ends == BodyLength::Chunked {
        write_chunk(&mut out, &message.body);
        out.extend_from_slice(LAST_CHUNK);
        write_fields(&mut out, &message.trailers);
    } else {
        out.extend_from_slice(&message.body);
    }
    out
}

fn write_fields(out: &mut Vec<u8>, fields: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in fields {
        write_field(out, name, value);
    }
    out.extend_from_slice(HEAD_END);
}

/// Reads a request again after it was written again; it must be the same in all but its length.
pub fn assert_same_when_written_again(message: &Message) {
    let written = write_again(message);
    let Outcome::Message(again) = read(&written, &[], Kind::Request) else {
        panic!("refused: {}", written.escape_ascii())
    };
    let expected = Message { length: written.len(), ..message.clone() };
    assert_eq!(*again, expected, "{}", written.escape_ascii());
}
