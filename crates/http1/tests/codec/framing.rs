//! What the fields of a request say about the message around them, as tables; each message split at every byte.

use crate::requests::{check, with_fields};

#[test]
fn a_length_is_one_number() {
    with_fields(&[
        ("Content-Length: 5\r\nContent-Length: 5", "repeated_content_length"),
        ("Content-Length: 5\r\ncontent-length: 6", "repeated_content_length"),
        ("Content-Length: 5, 5", "bad_content_length"),
        ("Content-Length:", "bad_content_length"),
        ("Content-Length: +5", "bad_content_length"),
        ("Content-Length: -5", "bad_content_length"),
        ("Content-Length: 5 5", "bad_content_length"),
        ("Content-Length: 5\t", "bad_content_length"),
        ("Content-Length: \t5", "bad_content_length"),
        ("Content-Length: 0x5", "bad_content_length"),
        ("Content-Length: 5.0", "bad_content_length"),
        ("Content-Length: 1e1", "bad_content_length"),
        ("Content-Length: \u{665}", "bad_content_length"),
        ("Content-Length: 9999999999999999999", "partial \"\""),
        ("Content-Length: 18446744073709551615", "bad_content_length"),
        ("Content-Length: 18446744073709551621", "bad_content_length"),
        ("Content-Length: 00000000000000000005", "bad_content_length"),
    ]);
}

#[test]
fn a_coding_is_chunked_once_and_alone() {
    with_fields(&[
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "repeated_transfer_encoding"),
        ("Transfer-Encoding: chunked, chunked", "bad_transfer_encoding"),
        ("Transfer-Encoding: gzip, chunked", "bad_transfer_encoding"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "bad_transfer_encoding"),
        ("Transfer-Encoding: chunked, identity", "bad_transfer_encoding"),
        ("Transfer-Encoding: identity", "bad_transfer_encoding"),
        ("Transfer-Encoding: gzip", "bad_transfer_encoding"),
        ("Transfer-Encoding:", "bad_transfer_encoding"),
        ("Transfer-Encoding: ,chunked", "bad_transfer_encoding"),
        ("Transfer-Encoding: chunked,", "bad_transfer_encoding"),
        ("Transfer-Encoding: chunked;a=b", "bad_transfer_encoding"),
        ("Transfer-Encoding: \"chunked\"", "bad_transfer_encoding"),
        ("Transfer-Encoding: xchunked", "bad_transfer_encoding"),
        ("Transfer-Encoding: chun\tked", "bad_transfer_encoding"),
        // llhttp takes the tab for a part of the coding's name.
        ("Transfer-Encoding:\tchunked", "bad_transfer_encoding"),
        ("Transfer-Encoding: chunked \t", "bad_transfer_encoding"),
        ("Transfer-Encoding: \u{b}chunked", "bad_field_value"),
        ("Transfer-Encoding: \u{a0}chunked", "bad_transfer_encoding"),
        ("Transfer-Encoding : chunked", "space_before_colon"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "length_with_coding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", "length_with_coding"),
    ]);
    check(&[("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "coding_in_http10")]);
}

#[test]
fn connection_says_what_follows() {
    let ok = |words: &str| format!("origin /, host a, None{words}, body \"\"");
    let cases = [
        ("Connection: close", ok("")),
        ("Connection: Close", ok("")),
        ("Connection: keep-alive", ok(", keep")),
        ("Connection: keep-alive, close", ok("")),
        ("Connection: close\r\nConnection: keep-alive", ok("")),
        ("Connection: ,, x-a ,close,", ok("")),
        ("Connection:", ok(", keep")),
        ("Connection: closed", ok(", keep")),
        ("Connection: Upgrade\r\nUpgrade: websocket", ok(", keep, upgrade")),
        ("Connection: keep-alive, upgrade\r\nUpgrade: h2c", ok(", keep")),
        ("Connection: upgrade", ok(", keep")),
        ("Upgrade: websocket", ok(", keep")),
        ("Connection: a b", "bad_connection".into()),
        ("Connection: \"close\"", "bad_connection".into()),
        ("Connection: close;a", "bad_connection".into()),
    ];
    with_fields(&cases.each_ref().map(|(fields, expected)| (*fields, expected.as_str())));
    check(&[
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "origin /, host , None, keep, body \"\""),
        ("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", "origin /, host , None, body \"\""),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "origin /, host , None, body \"\""),
    ]);
}

#[test]
fn an_upgrade_is_offered_without_a_body_and_never_to_h2c() {
    with_fields(&[
        ("Connection: upgrade\r\nUpgrade: a, b/1\r\nUpgrade: c", "origin /, host a, None, keep, upgrade, body \"\""),
        (
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0",
            "origin /, host a, Length(0), keep, upgrade, body \"\"",
        ),
        ("Connection: upgrade\r\nUpgrade: a, H2C", "origin /, host a, None, keep, body \"\""),
        ("Connection: upgrade\r\nUpgrade:", "origin /, host a, None, keep, body \"\""),
    ]);
    check(&[(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        "origin /, host a, Length(1), keep, body \"x\"",
    )]);
}

#[test]
fn expect_is_100_continue_or_an_error() {
    with_fields(&[
        ("Expect: 100-continue", "origin /, host a, None, keep, body \"\""),
        ("Content-Length: 0\r\nExpect: 100-continue", "origin /, host a, Length(0), keep, body \"\""),
        ("Expect: 100-continue\r\nExpect: 100-continue", "unknown_expectation"),
        ("Expect: 100-continue, x", "unknown_expectation"),
        ("Expect:", "unknown_expectation"),
        ("Expect: 200-ok", "unknown_expectation"),
    ]);
    check(&[
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
            "origin /, host a, Length(1), keep, expect, body \"x\"",
        ),
        (
            "PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
            "origin /, host a, Length(1), body \"x\"",
        ),
    ]);
}
