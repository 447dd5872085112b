//! Turns the head of an HTTP/2 request into a [`Request`]: checked, normal, and free of what belongs to the connection only.
//!
//! `h2` has refused, with a reset of the stream, what cannot be a request at all: upper case names, repeated, unknown or late
//! pseudo-fields, connection fields, a missing `:method`, `:scheme` or `:path`, a `content-length` that the body does not keep.

use h2::ext::Protocol as ConnectProtocol;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TE};
use http::request::Parts;
use tidegate_http1::{Known, is_authority};

use crate::exchange::{Method, Protocol, Request, Upgrade};
use crate::http2::fields;
use crate::intake;
use crate::plan::ListenerLimits;
use crate::respond::{Code, Failure};
use crate::sides::BodySize;

/// As in the HTTP/1.1 codec.
const METHOD_BYTES: usize = 32;
/// What a field takes beside its name and value, as HTTP/1.1 would write it: `: ` and the line end.
const FIELD_BYTES: usize = 4;

/// Fills `request`. `has_body` is false when the head ended the stream.
///
/// Of a head that is refused, the request has what was found good before: enough to answer and to log it.
pub fn fill(request: &mut Request, parts: &Parts, has_body: bool, limits: &ListenerLimits) -> Result<(), Failure> {
    request.protocol = Protocol::Http2;
    fill_method(request, parts)?;
    check_size(&parts.headers, limits)?;
    fields::from_map(&parts.headers, &mut request.head).map_err(|_| malformed("white space around a field value"))?;
    fill_target(request, parts, limits)?;
    fill_authority(request, parts)?;
    request.body = body_size(&parts.headers, has_body, request.upgrade)?;
    request.expect_continue = expects_continue(&parts.headers)?;
    request.trailers = parts.headers.contains_key(TE);
    if request.upgrade != Upgrade::None {
        // HTTP/2 has no use for it (RFC 8441 section 5), and the service gets one of ours.
        request.head.remove_known(Known::SecWebsocketKey);
    }
    Ok(())
}

fn malformed(detail: &str) -> Failure {
    Failure::with(Code::MalformedRequest, detail)
}

/// The limits that clients of HTTP/1.1 have, too. `h2` stops what is far above them.
fn check_size(map: &HeaderMap, limits: &ListenerLimits) -> Result<(), Failure> {
    if map.len() > limits.head_fields {
        return Err(Code::TooManyFields.into());
    }
    let bytes: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
    if bytes > limits.head_bytes { Err(Code::HeadTooLarge.into()) } else { Ok(()) }
}

fn fill_method(request: &mut Request, parts: &Parts) -> Result<(), Failure> {
    let name = parts.method.as_str();
    if name.len() > METHOD_BYTES {
        return Err(malformed("the method is too long"));
    }
    request.method = Method::of(name.as_bytes());
    if request.method != Method::Connect {
        request.method_name = request.head.keep(name.as_bytes());
        return Ok(());
    }
    // RFC 8441: what HTTP/1.1 asks for with GET and Upgrade. Routes and policies see the same request from both.
    let Some(protocol) = parts.extensions.get::<ConnectProtocol>() else {
        return Err(Code::ConnectRefused.into());
    };
    if !tidegate_http1::is_token(protocol.as_ref()) {
        return Err(malformed("`:protocol` is not a token"));
    }
    request.method = Method::Get;
    request.method_name = request.head.keep(b"GET");
    request.upgrade = Upgrade::Connect(request.head.keep(protocol.as_ref()));
    Ok(())
}

fn fill_target(request: &mut Request, parts: &Parts, limits: &ListenerLimits) -> Result<(), Failure> {
    if parts.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(malformed("`:scheme` is neither `http` nor `https`"));
    }
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > limits.target_bytes {
        return Err(Code::TargetTooLong.into());
    }
    if target == "*" {
        if request.method != Method::Options {
            return Err(Failure::with(Code::BadPath, "`*` is for OPTIONS only"));
        }
        request.raw_path = request.head.keep(b"*");
        request.path.extend_from_slice(b"*");
        return Ok(());
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes())),
        None => (target, None),
    };
    request.raw_path = request.head.keep(path.as_bytes());
    request.query = query.map(|query| request.head.keep(query));
    intake::fill_path(request, path.as_bytes(), query)
}

/// RFC 9113 section 8.3.1: `:authority`, or `Host` without it; where both are there they must agree.
fn fill_authority(request: &mut Request, parts: &Parts) -> Result<(), Failure> {
    let mut hosts = parts.headers.get_all(HOST).iter().map(|value| value.as_bytes());
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::with(Code::BadHost, "more than one Host"));
    }
    let named = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let authority = match (named, host) {
        (Some(named), Some(host)) if !named.eq_ignore_ascii_case(host) => {
            return Err(Failure::with(Code::BadHost, "`:authority` and Host disagree"));
        }
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(Failure::with(Code::BadHost, "neither `:authority` nor Host")),
    };
    if !is_authority(authority) {
        return Err(Failure::with(Code::BadHost, "the authority is not `host` or `host:port`"));
    }
    request.authority = request.head.keep(authority);
    intake::fill_host(request, authority)
}

fn body_size(map: &HeaderMap, has_body: bool, upgrade: Upgrade) -> Result<BodySize, Failure> {
    let length = single(map, CONTENT_LENGTH)?;
    if upgrade != Upgrade::None {
        return match length {
            Some(_) => Err(Failure::with(Code::BadFraming, "a content-length on CONNECT")),
            None => Ok(BodySize::Empty),
        };
    }
    let parsed = match length {
        Some(text) if !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit) => {
            Some(text.iter().fold(0u64, |length, digit| length * 10 + u64::from(digit - b'0')))
        }
        Some(_) => return Err(Failure::with(Code::BadFraming, "content-length is not a number")),
        None => None,
    };
    Ok(match (has_body, parsed) {
        (false, _) => BodySize::Empty,
        (true, Some(length)) => BodySize::Length(length),
        (true, None) => BodySize::Unknown,
    })
}

/// The value of a field that may be there once.
fn single(map: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, Failure> {
    let mut values = map.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    match values.next() {
        Some(_) => Err(Failure::with(Code::BadFraming, "repeated content-length")),
        None => Ok(first),
    }
}

fn expects_continue(map: &HeaderMap) -> Result<bool, Failure> {
    let mut values = map.get_all(EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Code::ExpectationFailed.into()),
    }
}
