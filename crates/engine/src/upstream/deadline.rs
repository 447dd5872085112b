//! By when an exchange must be over, and how the service learns what is left of it.

use http::HeaderName;
use tidegate_http1::Known;

use crate::clock::{Millis, NEVER};
use crate::exchange::{Exchange, Request};
use crate::plan::{DeadlineTrust, PassedDeadline};
use crate::respond::Code;
use crate::upstream::calling::Calling;

const GRPC_TIMEOUT: &[u8] = b"grpc-timeout";
/// Eight digits.
const MOST_GRPC: u64 = 99_999_999;

/// Shared by everything that is done for one exchange: what comes late gets what is left, never a fresh timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// On the clock's line; [`NEVER`] without a limit.
    pub at: Millis,
    /// What is said when it has passed: whose time it was.
    pub late: Code,
    /// When a caller of gRPC gives up by its own word, whether it is believed or not.
    wanted: Millis,
}

impl Default for Deadline {
    fn default() -> Self {
        Self::at(NEVER)
    }
}

/// A field that stands in the place of those of the same name; without a value they only go.
pub struct Line<'a> {
    /// Lower case.
    pub name: &'a [u8],
    pub value: Option<Vec<u8>>,
}

impl Deadline {
    /// Of the gateway's own making.
    pub fn at(at: Millis) -> Self {
        Self { at, late: Code::Timeout, wanted: NEVER }
    }

    /// Of an exchange: its route's time, or what a caller says that is believed, whichever ends first.
    pub fn of(exchange: &Exchange, timeout: Option<Millis>, calling: &Calling) -> Self {
        let started = exchange.started_micros / 1000;
        let own = timeout.or(calling.plan.timeout_ms).map_or(NEVER, |timeout| started.saturating_add(timeout));
        let plan = &calling.plan.deadline;
        let told = Told::of(&exchange.request, plan);
        let [wanted, told] =
            [told.by_grpc, told.by_any()].map(|told| told.map_or(NEVER, |told| started.saturating_add(told)));
        let believed = match plan.trust {
            DeadlineTrust::Nobody => false,
            DeadlineTrust::TrustedProxies => exchange.trusted,
            DeadlineTrust::Everybody => true,
        };
        match believed && told < own {
            true => Self { at: told, late: Code::DeadlineExceeded, wanted },
            false => Self { at: own, late: Code::Timeout, wanted },
        }
    }

    /// This one, or an earlier one of the gateway's own making.
    pub fn or_at(self, at: Millis) -> Self {
        if at < self.at { Self { at, late: Code::Timeout, ..self } } else { self }
    }

    /// The fields that tell the service at `now` what is left.
    pub fn passed_on<'a>(&self, request: &Request, calling: &'a Calling, now: Millis) -> Vec<Line<'a>> {
        let header = calling.plan.deadline.header.as_deref();
        let of_grpc = self.at.min(self.wanted);
        let mut lines = Vec::new();
        if of_grpc == NEVER && header.is_none() {
            return lines;
        }
        // A service that is told 0 may take it for no limit.
        let left = |due: Millis| (due != NEVER).then(|| due.saturating_sub(now).max(1));
        if let Some(name) = header {
            // The gateway's own word: nobody who is not believed has the service fail for want of time.
            let value = left(self.at).map(|left| itoa::Buffer::new().format(left).as_bytes().to_vec());
            lines.push(Line { name: name.as_bytes(), value });
        }
        if let Some(left) = left(of_grpc).filter(|_| is_grpc(request)) {
            lines.push(Line { name: GRPC_TIMEOUT, value: Some(write_grpc(left)) });
        }
        lines
    }
}

impl Line<'_> {
    pub fn header_name(&self) -> Option<HeaderName> {
        HeaderName::from_bytes(self.name).ok()
    }
}

/// How long the caller says that it waits, from now on.
struct Told {
    by_header: Option<Millis>,
    by_grpc: Option<Millis>,
}

impl Told {
    fn of(request: &Request, plan: &PassedDeadline) -> Self {
        let header = plan.header.as_deref().and_then(|name| request.head.get(name.as_bytes()));
        let grpc = is_grpc(request).then(|| request.head.get(GRPC_TIMEOUT)).flatten();
        Self { by_header: header.and_then(read_millis), by_grpc: grpc.and_then(read_grpc) }
    }

    fn by_any(&self) -> Option<Millis> {
        self.by_header.into_iter().chain(self.by_grpc).min()
    }
}

fn is_grpc(request: &Request) -> bool {
    request.head.get_known(Known::ContentType).is_some_and(|value| value.starts_with(b"application/grpc"))
}

fn read_millis(value: &[u8]) -> Option<Millis> {
    digits(value.trim_ascii(), 15)
}

fn digits(text: &[u8], most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    plain.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// At most eight digits and a unit, after "gRPC over HTTP2"; parts of a millisecond count as one.
fn read_grpc(value: &[u8]) -> Option<Millis> {
    let (unit, number) = value.split_last()?;
    let number = digits(number, 8)?;
    Some(match unit {
        b'H' => number * 3_600_000,
        b'M' => number * 60_000,
        b'S' => number * 1000,
        b'm' => number,
        b'u' => number.div_ceil(1000),
        b'n' => number.div_ceil(1_000_000),
        _ => return None,
    })
}

/// In the finest unit that eight digits are enough for, rounded down: the service must not take longer than there is.
fn write_grpc(left: Millis) -> Vec<u8> {
    let units = [(1, b'm'), (1000, b'S'), (60_000, b'M')];
    let fits = units.into_iter().find(|(length, _)| left / length <= MOST_GRPC);
    let (length, unit) = fits.unwrap_or((3_600_000, b'H'));
    let mut text = itoa::Buffer::new().format((left / length).min(MOST_GRPC)).as_bytes().to_vec();
    text.push(unit);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read_in_all_units() {
        let table: [(&[u8], Option<Millis>); 14] = [
            (b"1H", Some(3_600_000)),
            (b"2M", Some(120_000)),
            (b"3S", Some(3000)),
            (b"4m", Some(4)),
            (b"1500u", Some(2)),
            (b"1n", Some(1)),
            (b"0m", Some(0)),
            (b"99999999H", Some(359_999_996_400_000)),
            (b"100000000m", None),
            (b"", None),
            (b"m", None),
            (b"5", None),
            (b"5s", None),
            (b"-5m", None),
        ];
        for (text, expected) in table {
            assert_eq!(read_grpc(text), expected, "{:?}", text.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_left_is_written_in_eight_digits_and_never_more_than_it_is() {
        for left in [1, 7, 999, 1000, 99_999_999, 100_000_000, 123_456_789_012, 359_999_996_400_000] {
            let text = write_grpc(left);
            let read = read_grpc(&text).unwrap();
            assert!(text.len() <= 9, "{left}");
            assert!(read <= left && read >= left - left / 1000, "{left} {read}");
        }
        assert_eq!(write_grpc(1500), b"1500m");
        assert_eq!(write_grpc(100_000_000), b"100000S");
        assert!(read_grpc(&write_grpc(NEVER)).is_some());
    }
}
