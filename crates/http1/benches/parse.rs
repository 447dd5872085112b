//! Time to parse a head, beside httparse: `cargo bench -p tidegate-http1`.
//!
//! Each line is the best of many rounds in nanoseconds a head, which is what the code costs on an undisturbed core.
//! Ours also recognises known names and, in the last column, decides the framing.

use std::hint::black_box;
use std::time::Instant;

use tidegate_http1::{ChunkDecoder, Decoded, RequestKind, RequestParser, ResponseParser};
use tidegate_http1::{request_framing, response_framing};

const API: &[u8] = b"GET /api/v1/orders/8f14e45f?expand=items&limit=50 HTTP/1.1\r\n\
Host: shop.example.com\r\n\
User-Agent: shop-mobile/4.2.1\r\n\
Accept: application/json\r\n\
Accept-Encoding: gzip, br\r\n\
Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJ1LTQyIiwiZXhwIjoxNzAwMDAwMDAwfQ.c2lnbmF0dXJl\r\n\
X-Request-Id: 01HF8Z6W7QK3V9\r\n\
Connection: keep-alive\r\n\
\r\n";

const BROWSER: &[u8] = b"GET /account/orders?page=2&sort=-created HTTP/1.1\r\n\
Host: www.shop.example.com\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\", \"Google Chrome\";v=\"128\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-User: ?1\r\n\
Sec-Fetch-Dest: document\r\n\
Referer: https://www.shop.example.com/account/orders?page=1&sort=-created\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Cookie: session=6f1ed002ab5595859014ebf0951522d9; _ga=GA1.2.1234567890.1700000000; theme=dark; consent=analytics%3Dfalse%26marketing%3Dfalse; cart=c2hvcHBpbmctY2FydC1pZC0wMDAwMDAx\r\n\
If-None-Match: W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Tue, 24 Nov 2026 08:00:00 GMT\r\n\
Server: uvicorn\r\n\
Content-Type: application/json; charset=utf-8\r\n\
Content-Length: 200\r\n\
Cache-Control: private, max-age=60\r\n\
ETag: \"5d8c72a5edda8\"\r\n\
X-Request-Id: 01HF8Z6W7QK3V9\r\n\
\r\n";

fn best(rounds: usize, mut run: impl FnMut()) -> f64 {
    const BATCH: u32 = 2000;
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..BATCH {
            run();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
    best
}

fn request(rounds: usize, name: &str, bytes: &[u8]) {
    let theirs = best(rounds, || {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut fields);
        assert!(request.parse(black_box(bytes)).is_ok_and(|status| status.is_complete()));
        black_box(&request);
    });
    let lean = best(rounds, || {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; 100];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(black_box(bytes), &mut fields);
        assert!(parsed.is_ok_and(|status| status.is_complete()));
        black_box(&request);
    });
    let mut parser = RequestParser::default();
    let ours = best(rounds, || {
        parser.clear();
        assert!(parser.parse(black_box(bytes)).is_ok());
        black_box(parser.head());
    });
    let framed = best(rounds, || {
        parser.clear();
        assert!(parser.parse(black_box(bytes)).is_ok());
        assert!(black_box(request_framing(parser.head(), bytes)).is_ok());
    });
    row(name, bytes.len(), [theirs, lean, ours, framed]);
}

fn response(rounds: usize, name: &str, bytes: &[u8]) {
    let theirs = best(rounds, || {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut fields);
        assert!(response.parse(black_box(bytes)).is_ok_and(|status| status.is_complete()));
        black_box(&response);
    });
    let lean = best(rounds, || {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; 100];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            black_box(bytes),
            &mut fields,
        );
        assert!(parsed.is_ok_and(|status| status.is_complete()));
        black_box(&response);
    });
    let mut parser = ResponseParser::default();
    let ours = best(rounds, || {
        parser.clear();
        assert!(parser.parse(black_box(bytes)).is_ok());
        black_box(parser.head());
    });
    let framed = best(rounds, || {
        parser.clear();
        assert!(parser.parse(black_box(bytes)).is_ok());
        assert!(black_box(response_framing(parser.head(), bytes, RequestKind::Ordinary)).is_ok());
    });
    row(name, bytes.len(), [theirs, lean, ours, framed]);
}

/// Framing of 16 chunks of 64 bytes, in one buffer.
fn chunks(rounds: usize) {
    let mut body = Vec::new();
    for _ in 0..16 {
        tidegate_http1::write_chunk(&mut body, &[b'x'; 64]);
    }
    body.extend_from_slice(tidegate_http1::CHUNK_TAIL);
    let mut decoder = ChunkDecoder::default();
    let time = best(rounds, || {
        decoder.clear();
        let mut rest = black_box(&body[..]);
        while let Ok(Decoded::Data { skip, len }) = decoder.decode(rest) {
            rest = &rest[skip + len..];
        }
        assert!(decoder.is_done());
    });
    println!("16 chunks of 64 bytes: {time:.0} ns, {:.1} ns a chunk", time / 16.0);
}

fn row(name: &str, bytes: usize, [theirs, lean, ours, framed]: [f64; 4]) {
    println!("{name:<10} {bytes:>6} {theirs:>10.0} {lean:>16.0} {ours:>10.0} {framed:>13.0}");
}

fn main() {
    // `cargo test --all-targets` runs this too, only to see that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 300 } else { 1 };
    println!(
        "{:<10} {:>6} {:>10} {:>16} {:>10} {:>13}",
        "head", "bytes", "httparse", "httparse uninit", "ours", "with framing"
    );
    request(rounds, "api", API);
    request(rounds, "browser", BROWSER);
    response(rounds, "answer", ANSWER);
    chunks(rounds);
}
