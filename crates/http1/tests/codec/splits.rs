//! Generated messages: the same outcome whatever the pieces, and a known mix of good and bad.

use tidegate_http1::RequestKind;

use crate::corpus::{Random, cases, requests, responses};
use crate::reading::{Kind, Outcome, read};

fn outcome_does_not_depend_on_pieces(make: fn(&mut Random) -> Vec<u8>, kind: Kind, seed: u64) {
    let mut random = Random::new(seed);
    let mut accepted = 0;
    let count = cases(4000);
    for _ in 0..count {
        let bytes = make(&mut random);
        let whole = read(&bytes, &[], kind);
        accepted += usize::from(matches!(whole, Outcome::Message(_)));
        let every: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(read(&bytes, &every, kind), whole, "byte by byte: {}", bytes.escape_ascii());
        for _ in 0..8 {
            let mut cuts = [random.below(bytes.len()), random.below(bytes.len()), random.below(bytes.len())];
            cuts.sort_unstable();
            assert_eq!(read(&bytes, &cuts, kind), whole, "split at {cuts:?}: {}", bytes.escape_ascii());
        }
    }
    // A generator that makes only good or only bad messages would test nothing.
    assert!(accepted > count / 10 && accepted < count * 9 / 10, "{accepted} of {count} accepted");
}

#[test]
fn generated_requests_read_the_same_in_any_pieces() {
    outcome_does_not_depend_on_pieces(requests, Kind::Request, 1);
}

#[test]
fn generated_responses_read_the_same_in_any_pieces() {
    for (seed, kind) in [(2, RequestKind::Ordinary), (3, RequestKind::Head), (4, RequestKind::Connect)] {
        outcome_does_not_depend_on_pieces(responses, Kind::Response(kind), seed);
    }
}
