//! What is written is read back equal.

use tidegate_http1::{
    CHUNK_TAIL, HEAD_END, LAST_CHUNK, RequestKind, Version, is_field_value, is_target, is_token, reason_phrase,
    write_chunk, write_chunk_head, write_chunked, write_content_length, write_decimal, write_field, write_request_line,
    write_status_line,
};

use crate::corpus::{self, Random, cases};
use crate::reading::{Kind, Message, Outcome, assert_same_when_written_again, read, read_all};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Bytes up to a length for which `valid` holds.
fn bytes(random: &mut Random, most: usize, valid: fn(&[u8]) -> bool) -> Vec<u8> {
    let alphabet: Vec<u8> = (0..=255).filter(|&byte| valid(&[b'a', byte, b'a'])).collect();
    loop {
        let made: Vec<u8> = (0..random.below(most)).map(|_| random.pick(&alphabet)).collect();
        if valid(&made) {
            return made;
        }
    }
}

fn message(bytes: &[u8], kind: Kind) -> Message {
    match read(bytes, &[], kind) {
        Outcome::Message(message) => *message,
        other => panic!("{other:?} from {}", bytes.escape_ascii()),
    }
}

/// Fields that mean nothing to the codec, a framing, and a body in it.
fn write_rest(random: &mut Random, out: &mut Vec<u8>, first: &[(Vec<u8>, Vec<u8>)]) -> (Fields, Vec<u8>) {
    let mut fields = first.to_vec();
    for _ in 0..random.below(20) {
        let name = [b"x-".to_vec(), bytes(random, 40, is_token)].concat();
        fields.push((name, bytes(random, 200, is_field_value)));
    }
    for (name, value) in &fields {
        write_field(out, name, value);
    }
    let body: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
    if random.one_in(2) {
        write_content_length(out, body.len() as u64);
        fields.push((b"content-length".to_vec(), body.len().to_string().into_bytes()));
        out.extend_from_slice(HEAD_END);
        out.extend_from_slice(&body);
    } else {
        write_chunked(out);
        fields.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
        out.extend_from_slice(HEAD_END);
        for piece in body.chunks(random.below(100) + 1) {
            write_chunk(out, piece);
        }
        write_chunk(out, b"");
        out.extend_from_slice(CHUNK_TAIL);
    }
    (fields, body)
}

#[test]
fn requests() {
    let mut random = Random::new(11);
    for _ in 0..1000 {
        let method = bytes(&mut random, 33, is_token);
        let target = [b"/".to_vec(), bytes(&mut random, 100, is_target)].concat();
        if method == b"CONNECT" {
            continue;
        }
        let mut out = Vec::new();
        write_request_line(&mut out, &method, &target, Version::Http11);
        let host = (b"host".to_vec(), b"example.com:8080".to_vec());
        let (fields, body) = write_rest(&mut random, &mut out, &[host]);
        let read = message(&out, Kind::Request);
        assert_eq!(read.start, [&method[..], b" ", &target, b" HTTP/1.1"].concat());
        assert_eq!((read.fields, read.body, read.length), (fields, body, out.len()));
    }
}

#[test]
fn responses() {
    let mut random = Random::new(12);
    for _ in 0..1000 {
        let status = [200, 201, 404, 500, 599, 302][random.below(6)];
        let reason =
            if random.one_in(2) { reason_phrase(status).into() } else { bytes(&mut random, 30, is_field_value) };
        let mut out = Vec::new();
        write_status_line(&mut out, Version::Http11, status, &reason);
        let (fields, body) = write_rest(&mut random, &mut out, &[]);
        let read = message(&out, Kind::Response(RequestKind::Ordinary));
        assert_eq!(read.start, [format!("HTTP/1.1 {status} ").as_bytes(), &reason].concat());
        assert_eq!((read.fields, read.body, read.length), (fields, body, out.len()));
    }
}

#[test]
fn generated_requests_that_are_accepted_read_the_same_when_written_again() {
    let mut random = Random::new(14);
    for _ in 0..cases(5000) {
        let bytes = corpus::requests(&mut random);
        for message in read_all(&bytes, Kind::Request).0 {
            assert_same_when_written_again(&message);
        }
    }
}

#[test]
fn trailers() {
    let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
    write_chunked(&mut out);
    out.extend_from_slice(HEAD_END);
    write_chunk(&mut out, b"abc");
    out.extend_from_slice(LAST_CHUNK);
    write_field(&mut out, b"grpc-status", b"0");
    out.extend_from_slice(HEAD_END);
    let read = message(&out, Kind::Response(RequestKind::Ordinary));
    assert_eq!((read.body, read.trailers), (b"abc".to_vec(), vec![(b"grpc-status".to_vec(), b"0".to_vec())]));
}

#[test]
fn numbers() {
    let mut random = Random::new(13);
    let edges = [0, 1, 9, 10, 99, 100, 255, 256, 65535, u64::from(u32::MAX), u64::MAX];
    for number in edges.into_iter().chain((0..1000).map(|_| random.next() >> random.below(64))) {
        let mut out = Vec::new();
        write_decimal(&mut out, number);
        assert_eq!(out, number.to_string().into_bytes());
        out.clear();
        write_chunk_head(&mut out, number as usize);
        let expected = if number == 0 { String::new() } else { format!("{:x}\r\n", number as usize) };
        assert_eq!(out, expected.into_bytes());
    }
}

#[test]
fn status_lines() {
    let mut out = Vec::new();
    write_status_line(&mut out, Version::Http11, 200, b"OK");
    write_status_line(&mut out, Version::Http10, 404, reason_phrase(404).as_bytes());
    write_status_line(&mut out, Version::Http11, 599, reason_phrase(599).as_bytes());
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nHTTP/1.0 404 Not Found\r\nHTTP/1.1 599 \r\n");
}
