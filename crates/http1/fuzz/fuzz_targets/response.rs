//! Responses: the outcome does not depend on pieces.
#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/codec/reading/mod.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;
use reading::{Kind, Outcome, read};
use tidegate_http1::RequestKind;

fuzz_target!(|data: &[u8]| {
    let [first, second, kind, bytes @ ..] = data else {
        return;
    };
    let kind = Kind::Response(
        [
            RequestKind::Ordinary,
            RequestKind::Head,
            RequestKind::Connect,
        ][usize::from(*kind) % 3],
    );
    let whole = read(bytes, &[], kind);
    let mut cuts = [usize::from(*first), usize::from(*second)].map(|cut| cut.min(bytes.len()));
    cuts.sort_unstable();
    assert_eq!(read(bytes, &cuts, kind), whole);
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(read(bytes, &every, kind), whole);
    if let Outcome::Message(message) = whole {
        assert!(message.length <= bytes.len());
    }
});
