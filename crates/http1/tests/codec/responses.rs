//! What is a response and what is not, as tables; each message split at every byte.

use tidegate_http1::RequestKind::{Connect, Head, Ordinary};

use crate::reading::Kind;

fn check(cases: &[(&str, &str)]) {
    crate::check(Kind::Response(Ordinary), cases);
}

#[test]
fn a_response_ends_by_length_by_chunks_or_with_the_connection() {
    check(&[
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", "Length(2), keep, body \"ab\", rest \"c\""),
        ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "Length(0), keep, body \"\""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nb",
            "Chunked, keep, body \"a\", rest \"b\"",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nabc", "Close, body \"abc\""),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nabc", "Close, body \"abc\""),
        ("HTTP/1.0 200 OK\r\n\r\nabc", "Close, body \"abc\""),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na", "Length(1), keep, body \"a\""),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "Length(1), body \"a\""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", "Length(1), body \"a\""),
        ("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "Length(0), keep, body \"\""),
    ]);
}

#[test]
fn some_statuses_have_no_body() {
    check(&[
        ("HTTP/1.1 204 No Content\r\n\r\nX", "None, keep, body \"\", rest \"X\""),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "None, keep, body \"\""),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nX", "unexpected_body"),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "unexpected_body"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nX", "None, keep, body \"\", rest \"X\""),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "None, keep, body \"\""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9, 9\r\n\r\n", "bad_content_length"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "None, keep, interim, body \"\", rest \"HTTP/1.1 200 OK\\r\\n\\r\\n\"",
        ),
        ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "None, keep, interim, body \"\""),
        ("HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n", "unexpected_body"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\n\x01", "None, switched, body \"\", rest \"\\x01\""),
        ("HTTP/1.1 101 Switching Protocols\r\nTransfer-Encoding: chunked\r\n\r\n", "unexpected_body"),
    ]);
}

#[test]
fn the_answer_to_head_has_no_body_whatever_it_announces() {
    crate::check(
        Kind::Response(Head),
        &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "None, keep, body \"\""),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "None, keep, body \"\""),
            ("HTTP/1.1 200 OK\r\n\r\nX", "None, keep, body \"\", rest \"X\""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", "length_with_coding"),
        ],
    );
}

#[test]
fn success_to_connect_is_a_tunnel_and_failure_is_a_response() {
    crate::check(
        Kind::Response(Connect),
        &[
            ("HTTP/1.1 200 OK\r\n\r\n\x16", "None, switched, body \"\", rest \"\\x16\""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "unexpected_body"),
            ("HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\nabc", "Length(3), keep, body \"abc\""),
        ],
    );
}

#[test]
fn a_status_line_has_a_version_a_status_and_a_space() {
    check(&[
        ("HTTP/1.1 404 Not \tFound \u{e9}\r\nContent-Length: 0\r\n\r\n", "Length(0), keep, body \"\""),
        ("HTTP/1.1 200\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 200\n\n", "bad_status_line"),
        ("HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1\t200 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 099 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 600 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 -20 OK\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 200 a\u{1}\r\n\r\n", "bad_status_line"),
        ("HTTP/1.1 200 a\0\r\n\r\n", "nul"),
        ("HTTP/1.1 200 a\nb\r\n\r\n", "bare_lf"),
        ("HTTP/1.1 200 a\rb\r\n\r\n", "bare_cr"),
        ("HTTP/1.2 200 OK\r\n\r\n", "unsupported_version"),
        ("HTTP/2.0 200 OK\r\n\r\n", "unsupported_version"),
        ("http/1.1 200 OK\r\n\r\n", "bad_version"),
        ("ICY 200 OK\r\n\r\n", "bad_version"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "bad_version"),
        ("HTTP/1.1 200 ", "partial \"\""),
        ("HTTP/1.1 20", "partial \"\""),
        ("HTT", "partial \"\""),
    ]);
}

#[test]
fn what_means_nothing_in_a_response_is_not_judged() {
    check(&[(
        "HTTP/1.1 200 OK\r\nHost: a\r\nHost: b,c\r\nExpect: x\r\nContent-Length: 0\r\n\r\n",
        "Length(0), keep, body \"\"",
    )]);
}

#[test]
fn an_upstream_is_held_to_the_rules_of_requests() {
    check(&[
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "repeated_content_length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "length_with_coding"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "coding_in_http10"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "bad_transfer_encoding"),
        ("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "space_before_colon"),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "folded_line"),
        ("HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", "bare_lf"),
        ("HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n", "nul"),
        ("HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", "bad_connection"),
    ]);
}
