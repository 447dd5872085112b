//! Passes W3C `traceparent` on with a span of the gateway's, or begins a trace.
//!
//! After W3C Trace Context Level 1. A trace that is begun here is marked as sampled: the services behind decide on what they
//! record by this flag, and without it they would record nothing.

use tidegate_http1::Known;

use crate::exchange::Exchange;
use crate::head::Head;
use crate::plan;
use crate::policies::Local;
use crate::policies::random::Random;

pub struct TraceContext;

/// `00-<trace id>-<span id>-<flags>`
const LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const SPAN_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;

pub type Traceparent = [u8; LENGTH];

impl TraceContext {
    pub fn compile(_plan: &plan::TraceContext) -> Self {
        Self
    }

    pub fn on_request(&self, local: &Local, exchange: &mut Exchange) {
        let random = &mut *local.random.borrow_mut();
        let head = &mut exchange.request.head;
        let traceparent = match received(head) {
            Some(parent) => continued(parent, random),
            None => {
                // The state belongs to a parent that could not be read (section 3.3.1.1).
                head.remove_known(Known::Tracestate);
                begun(random)
            }
        };
        head.remove_known(Known::Traceparent);
        head.add_known(Known::Traceparent, b"traceparent", &traceparent);
    }
}

impl Local {
    /// The same trace under a span of its own.
    pub fn child_of(&self, parent: &Traceparent) -> Traceparent {
        continued(parent, &mut self.random.borrow_mut())
    }
}

/// The trace id of a request as it goes to the service, for the log.
pub fn trace_id(head: &Head) -> Option<&[u8]> {
    head.get_known(Known::Traceparent).filter(|value| is_valid(value)).map(|value| &value[TRACE_ID])
}

/// The one `traceparent` of the request, if it is valid.
pub fn received(head: &Head) -> Option<&[u8]> {
    head.get_known(Known::Traceparent)?; // costs less than the walk that follows
    let mut values = head.get_all(b"traceparent");
    let value = values.next()?;
    (values.next().is_none() && is_valid(value)).then_some(value)
}

fn continued(parent: &[u8], random: &mut Random) -> Traceparent {
    let mut traceparent = *b"00-00000000000000000000000000000000-0000000000000000-00";
    traceparent[TRACE_ID].copy_from_slice(&parent[TRACE_ID]);
    write_hex(&mut traceparent[SPAN_ID], random.next() | 1);
    traceparent[FLAGS].copy_from_slice(&parent[FLAGS]);
    if &parent[..2] != b"00" {
        // Only the sampled flag is known to mean the same in a later version (section 4.3).
        traceparent[53] = b'0';
        traceparent[54] = b'0' + (digit(parent[54]) & 1);
    }
    traceparent
}

fn begun(random: &mut Random) -> Traceparent {
    let mut traceparent = *b"00-00000000000000000000000000000000-0000000000000000-01";
    write_hex(&mut traceparent[3..19], random.next());
    // An id of zeros is invalid, so one bit is always set.
    write_hex(&mut traceparent[19..35], random.next() | 1);
    write_hex(&mut traceparent[SPAN_ID], random.next() | 1);
    traceparent
}

fn is_valid(value: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>| value[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |range: std::ops::Range<usize>| value[range].iter().all(|byte| *byte == b'0');
    value.len() >= LENGTH
        && (value.len() == LENGTH || &value[..2] != b"00" && value[LENGTH] == b'-')
        && hex(0..2)
        && &value[..2] != b"ff"
        && [value[2], value[35], value[52]] == [b'-'; 3]
        && hex(TRACE_ID)
        && hex(SPAN_ID)
        && hex(FLAGS)
        && !zero(TRACE_ID)
        && !zero(SPAN_ID)
}

fn digit(hex: u8) -> u8 {
    if hex.is_ascii_digit() { hex - b'0' } else { hex - b'a' + 10 }
}

/// Writes 16 digits.
fn write_hex(out: &mut [u8], number: u64) {
    for (index, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * index)) as usize & 15];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_a_valid_parent_is_believed() {
        for (value, valid) in [
            (GIVEN, true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("", false),
        ] {
            assert_eq!(is_valid(value.as_bytes()), valid, "{value}");
        }
    }

    #[test]
    fn the_trace_goes_on_under_a_span_of_ours() {
        let random = &mut Random::from_system();
        let ours = continued(GIVEN.as_bytes(), random);
        assert!(is_valid(&ours));
        assert_eq!(ours[..36], GIVEN.as_bytes()[..36]);
        assert_ne!(ours[SPAN_ID], GIVEN.as_bytes()[SPAN_ID]);
        assert_eq!(&ours[52..], b"-01");
    }

    #[test]
    fn a_later_version_is_continued_as_the_one_we_know() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fb-more";
        let ours = continued(later.as_bytes(), &mut Random::from_system());
        assert_eq!(&ours[..3], b"00-");
        assert_eq!(&ours[52..], b"-01");
    }

    #[test]
    fn a_begun_trace_is_valid_and_sampled() {
        let random = &mut Random::from_system();
        let (first, second) = (begun(random), begun(random));
        assert!(is_valid(&first) && first.ends_with(b"-01"));
        assert_ne!(first[TRACE_ID], second[TRACE_ID]);
    }
}
