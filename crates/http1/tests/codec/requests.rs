//! What is a request and what is not, as tables; each message split at every byte.

use crate::reading::Kind;

pub fn check(cases: &[(&str, &str)]) {
    crate::check(Kind::Request, cases);
}

/// Wraps field lines into a request.
pub fn with_fields(cases: &[(&str, &str)]) {
    for (fields, expected) in cases {
        let message = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        check(&[(&message, expected)]);
    }
}

#[test]
fn a_request_ends_with_its_body() {
    check(&[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "origin /, host a, None, keep, body \"\""),
        (
            "GET /b?c=d HTTP/1.1\r\nhost:a:80\r\n\r\nGET",
            "origin /b ?c=d, host a:80, None, keep, body \"\", rest \"GET\"",
        ),
        ("GET /? HTTP/1.1\r\nHOST: \t a \t\r\n\r\n", "origin / ?, host a, None, keep, body \"\""),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcd",
            "origin /, host a, Length(3), keep, body \"abc\", rest \"d\"",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "origin /, host a, Length(0), keep, body \"\""),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc",
            "origin /, host a, Length(3), keep, body \"abc\"",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nX",
            "origin /, host a, Chunked, keep, body \"abc\", rest \"X\"",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING:CHUNKED\r\n\r\n0\r\n\r\n",
            "origin /, host a, Chunked, keep, body \"\"",
        ),
    ]);
}

#[test]
fn an_unfinished_request_waits_for_more() {
    check(&[
        ("", "partial \"\""),
        ("\r", "partial \"\""),
        ("\r\n", "partial \"\""),
        ("GET", "partial \"\""),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "partial \"\""),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r", "partial \"\""),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", "partial \"ab\""),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na", "partial \"a\""),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", "partial \"a\""),
    ]);
}

#[test]
fn one_empty_line_may_precede_a_request() {
    check(&[
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "origin /, host a, None, keep, body \"\""),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "leading_empty_lines"),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare_lf"),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare_cr"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
    ]);
}

#[test]
fn the_request_line_has_three_parts_with_one_space_between() {
    check(&[
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", "origin /, host a, None, keep, body \"\""),
        ("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "origin /, host a, None, keep, body \"\""),
        (" / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
        ("G\tT / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
        ("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", "nul"),
        ("GET\r\nHost: a\r\n\r\n", "bad_method"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1\r\nHost: a\r\n\r\n", "origin /, host a, None, keep, body \"\""),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTP/1.1\t\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "bare_lf"),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", "bare_cr"),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "bare_cr"),
        ("GET /\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET /\nHost: a\n\n", "bare_lf"),
        ("GET / \r\nHost: a\r\n\r\n", "bad_version"),
    ]);
}

#[test]
fn only_versions_1_0_and_1_1_are_spoken() {
    check(&[
        ("GET / HTTP/1.0\r\n\r\n", "origin /, host , None, body \"\""),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "unsupported_version"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", "unsupported_version"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTP/1,1\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET / HTTP/1.\u{661}\r\nHost: a\r\n\r\n", "bad_version"),
    ]);
}

#[test]
fn a_target_is_visible_ascii_without_a_fragment() {
    let refused = ["/#a", "/a#", "#", "/\u{7f}", "/\u{1}", "/é", "/\u{b}"];
    for target in refused {
        check(&[(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), "bad_target")]);
    }
    check(&[("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "nul"), ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "bad_version")]);
}

#[test]
fn a_target_has_one_of_four_forms() {
    check(&[
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "asterisk, host a, None, keep, body \"\""),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "authority, host a:443, None, keep, body \"\""),
        ("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "authority, host [::1]:443, None, keep, body \"\""),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("CONNECT [::1] HTTP/1.1\r\nHost: [::1]\r\n\r\n", "target_form"),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", "target_not_host"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "target_not_host"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 1\r\n\r\nx", "unexpected_body"),
        ("GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "target_form"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "absolute http a /b ?c, host a, None, keep, body \"\""),
        (
            "GET HTTPS://A:8443/b HTTP/1.1\r\nHost: a:8443\r\n\r\n",
            "absolute HTTPS A:8443 /b, host A:8443, None, keep, body \"\"",
        ),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "absolute http a , host a, None, keep, body \"\""),
        ("GET http://a?b/c HTTP/1.1\r\nHost: a\r\n\r\n", "absolute http a  ?b/c, host a, None, keep, body \"\""),
        ("GET http://a/ HTTP/1.0\r\n\r\n", "absolute http a /, host a, None, body \"\""),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "target_not_host"),
        ("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", "target_not_host"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("GET http://a\\@b/ HTTP/1.1\r\nHost: b\r\n\r\n", "target_form"),
        ("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        ("GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", "origin //b/c, host a, None, keep, body \"\""),
    ]);
}

#[test]
fn there_is_one_host() {
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", "missing_host"),
        ("GET http://a/ HTTP/1.1\r\n\r\n", "missing_host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "repeated_host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "repeated_host"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "repeated_host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.0\r\nHost: \r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "origin /, host [::1]:8080, None, keep, body \"\""),
    ]);
}

#[test]
fn a_field_line_is_a_token_a_colon_and_a_value() {
    with_fields(&[
        ("X-Empty:", "origin /, host a, None, keep, body \"\""),
        ("X: a\tb\u{e9}", "origin /, host a, None, keep, body \"\""),
        (":", "bad_field_name"),
        (": a", "bad_field_name"),
        ("no colon", "space_before_colon"),
        ("nocolon", "bad_field_name"),
        ("X : a", "space_before_colon"),
        ("X\t: a", "space_before_colon"),
        ("a b: c", "space_before_colon"),
        ("X\u{b}: a", "bad_field_name"),
        ("é: a", "bad_field_name"),
        ("(x): a", "bad_field_name"),
        ("\"x\": a", "bad_field_name"),
        ("X\0: a", "nul"),
        ("X\n: a", "bare_lf"),
        ("X\r: a", "bad_field_name"),
        ("X: a\0", "nul"),
        ("X: a\nY: b", "bare_lf"),
        ("X: a\rY: b", "bare_cr"),
        ("X: a\r\r\nY: b", "bare_cr"),
        ("X: a\r", "bare_cr"),
        ("X: \u{1}", "bad_field_value"),
        ("X: \u{7f}", "bad_field_value"),
        ("X: a\u{b}", "bad_field_value"),
        ("X: \u{1b}[31m", "bad_field_value"),
        ("X: a\r\n b", "folded_line"),
        ("X: a\r\n\tb", "folded_line"),
        ("X: a\r\n \r\nY: b", "folded_line"),
    ]);
    check(&[
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded_line"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX", "bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", "bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "bare_lf"),
    ]);
}
