//! The four forms of a request target, RFC 9112 section 3.2, and the grammar of Host.

use std::net::Ipv6Addr;

use memchr::{memchr, memchr2};

use crate::error::FramingError;
use crate::head::RequestHead;
use crate::scan::host_name_end;
use crate::span::Span;

/// A request target in its parts. A path is as it was sent: not decoded, dot segments and all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// `/path?query`
    Origin {
        /// From the first slash up to the question mark.
        path: Span,
        /// What follows the question mark; none without one, empty for `/?`.
        query: Option<Span>,
    },
    /// `http://authority/path?query`; the authority equals Host.
    Absolute {
        /// `http` or `https`, in any case.
        scheme: Span,
        /// `host` or `host:port`.
        authority: Span,
        /// Empty when nothing stands between authority and query; then it means `/`, or `*` for OPTIONS.
        path: Span,
        /// What follows the question mark; none without one.
        query: Option<Span>,
    },
    /// `*`, only for OPTIONS.
    Asterisk,
    /// `host:port`, only for CONNECT; equals Host.
    Authority,
}

impl Target {
    /// Takes the target of a head apart. Does not look at Host; [`request_framing`](crate::request_framing) does.
    #[inline]
    pub fn parse(head: &RequestHead, buf: &[u8]) -> Result<Target, FramingError> {
        let target = head.target.of(buf);
        let connect = head.method.of(buf) == b"CONNECT";
        match target.first() {
            Some(b'/') if !connect => {
                let (path, query) = split_query(head.target, target);
                Ok(Target::Origin { path, query })
            }
            _ => other_form(head, buf, connect),
        }
    }

    /// The path and query, where the form has them.
    #[inline]
    pub fn path_and_query(self) -> Option<(Span, Option<Span>)> {
        match self {
            Target::Origin { path, query } | Target::Absolute { path, query, .. } => Some((path, query)),
            Target::Asterisk | Target::Authority => None,
        }
    }
}

#[cold]
fn other_form(head: &RequestHead, buf: &[u8], connect: bool) -> Result<Target, FramingError> {
    let target = head.target.of(buf);
    if connect {
        let with_port = is_authority(target) && !target.ends_with(b"]") && target.contains(&b':');
        return if with_port { Ok(Target::Authority) } else { Err(FramingError::TargetForm) };
    }
    if target == b"*" && head.method.of(buf) == b"OPTIONS" {
        return Ok(Target::Asterisk);
    }
    absolute(head.target, target).ok_or(FramingError::TargetForm)
}

fn absolute(span: Span, target: &[u8]) -> Option<Target> {
    let start = span.start as usize;
    let scheme = if starts_with(target, b"http://") {
        4
    } else if starts_with(target, b"https://") {
        5
    } else {
        return None;
    };
    let from = scheme + 3;
    let to = memchr2(b'/', b'?', &target[from..]).map_or(target.len(), |place| from + place);
    if !is_authority(&target[from..to]) {
        return None;
    }
    let (path, query) = split_query(Span::new(start + to, span.end()), &target[to..]);
    Some(Target::Absolute {
        scheme: Span::new(start, start + scheme),
        authority: Span::new(start + from, start + to),
        path,
        query,
    })
}

fn starts_with(target: &[u8], prefix: &[u8]) -> bool {
    target.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[inline]
fn split_query(span: Span, bytes: &[u8]) -> (Span, Option<Span>) {
    let start = span.start as usize;
    match memchr(b'?', bytes) {
        Some(mark) => (Span::new(start, start + mark), Some(Span::new(start + mark + 1, span.end()))),
        None => (span, None),
    }
}

/// Whether the bytes are `host` or `host:port`, RFC 9110 section 7.2, narrower than RFC 3986 section 3.2 allows.
///
/// A host is an IPv6 literal in brackets or unreserved bytes: no user, no percent escapes, no sub-delimiters, no zone, not empty.
/// A port is 1 to 5 digits up to 65535; a colon without one is refused.
#[inline]
pub fn is_authority(bytes: &[u8]) -> bool {
    let host = match bytes.first() {
        Some(b'[') => match memchr(b']', bytes) {
            Some(close) if is_ipv6(&bytes[1..close]) => close + 1,
            _ => return false,
        },
        _ => host_name_end(bytes),
    };
    host > 0
        && match &bytes[host..] {
            [] => true,
            [b':', port @ ..] => is_port(port),
            _ => false,
        }
}

fn is_ipv6(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_port(digits: &[u8]) -> bool {
    matches!(digits.len(), 1..=5)
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65535
}

#[cfg(test)]
mod tests {
    use super::is_authority;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_without() {
        for good in
            ["a", "example.com", "a_b.c-d", "10.0.0.7:8080", "[::1]", "[::1]:0", "[2001:db8::1]:65535", "a.", "x~y"]
        {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let bad = [
            "",
            ":",
            ":80",
            "a:",
            "a:b",
            "a:65536",
            "a:123456",
            "a:+1",
            "a:8:0",
            "u@a",
            "u:p@a",
            "a,b",
            "a b",
            "a/b",
            "a?b",
            "a\\b",
            "a%41",
            "a;b",
            "a'b",
            "[::1",
            "::1",
            "[]",
            "[::1]x",
            "[::1]:",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "[v1.a]",
            "é",
            "a\0",
            "a\t",
            "(a)",
            "*.a",
            "a]",
            "[a]",
        ];
        for bad in bad {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
