//! Chunked bodies, as tables; each body split at every byte.

use tidegate_http1::{ChunkDecoder, ChunkError, ChunkLimits, Decoded, Limits};

use crate::reading::{Kind, Outcome, read_within};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn check(cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        let got = crate::outcome(format!("{HEAD}{body}").as_bytes(), Kind::Request);
        let got = got.strip_prefix("origin /, host a, Chunked, keep, body ").unwrap_or(&got);
        assert_eq!(got, *expected, "{body:?}");
    }
}

/// The outcome under limits, the same however the bytes are split.
fn limited(body: &[u8], limits: ChunkLimits) -> Outcome {
    let bytes = [HEAD.as_bytes(), body].concat();
    let read = |cuts: &[usize]| read_within(&bytes, cuts, Kind::Request, Limits::default(), limits);
    let whole = read(&[]);
    for cut in 0..bytes.len() {
        assert_eq!(read(&[cut]), whole, "split at {cut}");
    }
    whole
}

#[test]
fn chunks_are_put_together() {
    check(&[
        ("0\r\n\r\n", "\"\""),
        ("5\r\nhello\r\n0\r\n\r\n", "\"hello\""),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\nnext", "\"abc\", rest \"next\""),
        ("A\r\n0123456789\r\na\r\nabcdefghij\r\n000\r\n\r\n", "\"0123456789abcdefghij\""),
        ("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "\"hello\""),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\"\\r\\n\""),
    ]);
}

#[test]
fn sizes_are_hexadecimal_digits_and_nothing_else() {
    check(&[
        ("\r\n", "bad_chunk_size"),
        (" 5\r\nhello\r\n", "bad_chunk_size"),
        ("5 \r\nhello\r\n", "bad_chunk_size"),
        ("5\t\r\nhello\r\n", "bad_chunk_size"),
        ("+5\r\nhello\r\n", "bad_chunk_size"),
        ("-5\r\nhello\r\n", "bad_chunk_size"),
        ("0x5\r\nhello\r\n", "bad_chunk_size"),
        ("5_\r\nhello\r\n", "bad_chunk_size"),
        ("g\r\nhello\r\n", "bad_chunk_size"),
        ("5\0\r\nhello\r\n", "bad_chunk_size"),
        ("00000000000000005\r\nhello\r\n", "chunk_size_too_long"),
        ("10000000000000005\r\nhello\r\n", "chunk_size_too_long"),
        ("ffffffffffffffff\r\nhello", "partial \"hello\""),
    ]);
}

#[test]
fn lines_and_chunks_end_in_cr_lf() {
    check(&[
        ("5\nhello\r\n", "bad_chunk_line_end"),
        ("5\rhello\r\n", "bad_chunk_line_end"),
        ("5\r\nhello\n0\r\n\r\n", "bad_chunk_line_end"),
        ("5\r\nhello0\r\n\r\n", "bad_chunk_line_end"),
        ("5\r\nhello!\r\n0\r\n\r\n", "bad_chunk_line_end"),
        ("5\r\nhell\r\n0\r\n\r\n", "bad_chunk_line_end"),
        ("5\r\nhello\r0\r\n\r\n", "bad_chunk_line_end"),
        ("0\n\r\n", "bad_chunk_line_end"),
        ("0\r\n\n", "bad_trailer"),
        ("0\r\n\rX", "bad_trailer"),
        ("5\r\nhello\r\n\r\n0\r\n\r\n", "bad_chunk_size"),
    ]);
}

#[test]
fn extensions_are_read_and_dropped() {
    check(&[
        ("1;a\r\nx\r\n0\r\n\r\n", "\"x\""),
        ("1;a=b;c;d=\"e;\\\"f\\\\ \t\u{e9}\"\r\nx\r\n0;z=\"\"\r\n\r\n", "\"x\""),
        ("1;\r\nx\r\n", "bad_chunk_line_end"),
        ("1;=b\r\nx\r\n", "bad_chunk_extension"),
        ("1;a=\r\nx\r\n", "bad_chunk_line_end"),
        ("1;a==b\r\nx\r\n", "bad_chunk_extension"),
        ("1;;a\r\nx\r\n", "bad_chunk_extension"),
        ("1; a\r\nx\r\n", "bad_chunk_extension"),
        ("1 ;a\r\nx\r\n", "bad_chunk_size"),
        ("1;a =b\r\nx\r\n", "bad_chunk_extension"),
        ("1;a= b\r\nx\r\n", "bad_chunk_extension"),
        ("1;a \r\nx\r\n", "bad_chunk_extension"),
        ("1;a\nx\r\n", "bad_chunk_line_end"),
        ("1;a\rx\r\n", "bad_chunk_line_end"),
        ("1;a=\"b\r\n\"\r\nx\r\n", "bad_chunk_line_end"),
        ("1;a=\"b\nc\"\r\nx\r\n", "bad_chunk_line_end"),
        ("1;a=\"b\"c\r\nx\r\n", "bad_chunk_extension"),
        ("1;a=\"\\\r\n\"\r\nx\r\n", "bad_chunk_line_end"),
        ("1;a=\0\r\nx\r\n", "bad_chunk_extension"),
        ("1;a=\"\0\"\r\nx\r\n", "bad_chunk_extension"),
    ]);
}

#[test]
fn extensions_are_limited_over_the_whole_body() {
    let body = b"1;abc\r\nx\r\n1;abc\r\nx\r\n0\r\n\r\n";
    let limits = |extensions| ChunkLimits { extensions, ..ChunkLimits::default() };
    assert!(matches!(limited(body, limits(8)), Outcome::Message(_)));
    assert_eq!(limited(body, limits(7)), Outcome::Refused("chunk_extensions_too_large"));
}

#[test]
fn trailers_are_fields() {
    check(&[
        ("0\r\nA: b\r\nC:\r\n\r\nrest", "\"\", rest \"rest\""),
        ("0\r\nA: b\r\n", "partial \"\""),
        ("0\r\nA : b\r\n\r\n", "bad_trailer"),
        ("0\r\n A: b\r\n\r\n", "bad_trailer"),
        ("0\r\nA: b\r\n c\r\n\r\n", "bad_trailer"),
        ("0\r\nA: b\n\r\n", "bad_trailer"),
        ("0\r\nA: \0\r\n\r\n", "bad_trailer"),
        ("0\r\n: b\r\n\r\n", "bad_trailer"),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", "bad_trailer"),
    ]);
}

#[test]
fn trailers_are_limited_in_bytes_and_lines() {
    let limits = ChunkLimits { trailers: 14, trailer_fields: 2, ..ChunkLimits::default() };
    assert!(matches!(limited(b"0\r\nA: b\r\nC: d\r\n\r\n", limits), Outcome::Message(_)));
    assert_eq!(limited(b"0\r\nA: b\r\nC: de\r\n\r\n", limits), Outcome::Refused("trailers_too_large"));
    assert_eq!(limited(b"0\r\nA:\r\nB:\r\nC:\r\n\r\n", limits), Outcome::Refused("trailers_too_large"));
    assert_eq!(limited(&[&b"0\r\n"[..], &[b'a'; 100]].concat(), limits), Outcome::Refused("trailers_too_large"));
}

#[test]
fn trailers_that_frame_route_or_authorise_are_not_forwarded() {
    let body = b"0\r\nContent-Length: 5\r\nGrpc-Status: 0\r\nHost: b\r\nAuthorization: x\r\nX-Sum: 1\r\nConnection: x-sum\r\n\r\n";
    let mut decoder = ChunkDecoder::default();
    assert_eq!(decoder.decode(body), Ok(Decoded::End { consumed: body.len() }));
    assert_eq!(decoder.trailers().fields.len(), 6);
    let allowed: Vec<_> = decoder.trailers().allowed().collect();
    assert_eq!(allowed, [(&b"Grpc-Status"[..], &b"0"[..]), (b"X-Sum", b"1")]);
}

#[test]
fn a_decoder_is_used_again() {
    let mut decoder = ChunkDecoder::default();
    assert_eq!(decoder.decode(b"3;x\r\nab"), Ok(Decoded::Data { skip: 5, len: 2 }));
    assert_eq!(decoder.chunk_left(), 1);
    assert_eq!(decoder.decode(b"c\r\n0\r\nA: b\r\n\r\nX"), Ok(Decoded::Data { skip: 0, len: 1 }));
    assert_eq!(decoder.decode(b"\r\n0\r\nA: b\r\n\r\nX"), Ok(Decoded::End { consumed: 13 }));
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"X"), Ok(Decoded::End { consumed: 0 }));
    decoder.clear();
    assert!(!decoder.is_done() && decoder.trailers().fields.is_empty());
    assert_eq!(decoder.decode(b"0\r\n\r\n"), Ok(Decoded::End { consumed: 5 }));
    decoder.clear();
    assert_eq!(decoder.decode(b"x"), Err(ChunkError::BadSize));
}
