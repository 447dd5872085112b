//! What messages are put together from: `ODD_` pieces are those that some parser gets wrong.

pub const METHODS: &[&[u8]] = &[b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"];
pub const ODD_METHODS: &[&[u8]] = &[b"get", b"CONNECT", b"PRI", b"GE T", b"", b"G\tET", b"POST ", b" POST", b"TRACE", b"M-SEARCH", b"\r\nGET"];

pub const TARGETS: &[&[u8]] = &[b"/", b"/a", b"/a/b?c=d", b"/a%20b?x", b"/?", b"//a", b"/a?b?c", b"/~a/;b=c,d"];
pub const ODD_TARGETS: &[&[u8]] = &[
    b"*", b"http://a/", b"http://a", b"http://a?b", b"HTTP://A/x", b"http://b/", b"http://u@a/", b"https://a:443/", b"a:80", b"a",
    b"/a#b", b"/a b", b"/\x00", b"/\x80", b"/a\tb", b"", b"/\x7f", b"?a", b"http:///", b"ftp://a/", b"/a\\b", b"/a\"<>", b"/\x0b",
];

pub const VERSIONS: &[&[u8]] = &[b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"];
pub const ODD_VERSIONS: &[&[u8]] = &[
    b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b" HTTP/1.1", b"HTTP/11", b"HTTP/1.10", b"", b"HTTP/1,1", b"ICE/1.0",
];

pub const HOSTS: &[&[u8]] = &[b"a", b"a"];
pub const ODD_HOSTS: &[&[u8]] = &[b"", b"b", b"a:80", b"[::1]", b"a,b", b"u@a", b"a/", b"a b", b"[::1", b"a:", b"A", b"a:x", b"a%00", b"\x80"];

/// Field lines without their end. Those that frame are many, since that is where a difference hurts.
pub const FIELDS: &[&[u8]] = &[
    b"Accept: */*", b"X-Empty:", b"X-Tab:\ta\tb\t", b"Cookie: a=b; c=d", b"Connection: close", b"Connection: keep-alive",
    b"Connection: x-a, te", b"X_Under: 1", b"Date: Tue, 24 Nov 2026 08:00:00 GMT", b"Accept: text/html", b"x: \xc3\xa9\xff",
    b"User-Agent: a (b; c)", b"Content-Type: text/plain", b"!#$%&'*+-.^_`|~: token",
];
pub const ODD_FIELDS: &[&[u8]] = &[
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: +5", b"Content-Length: -1", b"Content-Length: 5, 5",
    b"Content-Length: 0x5", b"Content-Length: 5 5", b"Content-Length:", b"Content-Length: 05", b"Content-Length: 99999999999999999999",
    b"Content-Length: 18446744073709551616", b"Content-Length: 5;", b"Content-Length: 5.0", b"Content-Length: \x0b5", b"Content-Length : 5",
    b"Content-Length\t: 5", b"Content_Length: 5", b"Content-Length\x00: 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: identity",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: , chunked", b"Transfer-Encoding:\tchunked\t",
    b"Transfer-Encoding:", b"transfer-encoding: chunked ", b" folded", b"\tfolded", b"X: a\r\n b", b": empty", b"no colon", b"a b: c", b"X\x80: a",
    b"X: a\x00b", b"X: a\rb", b"X: a\nb", b"X: a\x7f", b"X: \x01", b"(x): a", b"X: a\r", b"X\r: a", b"\x00", b"Expect: 100-continue", b"Expect: x",
    b"Connection: upgrade", b"Upgrade: websocket", b"Connection: content-length", b"Connection: transfer-encoding, close", b"Connection: a b",
    b"Host: a", b"Host: b", b"Host:", b"Host : a", b"TE: trailers", b"Trailer: x", b"Proxy-Connection: close", b"Connection: ,,close,",
    b"Connection: \"close\"", b"Connection: Close, Keep-Alive",
];

pub const LINE_ENDS: &[&[u8]] = &[b"\r\n"];
pub const ODD_LINE_ENDS: &[&[u8]] = &[b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b"\r\n\r\n", b" \r\n", b"\t\r\n", b"\x00\r\n"];

pub const CHUNK_SIZES: &[&[u8]] = &[b"5", b"5", b"05", b"0005"];
pub const ODD_CHUNK_SIZES: &[&[u8]] = &[
    b"+5", b"-5", b" 5", b"5 ", b"0x5", b"5;a", b"5;a=b", b"5;a=\"b c\"", b"5;", b"5;=b", b"5 ;a", b"5; a", b"5;a=\"\\\"\"", b"5;a=\"", b"5\t",
    b"", b"10000000000000005", b"00000000000000005", b"fffffffffffffffff", b"ffffffffffffffff", b"5_", b"G", b"5;a\nb", b"5;a\rb", b"5\x00",
    b"4", b"6", b"5;a;b", b"5,5", b"5;\xff",
];
pub const TRAILERS: &[&[u8]] = &[b"", b"", b"x: y\r\n"];
pub const ODD_TRAILERS: &[&[u8]] = &[
    b"Content-Length: 5\r\n", b" x: y\r\n", b"x : y\r\n", b"x\r\n", b"x: \x00\r\n", b"x: y\n", b"Transfer-Encoding: chunked\r\n", b"\r", b"\n", b": y\r\n",
];

pub const STATUS_LINES: &[&[u8]] = &[b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 404 Not Found", b"HTTP/1.0 200 OK", b"HTTP/1.1 500 \xe9"];
pub const ODD_STATUS_LINES: &[&[u8]] = &[
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching", b"HTTP/1.1 200", b"HTTP/1.1 99 a",
    b"HTTP/1.1 600 a", b"HTTP/1.1 0200 a", b"HTTP/1.1  200 OK", b"HTTP/1.1 2 0 OK", b"HTTP/2.0 200 OK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 200 a\rb", b"http/1.1 200 OK", b"200 OK", b"", b"HTTP/1.1 20x OK", b"HTTP/1.1 205 Reset", b"HTTP/1.1 200  two\tb",
];
