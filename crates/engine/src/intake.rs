//! Turns a parsed HTTP/1.1 head into a [`Request`]: checked, normal, and free of what belongs to the connection only.

use tidegate_http1::{self as codec, BodyLength, FramingError, Known, RequestFraming, RequestHead, Target, Version};

use crate::exchange::{Method, Protocol, Request, Upgrade};
use crate::path;
use crate::respond::{Code, Failure};
use crate::routing::normalise_host;
use crate::sides::BodySize;

/// Fills `request` from a head, and says how its body is framed; `data` is what the head's spans point into.
///
/// Of a head that is refused, the request has what was found good before: enough to answer and to log it.
pub fn fill_http1(request: &mut Request, head: &RequestHead, data: &[u8]) -> Result<RequestFraming, Failure> {
    request.head.fill(&data[..head.length], &head.fields, head.seen);
    request.protocol = if head.version == Version::Http10 { Protocol::Http10 } else { Protocol::Http11 };
    request.method_name = head.method;
    request.method = Method::of(head.method.of(data));
    let framing = codec::request_framing(head, data).map_err(framing_failure)?;
    if request.method == Method::Connect {
        return Err(Code::ConnectRefused.into());
    }
    request.authority = framing.host;
    request.body = match framing.body {
        BodyLength::None | BodyLength::Close => BodySize::Empty,
        BodyLength::Length(length) => BodySize::Length(length),
        BodyLength::Chunked => BodySize::Unknown,
    };
    request.expect_continue = framing.expect_continue;
    request.upgrade = if framing.upgrade { Upgrade::Http1 } else { Upgrade::None };
    request.trailers = head.seen.contains(Known::Te) && accepts_trailers(request);
    fill_target(request, framing.target, data)?;
    fill_host(request, framing.host.of(data))?;
    strip(request, head, data);
    Ok(framing)
}

fn framing_failure(error: FramingError) -> Failure {
    let code = match error {
        FramingError::UnknownExpectation => Code::ExpectationFailed,
        FramingError::BadHost
        | FramingError::MissingHost
        | FramingError::RepeatedHost
        | FramingError::TargetNotHost => Code::BadHost,
        FramingError::TargetForm | FramingError::BadConnection => Code::MalformedRequest,
        _ => Code::BadFraming,
    };
    Failure::with(code, error)
}

fn accepts_trailers(request: &Request) -> bool {
    let values = request.head.get_all(b"te");
    values.flat_map(codec::list_elements).any(|element| element.eq_ignore_ascii_case(b"trailers"))
}

fn fill_target(request: &mut Request, target: Target, data: &[u8]) -> Result<(), Failure> {
    let Some((path, query)) = target.path_and_query() else {
        request.raw_path = request.head.keep(b"*");
        request.path.extend_from_slice(b"*");
        request.query = None;
        return Ok(());
    };
    request.raw_path = path;
    request.query = query;
    // An absolute target may leave the path out (RFC 9112 section 3.2.2).
    let sent = if path.len == 0 { &b"/"[..] } else { path.of(data) };
    fill_path(request, sent, query.map(|query| query.of(data)))
}

/// Puts the path into its normal form and checks the query.
pub fn fill_path(request: &mut Request, sent: &[u8], query: Option<&[u8]>) -> Result<(), Failure> {
    let bad = |error: path::PathError| Failure::with(Code::BadPath, error.reason());
    // Nearly every path is normal already; then the scratch is not used.
    let mut scratch = Vec::new();
    let normal = path::normalise(sent, &mut scratch).map_err(bad)?;
    request.path.clear();
    request.path.extend_from_slice(normal);
    path::check_query(query.unwrap_or_default()).map_err(bad)
}

/// Puts the host into the form that routes are matched by.
pub fn fill_host(request: &mut Request, sent: &[u8]) -> Result<(), Failure> {
    let mut scratch = Vec::new();
    let normal = normalise_host(sent, &mut scratch).map_err(|error| Failure::with(Code::BadHost, error))?;
    request.host.clear();
    request.host.extend_from_slice(normal);
    Ok(())
}

/// Takes out what is not for the next hop: connection fields, what they nominate, framing, and what is written anew.
fn strip(request: &mut Request, head: &RequestHead, data: &[u8]) {
    if head.seen.contains(Known::Connection) {
        for name in codec::connection_nominated(&head.fields, data) {
            if !name.eq_ignore_ascii_case(b"upgrade") {
                request.head.remove(name);
            }
        }
    }
    let upgrade = request.upgrade == Upgrade::Http1;
    let expects = request.expect_continue;
    request.head.remove_where(|known| match known {
        Known::Upgrade => !upgrade,
        Known::Expect => !expects,
        Known::Host => true,
        known => known.is_hop_by_hop() || known.is_framing(),
    });
}
