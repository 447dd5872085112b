//! Limits, reuse, Connection and lookups: what a table of messages does not show.

use tidegate_http1::{
    ChunkError, Error, FramingError, Known, Limits, Parse, RequestParser, ResponseParser, connection_nominated,
    connection_nominates,
};

/// The result of parsing with limits, the same however the bytes are split.
fn parse(bytes: &[u8], limits: Limits) -> Result<Parse, Error> {
    let whole = RequestParser::new(limits).parse(bytes);
    for cut in 0..bytes.len() {
        let mut parser = RequestParser::new(limits);
        let split = parser.parse(&bytes[..cut]).and_then(|_| parser.parse(bytes));
        assert_eq!(split, whole, "split at {cut}");
    }
    whole
}

const SMALL: Limits = Limits { head: 64, fields: 3, target: 8 };

#[test]
fn a_head_of_exactly_the_limit_is_accepted() {
    let head = |pad: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(pad));
    let exact = head(64 - head(0).len());
    assert_eq!(exact.len(), 64);
    assert_eq!(parse(exact.as_bytes(), SMALL), Ok(Parse::Complete));
    assert_eq!(parse(head(65 - head(0).len()).as_bytes(), SMALL), Err(Error::HeadTooLarge));
    assert_eq!(parse(&[b'x'; 65], SMALL), Err(Error::BadMethod));
    assert_eq!(parse(format!("GET / HTTP/1.1\r\n{}", "x".repeat(99)).as_bytes(), SMALL), Err(Error::HeadTooLarge));
}

#[test]
fn what_lies_behind_the_limit_is_not_looked_at() {
    let bad_behind = format!("GET / HTTP/1.1\r\nX: {}\0", "x".repeat(60));
    assert_eq!(parse(bad_behind.as_bytes(), SMALL), Err(Error::HeadTooLarge));
    let bad_before = format!("GET / HTTP/1.1\r\nX: \0{}", "x".repeat(60));
    assert_eq!(parse(bad_before.as_bytes(), SMALL), Err(Error::Nul));
}

#[test]
fn fields_and_target_have_limits_of_their_own() {
    assert_eq!(parse(b"GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\n\r\n", SMALL), Ok(Parse::Complete));
    assert_eq!(parse(b"GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", SMALL), Err(Error::TooManyFields));
    assert_eq!(parse(b"GET /2345678 HTTP/1.1\r\n\r\n", SMALL), Ok(Parse::Complete));
    assert_eq!(parse(b"GET /23456789 HTTP/1.1\r\n\r\n", SMALL), Err(Error::TargetTooLong));
    assert_eq!(parse(b"GET /23456789\0", SMALL), Err(Error::TargetTooLong));
}

#[test]
fn limits_of_any_size_do_no_harm() {
    for limit in [0, 1, 2, usize::MAX] {
        let limits = Limits { head: limit, fields: limit, target: limit };
        let result = parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", limits);
        assert_eq!(result.is_ok(), limit == usize::MAX, "{limit}");
        let mut parser = ResponseParser::new(limits);
        assert_eq!(parser.parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n").is_ok(), limit == usize::MAX, "{limit}");
    }
}

#[test]
fn a_parser_is_used_again_for_the_next_message() {
    let mut parser = RequestParser::default();
    assert!(!parser.is_started());
    assert_eq!(parser.parse(b"GET /a HTTP/1.1\r\nHost: a\r\nTE: x"), Ok(Parse::Partial));
    assert!(parser.is_started());
    parser.clear();
    assert_eq!(parser.parse(b"\r\n"), Ok(Parse::Partial));
    assert!(!parser.is_started());
    parser.clear();
    let bytes = b"\r\nPOST /b HTTP/1.0\r\nCookie: c\r\n\r\n";
    assert_eq!(parser.parse(bytes), Ok(Parse::Complete));
    let head = parser.head();
    assert_eq!((head.method.of(bytes), head.target.of(bytes), head.length), (&b"POST"[..], &b"/b"[..], bytes.len()));
    assert!(head.seen.contains(Known::Cookie) && !head.seen.contains(Known::Te));
    parser.clear();
    assert_eq!(parser.head().fields.len(), 0);
    assert_eq!(parser.parse(b"?"), Err(Error::BadMethod));
}

#[test]
fn a_head_is_searched_by_known_names() {
    let bytes = b"GET / HTTP/1.1\r\nHOST: a\r\nCookie: b\r\nX: c\r\ncookie: d\r\n\r\n";
    let mut parser = RequestParser::default();
    assert_eq!(parser.parse(bytes), Ok(Parse::Complete));
    let head = parser.head();
    assert_eq!(head.get(Known::Host, bytes), Some(&b"a"[..]));
    assert_eq!(head.get(Known::Te, bytes), None);
    assert_eq!(head.get(Known::Other, bytes), None);
    let cookies: Vec<_> = head.get_all(Known::Cookie).map(|field| field.value.of(bytes)).collect();
    assert_eq!(cookies, [b"b", b"d"]);
    assert_eq!(head.fields[0].name.of(b"too short"), b"");
}

#[test]
fn connection_nominates_fields_but_never_protected_ones() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop ,,TE\r\nX: y\r\n\
        connection: Content-Length, transfer-encoding, HOST, authorization, cookie, x-forwarded-for, keep-alive, upgrade\r\n\r\n";
    let mut parser = RequestParser::default();
    assert_eq!(parser.parse(bytes), Ok(Parse::Complete));
    let fields = &parser.head().fields;
    let nominated: Vec<_> = connection_nominated(fields, bytes).map(|name| name.escape_ascii().to_string()).collect();
    assert_eq!(nominated, ["X-Hop", "TE", "upgrade"]);
    assert!(connection_nominates(fields, bytes, b"x-hop") && connection_nominates(fields, bytes, b"te"));
    for name in [&b"content-length"[..], b"Transfer-Encoding", b"host", b"cookie", b"x", b"", b"close"] {
        assert!(!connection_nominates(fields, bytes, name), "{}", name.escape_ascii());
    }
}

#[test]
fn every_error_has_a_code_of_its_own_and_a_status() {
    let mut codes: Vec<&str> = Vec::new();
    codes.extend(Error::ALL.iter().map(|error| error.code()));
    codes.extend(FramingError::ALL.iter().map(|error| error.code()));
    codes.extend(ChunkError::ALL.iter().map(|error| error.code()));
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
    assert!(codes.iter().all(|code| { code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) }));
    assert!(Error::ALL.iter().all(|error| matches!(error.status(), 400 | 414 | 431 | 505)));
    assert_eq!((Error::BadTarget.to_string(), size_of::<Error>()), ("bad_target".to_string(), 1));
}

/// A head that drips in byte by byte costs a look at each byte, not at all bytes before it.
#[test]
fn a_dripping_head_costs_no_more_than_its_length() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(4 << 20));
    let limits = Limits { head: 8 << 20, ..Limits::default() };
    let mut parser = RequestParser::new(limits);
    // Quadratic work would be 8 * 10^12 steps here; this ends in a moment.
    for end in 0..head.len() {
        assert_eq!(parser.parse(&head.as_bytes()[..end]), Ok(Parse::Partial));
    }
    assert_eq!(parser.parse(head.as_bytes()), Ok(Parse::Complete));
}
