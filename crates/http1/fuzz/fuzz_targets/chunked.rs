//! Chunked bodies under small limits: the outcome does not depend on pieces, and all that was consumed is accounted for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_http1::{ChunkDecoder, ChunkError, ChunkLimits, Decoded};

const LIMITS: ChunkLimits = ChunkLimits {
    extensions: 24,
    trailers: 64,
    trailer_fields: 3,
};

/// Payload and the place of the end; none while more is needed.
type Body = Result<(Vec<u8>, Option<usize>), ChunkError>;

fuzz_target!(|data: &[u8]| {
    let [first, second, bytes @ ..] = data else {
        return;
    };
    let whole = decode(bytes, &[]);
    let mut cuts = [usize::from(*first), usize::from(*second)].map(|cut| cut.min(bytes.len()));
    cuts.sort_unstable();
    assert_eq!(decode(bytes, &cuts), whole);
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(decode(bytes, &every), whole);
});

fn decode(bytes: &[u8], cuts: &[usize]) -> Body {
    let mut decoder = ChunkDecoder::new(LIMITS);
    let (mut payload, mut at) = (Vec::new(), 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        while at < end {
            match decoder.decode(&bytes[at..end])? {
                Decoded::Data { skip, len } => {
                    assert!(len > 0 && at + skip + len <= end);
                    payload.extend_from_slice(&bytes[at + skip..at + skip + len]);
                    at += skip + len;
                }
                Decoded::Partial { consumed } => {
                    assert_eq!(consumed, end - at);
                    at = end;
                }
                Decoded::End { consumed } => {
                    assert!(decoder.is_done() && decoder.trailers().allowed().count() <= 3);
                    return Ok((payload, Some(at + consumed)));
                }
            }
        }
    }
    Ok((payload, None))
}
