//! Writes heads and chunks.
//!
//! Nothing here allocates when the buffer has room, and nothing checks what it is given beyond debug builds: names, values and targets
//! come from a parsed head or went through [`is_token`], [`is_field_value`] and [`is_target`] when they were set.

use crate::head::Version;
use crate::scan::{is_field_value, is_target, is_token};

/// What ends a chunked body that has no trailers.
pub const CHUNK_TAIL: &[u8] = b"0\r\n\r\n";

/// What begins the trailer section: fields follow, then [`HEAD_END`].
pub const LAST_CHUNK: &[u8] = b"0\r\n";

/// What ends the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The empty line that ends a head or a trailer section.
pub const HEAD_END: &[u8] = b"\r\n";

/// Writes `GET /path HTTP/1.1`.
#[inline]
pub fn write_request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], version: Version) {
    debug_assert!(is_token(method) && is_target(target), "the caller checked the request line");
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(match version {
        Version::Http10 => b" HTTP/1.0\r\n",
        Version::Http11 => b" HTTP/1.1\r\n",
    });
}

/// Writes `HTTP/1.1 200 OK`; the reason may be empty, see [`reason_phrase`].
#[inline]
pub fn write_status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &[u8]) {
    debug_assert!(
        matches!(status, 100..=599) && crate::scan::value_end(reason, 0) == reason.len(),
        "the caller checked the status"
    );
    if let (Version::Http11, 200, b"OK") = (version, status, reason) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.reserve(reason.len() + 15);
    out.extend_from_slice(version.as_str().as_bytes());
    out.extend_from_slice(&[b' ', digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes `name: value`.
#[inline]
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(is_token(name) && is_field_value(value), "the caller checked the field");
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes `content-length: n`.
#[inline]
pub fn write_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    write_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes `transfer-encoding: chunked`.
#[inline]
pub fn write_chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"transfer-encoding: chunked\r\n");
}

/// Writes the size line of a chunk; `len` bytes and [`CHUNK_END`] follow. A length of 0 would end the body and is not written.
#[inline]
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    if len == 0 {
        return;
    }
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = len as u64;
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Writes one whole chunk; nothing for no data.
#[inline]
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        write_chunk_head(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
}

/// Writes a number in decimal digits.
#[inline]
pub fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The registered phrase of a status, RFC 9110 section 15 and the IANA registry; empty for others.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}
