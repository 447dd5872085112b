//! Converts between a [`Head`] and the field map of the `h2` crate.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use tidegate_http1::{Known, Span};

use crate::head::Head;
use crate::policies::trust::is_owned_in_trailers;

/// Fields of a larger head are copied one by one: values share their head's memory, and the compressor's table may hold on to
/// any of them for as long as the connection lives.
const SHARED_BYTES: usize = 2 * 1024;

/// The names the codec knows, by their number: one table look-up instead of parsing.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let mut names = vec![HeaderName::from_static("x-unknown"); Known::ALL.len() + 1];
    for &known in Known::ALL {
        names[known as usize] = HeaderName::from_static(known.name());
    }
    names
});

/// A field that cannot be sent: its name is no token, or its value holds control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField;

impl std::fmt::Display for BadField {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a field cannot be sent over HTTP/2")
    }
}

/// Makes the field map of a head; names become lower case (RFC 9113 section 8.2).
///
/// Fields that belong to a connection are left out, so that nothing a policy adds can make the message malformed.
pub fn to_map(head: &Head, more: usize) -> Result<HeaderMap, BadField> {
    let mut map = HeaderMap::with_capacity(head.most_fields() + more);
    let block = match head.bytes() {
        bytes if bytes.len() <= SHARED_BYTES => Bytes::copy_from_slice(bytes),
        _ => Bytes::new(),
    };
    let names = &*NAMES;
    for (known, name, value) in head.spans() {
        if is_connection_field(known) {
            continue;
        }
        let name = match known {
            Known::Other => HeaderName::from_bytes(name.of(head.bytes())).map_err(|_| BadField)?,
            known => names[known as usize].clone(),
        };
        let mut value = to_value(&block, head, value)?;
        value.set_sensitive(is_fleeting(known));
        map.append(name, value);
    }
    Ok(map)
}

fn to_value(block: &Bytes, head: &Head, value: Span) -> Result<HeaderValue, BadField> {
    let made = match block.is_empty() {
        true => HeaderValue::from_bytes(value.of(head.bytes())),
        false => HeaderValue::from_maybe_shared(block.slice(value.start as usize..value.end())),
    };
    made.map_err(|_| BadField)
}

/// Fields whose value rarely comes again: sent as they are, and never put into the compressor's table.
///
/// There each would push something useful out, and every later one would be compared with all that are in (`h2` looks at the
/// entries of a name one by one): with a request id in the answer that took a sixteenth of the user time of a small request.
fn is_fleeting(known: Known) -> bool {
    use Known::*;
    matches!(
        known,
        Date | Expires
            | LastModified
            | ContentRange
            | Range
            | XRequestId
            | Traceparent
            | Tracestate
            | XForwardedFor
            | XRealIp
            | Forwarded
            | IdempotencyKey
            | GrpcTimeout
    )
}

/// Fields that make an HTTP/2 message malformed (RFC 9113 section 8.2.2), and framing, which is the stream's.
fn is_connection_field(known: Known) -> bool {
    known.is_hop_by_hop() || known.is_framing() || known == Known::Host
}

/// Sets a field that counts something.
pub fn set_length(map: &mut HeaderMap, length: u64) {
    map.insert(names(Known::ContentLength), HeaderValue::from(length));
}

pub fn names(known: Known) -> HeaderName {
    NAMES[known as usize].clone()
}

/// What [`from_map`] found wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadMap {
    /// White space around a value (RFC 9113 section 8.2.1), which the next hop would read without.
    PaddedValue,
}

/// Copies the fields into a head. Connection fields are left out (`h2` has refused the worst of them already), `Host` and framing
/// too; cookies that came in pieces are joined (RFC 9113 section 8.2.3).
pub fn from_map(map: &HeaderMap, head: &mut Head) -> Result<(), BadMap> {
    let mut cookies = false;
    for (name, value) in map {
        let value = value.as_bytes();
        if is_padded(value) {
            return Err(BadMap::PaddedValue);
        }
        let name = name.as_str().as_bytes();
        let known = Known::of(name);
        if is_connection_field(known) {
            continue;
        }
        match known {
            Known::Cookie if cookies => {}
            Known::Cookie => {
                cookies = true;
                add_cookies(map, head);
            }
            known => head.add_known(known, name, value),
        }
    }
    Ok(())
}

fn add_cookies(map: &HeaderMap, head: &mut Head) {
    head.add_with(b"cookie", |out| {
        let start = out.len();
        for value in map.get_all(COOKIE) {
            if out.len() > start {
                out.extend_from_slice(b"; ");
            }
            out.extend_from_slice(value.as_bytes());
        }
    });
}

fn is_padded(value: &[u8]) -> bool {
    matches!(value.first(), Some(b' ' | b'\t')) || matches!(value.last(), Some(b' ' | b'\t'))
}

/// Copies the trailers that may be passed on (RFC 9110 section 6.5.1).
pub fn from_trailers(map: &HeaderMap, head: &mut Head) -> Result<(), BadMap> {
    from_map(map, head)?;
    head.retain(|known, name, _| known.is_allowed_in_trailers() && !is_owned_in_trailers(name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn lines(head: &Head) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        head.iter().map(|(_, name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn cookies_in_pieces_are_joined() {
        let mut head = Head::default();
        from_map(&map(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]), &mut head).unwrap();
        assert_eq!(head.get_all(b"cookie").collect::<Vec<_>>(), [b"a=1; b=2"]);
        assert_eq!(head.get(b"x"), Some(&b"y"[..]));
    }

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let mut head = Head::default();
        from_map(&map(&[("te", "trailers"), ("host", "a"), ("content-length", "1"), ("via", "b")]), &mut head).unwrap();
        assert_eq!(lines(&head), [("via".into(), "b".into())]);
        let mut sent = Head::default();
        for (name, value) in [("Connection", "close"), ("Upgrade", "x"), ("X-Thing", "1"), ("Via", "2")] {
            sent.add(name.as_bytes(), value.as_bytes());
        }
        let sent = to_map(&sent, 0).unwrap();
        assert_eq!(sent, map(&[("x-thing", "1"), ("via", "2")]));
    }

    #[test]
    fn padded_values_are_refused() {
        for value in [" a", "a ", "\ta", "a\t"] {
            assert_eq!(from_map(&map(&[("x", value)]), &mut Head::default()), Err(BadMap::PaddedValue), "{value:?}");
        }
    }

    #[test]
    fn trailers_that_steer_the_message_are_dropped() {
        let mut head = Head::default();
        let trailers = map(&[("grpc-status", "0"), ("authorization", "x"), ("content-type", "y"), ("x-sum", "1")]);
        from_trailers(&trailers, &mut head).unwrap();
        assert_eq!(lines(&head), [("grpc-status".into(), "0".into()), ("x-sum".into(), "1".into())]);
    }

    #[test]
    fn a_value_that_cannot_be_sent_is_an_error() {
        let mut head = Head::default();
        head.add(b"x", b"a\r\nb: c");
        assert_eq!(to_map(&head, 0), Err(BadField));
    }
}
