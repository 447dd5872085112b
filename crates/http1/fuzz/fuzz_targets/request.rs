//! Requests: the outcome does not depend on pieces, and what is written again reads the same.
#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/codec/reading/mod.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;
use reading::{Kind, Outcome, read};

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
        reading::assert_same_when_written_again(&message);
    }
});
