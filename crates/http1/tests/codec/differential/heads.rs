//! Beside httparse: heads.

use tidegate_http1::{Parse, RequestParser, ResponseParser};

use crate::corpus::{Random, cases, requests, responses};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn copy(fields: &[tidegate_http1::Field], bytes: &[u8]) -> Fields {
    fields.iter().map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec())).collect()
}

fn copy_theirs(fields: &[httparse::Header<'_>]) -> Fields {
    fields.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect()
}

#[test]
fn a_request_head_is_the_one_httparse_reads() {
    let mut random = Random::new(21);
    let (mut both, count) = (0, cases(40_000));
    for _ in 0..count {
        let bytes = requests(&mut random);
        let mut parser = RequestParser::default();
        if parser.parse(&bytes) != Ok(Parse::Complete) {
            continue;
        }
        let mut room = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Request::new(&mut room);
        let Ok(status) = theirs.parse(&bytes) else {
            continue;
        };
        let head = parser.head();
        assert_eq!(status, httparse::Status::Complete(head.length), "{}", bytes.escape_ascii());
        assert_eq!(theirs.method.map(str::as_bytes), Some(head.method.of(&bytes)), "{}", bytes.escape_ascii());
        assert_eq!(theirs.path.map(str::as_bytes), Some(head.target.of(&bytes)), "{}", bytes.escape_ascii());
        assert_eq!(theirs.version, Some(head.version as u8), "{}", bytes.escape_ascii());
        assert_eq!(copy_theirs(theirs.headers), copy(&head.fields, &bytes), "{}", bytes.escape_ascii());
        both += 1;
    }
    assert!(both > count / 10, "both accepted {both} of {count}");
}

#[test]
fn a_response_head_is_the_one_httparse_reads() {
    let mut random = Random::new(22);
    let (mut both, count) = (0, cases(40_000));
    for _ in 0..count {
        let bytes = responses(&mut random);
        let mut parser = ResponseParser::default();
        if parser.parse(&bytes) != Ok(Parse::Complete) {
            continue;
        }
        let mut room = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Response::new(&mut room);
        let Ok(status) = theirs.parse(&bytes) else {
            continue;
        };
        let head = parser.head();
        assert_eq!(status, httparse::Status::Complete(head.length), "{}", bytes.escape_ascii());
        assert_eq!(theirs.code, Some(head.status), "{}", bytes.escape_ascii());
        // It answers an empty reason when the phrase has bytes outside ASCII.
        let reason = head.reason.of(&bytes);
        assert_eq!(
            theirs.reason.map(str::as_bytes),
            Some(if reason.is_ascii() { reason } else { b"" }),
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(theirs.version, Some(head.version as u8), "{}", bytes.escape_ascii());
        assert_eq!(copy_theirs(theirs.headers), copy(&head.fields, &bytes), "{}", bytes.escape_ascii());
        both += 1;
    }
    assert!(both > count / 10, "both accepted {both} of {count}");
}
