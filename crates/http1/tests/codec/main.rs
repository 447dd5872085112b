//! The codec from outside: tables of messages, each split at every byte, and comparisons with other parsers.

mod chunks;
mod corpus;
mod differential;
mod framing;
mod heads;
mod reading;
mod requests;
mod responses;
mod roundtrip;
mod splits;

use reading::{Kind, Outcome, read};

/// The outcome as a line of text, the same however the bytes are split.
fn outcome(bytes: &[u8], kind: Kind) -> String {
    let whole = read(bytes, &[], kind);
    for cut in 0..=bytes.len() {
        assert_eq!(read(bytes, &[cut], kind), whole, "split at {cut}: {}", bytes.escape_ascii());
    }
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(read(bytes, &every, kind), whole, "byte by byte: {}", bytes.escape_ascii());
    match whole {
        Outcome::Message(message) => {
            let mut text = format!("{}, body \"{}\"", message.framing, message.body.escape_ascii());
            if message.length < bytes.len() {
                text += &format!(", rest \"{}\"", bytes[message.length..].escape_ascii());
            }
            text
        }
        Outcome::Partial(body) => format!("partial \"{}\"", body.escape_ascii()),
        Outcome::Refused(code) => code.to_string(),
    }
}

/// Checks all cases of a table, so that one run shows all that is wrong.
fn check(kind: Kind, cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(message, expected)| (message, expected, outcome(message.as_bytes(), kind)))
        .filter(|(_, expected, got)| *expected != got)
        .map(|(message, expected, got)| format!("{message:?}\n  expected {expected}\n       got {got}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
