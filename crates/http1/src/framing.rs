//! Where a body ends, who is asked, and whether the connection lives on. RFC 9112 section 6, refusing rather than repairing.

use crate::connection::list_elements;
use crate::error::FramingError;
use crate::head::{Field, RequestHead, ResponseHead, Version};
use crate::known::Known;
use crate::scan::is_token;
use crate::span::Span;
use crate::target::{Target, is_authority};

/// Options that all Connection fields of a message may have together. Each may name a field, which is then looked for among all
/// fields: without a bound a head of 32 KiB would cost millions of comparisons.
const MOST_OPTIONS: usize = 64;

/// How the end of a body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyLength {
    /// There is none.
    #[default]
    None,
    /// This many bytes; 0 when a length of zero was announced.
    Length(u64),
    /// Chunks, for the [`ChunkDecoder`](crate::ChunkDecoder).
    Chunked,
    /// All until the connection closes; only for responses.
    Close,
}

/// What a request's head says about the message around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestFraming {
    /// How the end of the body is found.
    pub body: BodyLength,
    /// Whether the client wants to use the connection again.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends the body.
    pub expect_continue: bool,
    /// Whether the client offers to switch protocols: HTTP/1.1, an `upgrade` option and an Upgrade field.
    ///
    /// The offer is ignored, as RFC 9110 section 7.8 allows, beside a body, whose end and the switch peers confuse, and for `h2c`, which
    /// would carry requests past all rules. Some clients add it to every request.
    pub upgrade: bool,
    /// The one Host; of an absolute target without Host (HTTP/1.0) its authority; empty when HTTP/1.0 has none.
    pub host: Span,
    /// The target in its parts.
    pub target: Target,
}

/// What a response's head says about the message around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseFraming {
    /// How the end of the body is found.
    pub body: BodyLength,
    /// The Content-Length as it was sent, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the connection can be used again behind the body.
    pub keep_alive: bool,
    /// Whether another response follows: 1xx other than 101.
    pub interim: bool,
    /// Whether the bytes behind the head are no longer HTTP: 101, and 2xx to CONNECT.
    pub switched: bool,
}

/// What of the request decides how its response ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RequestKind {
    /// Any other method.
    #[default]
    Ordinary,
    /// HEAD: no response has a body.
    Head,
    /// CONNECT: a success begins a tunnel.
    Connect,
}

impl RequestKind {
    /// The kind of a method.
    #[inline]
    pub fn of(method: &[u8]) -> RequestKind {
        match method {
            b"HEAD" => RequestKind::Head,
            b"CONNECT" => RequestKind::Connect,
            _ => RequestKind::Ordinary,
        }
    }
}

/// The framing of a request, or why it has none that all recipients would agree on.
#[inline]
pub fn request_framing(head: &RequestHead, buf: &[u8]) -> Result<RequestFraming, FramingError> {
    let facts = Facts::gather::<true>(&head.fields, buf)?;
    let target = Target::parse(head, buf)?;
    let host = request_host(&facts, target, head, buf)?;
    let body = match facts.body(head.version)? {
        None => BodyLength::None,
        Some(_) if target == Target::Authority => return Err(FramingError::UnexpectedBody),
        Some(body) => body,
    };
    let http11 = head.version == Version::Http11;
    let has_content = !matches!(body, BodyLength::None | BodyLength::Length(0));
    Ok(RequestFraming {
        body,
        keep_alive: facts.keep_alive(head.version),
        // RFC 9110 section 10.1.1: meaningless without content, ignored from HTTP/1.0.
        expect_continue: facts.expect_continue && http11 && has_content,
        upgrade: http11 && facts.upgrade && !has_content && offers_upgrade(head, buf),
        host,
        target,
    })
}

/// The framing of the response to a request of this kind.
#[inline]
pub fn response_framing(
    head: &ResponseHead,
    buf: &[u8],
    request: RequestKind,
) -> Result<ResponseFraming, FramingError> {
    let facts = Facts::gather::<false>(&head.fields, buf)?;
    let announced = facts.body(head.version)?;
    let switched = head.status == 101 || (request == RequestKind::Connect && matches!(head.status, 200..=299));
    // RFC 9112 section 6.3, first and second rule. A length of zero is harmless and common with 204.
    let never = switched || matches!(head.status, 100..=199 | 204);
    if never && !matches!(announced, None | Some(BodyLength::Length(0))) {
        return Err(FramingError::UnexpectedBody);
    }
    let body = if never || request == RequestKind::Head || head.status == 304 {
        BodyLength::None
    } else {
        announced.unwrap_or(BodyLength::Close)
    };
    Ok(ResponseFraming {
        body,
        content_length: facts.length,
        keep_alive: facts.keep_alive(head.version) && body != BodyLength::Close && !switched,
        interim: matches!(head.status, 100..=199) && !switched,
        switched,
    })
}

#[inline]
fn offers_upgrade(head: &RequestHead, buf: &[u8]) -> bool {
    let mut protocols = head.get_all(Known::Upgrade).flat_map(|field| list_elements(field.value.of(buf))).peekable();
    protocols.peek().is_some() && !protocols.any(is_of_this_connection)
}

/// Another HTTP, or TLS below it. A proxy that passed it on would open a way to the server past all that it checks.
fn is_of_this_connection(protocol: &[u8]) -> bool {
    let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
    [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn request_host(facts: &Facts, target: Target, head: &RequestHead, buf: &[u8]) -> Result<Span, FramingError> {
    if let Some(host) = facts.host {
        if !is_authority(host.of(buf)) {
            return Err(FramingError::BadHost);
        }
    } else if head.version == Version::Http11 {
        return Err(FramingError::MissingHost);
    }
    let authority = match target {
        Target::Absolute { authority, .. } => authority,
        Target::Authority => head.target,
        Target::Origin { .. } | Target::Asterisk => return Ok(facts.host.unwrap_or_default()),
    };
    match facts.host {
        Some(host) if !host.of(buf).eq_ignore_ascii_case(authority.of(buf)) => Err(FramingError::TargetNotHost),
        _ => Ok(authority),
    }
}

/// What one walk over the fields finds.
#[derive(Default)]
struct Facts {
    host: Option<Span>,
    length: Option<u64>,
    chunked: bool,
    expect_continue: bool,
    close: bool,
    persist: bool,
    upgrade: bool,
    /// How many options Connection has.
    options: usize,
}

impl Facts {
    #[inline]
    fn gather<const REQUEST: bool>(fields: &[Field], buf: &[u8]) -> Result<Facts, FramingError> {
        let mut facts = Facts::default();
        for field in fields {
            match field.known {
                // Host and Expect mean nothing in a response.
                Known::Host if REQUEST => facts.host(field)?,
                Known::Expect if REQUEST => facts.expect(field.value.of(buf))?,
                Known::ContentLength => facts.content_length(field, buf)?,
                Known::TransferEncoding => facts.transfer_encoding(field, buf)?,
                Known::Connection => facts.connection(field.value.of(buf))?,
                _ => {}
            }
        }
        Ok(facts)
    }

    fn host(&mut self, field: &Field) -> Result<(), FramingError> {
        if self.host.replace(field.value).is_some() { Err(FramingError::RepeatedHost) } else { Ok(()) }
    }

    fn content_length(&mut self, field: &Field, buf: &[u8]) -> Result<(), FramingError> {
        if self.length.is_some() {
            return Err(FramingError::RepeatedContentLength);
        }
        let length = parse_length(field.value.of(buf)).filter(|_| has_no_tab(field, buf));
        self.length = Some(length.ok_or(FramingError::BadContentLength)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, field: &Field, buf: &[u8]) -> Result<(), FramingError> {
        if self.chunked {
            return Err(FramingError::RepeatedTransferEncoding);
        }
        self.chunked = field.value.of(buf).eq_ignore_ascii_case(b"chunked") && has_no_tab(field, buf);
        if self.chunked { Ok(()) } else { Err(FramingError::BadTransferEncoding) }
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), FramingError> {
        if self.expect_continue || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(FramingError::UnknownExpectation);
        }
        self.expect_continue = true;
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), FramingError> {
        for option in list_elements(value) {
            self.options += 1;
            if self.options > MOST_OPTIONS {
                return Err(FramingError::BadConnection);
            }
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.persist = true,
                _ if is_token(option) => {}
                _ => return Err(FramingError::BadConnection),
            }
        }
        Ok(())
    }

    fn body(&self, version: Version) -> Result<Option<BodyLength>, FramingError> {
        match (self.chunked, self.length) {
            (false, None) => Ok(None),
            (false, Some(length)) => Ok(Some(BodyLength::Length(length))),
            (true, Some(_)) => Err(FramingError::LengthWithCoding),
            (true, None) if version == Version::Http10 => Err(FramingError::CodingInHttp10),
            (true, None) => Ok(Some(BodyLength::Chunked)),
        }
    }

    /// RFC 9112 section 9.3: `close` wins over everything.
    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.persist)
    }
}

/// Whether the white space around a value is spaces: llhttp takes a tab there for a part of a coding's name.
fn has_no_tab(field: &Field, buf: &[u8]) -> bool {
    let before = buf.get(field.name.end()..field.value.start as usize).unwrap_or_default();
    let behind = buf.get(field.value.end()..).unwrap_or_default();
    !before.contains(&b'\t') && behind.iter().find(|&&byte| byte != b' ').is_none_or(|&byte| byte != b'\t')
}

/// Reads 1 to 19 digits: every such number fits, and no real body needs more.
fn parse_length(value: &[u8]) -> Option<u64> {
    if !matches!(value.len(), 1..=19) || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}
