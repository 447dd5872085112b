//! Requests: the outcome does not depend on pieces, and what is written again reads the same.
#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/codec/reading/mod.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;
use reading::{Kind, Message, Outcome, read};
use tidegate_http1::{HEAD_END, Version, write_field, write_request_line};

fuzz_target!(|data: &[u8]| {
    let [first, second, bytes @ ..] = data else {
        return;
    };
    let whole = read(bytes, &[], Kind::Request);
    let mut cuts = [usize::from(*first), usize::from(*second)].map(|cut| cut.min(bytes.len()));
    cuts.sort_unstable();
    assert_eq!(read(bytes, &cuts, Kind::Request), whole);
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(read(bytes, &every, Kind::Request), whole);
    if let Outcome::Message(message) = whole {
        assert!(message.length <= bytes.len());
        written_again_reads_the_same(&message);
    }
});

fn written_again_reads_the_same(message: &Message) {
    let parts: Vec<&[u8]> = message.start.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        panic!("a request line has three parts")
    };
    let version = if version == b"HTTP/1.1" {
        Version::Http11
    } else {
        Version::Http10
    };
    let mut out = Vec::new();
    write_request_line(&mut out, method, target, version);
    for (name, value) in &message.fields {
        write_field(&mut out, name, value);
    }
    out.extend_from_slice(HEAD_END);
    let head = out.len();
    reading::write_body(message, &mut out);
    let Outcome::Message(again) = read(&out, &[head], Kind::Request) else {
        panic!("what was written is refused")
    };
    assert_eq!(
        (&again.start, &again.fields, &again.framing, &again.body),
        (
            &message.start,
            &message.fields,
            &message.framing,
            &message.body
        )
    );
}
