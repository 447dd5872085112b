//! `Retry-After` (RFC 9110 section 10.2.3): how long a service asks to be left alone.

use crate::clock::Millis;
use crate::date;
use crate::head::Head;

/// The milliseconds to wait, by a date or by seconds; `None` without the field, or when it cannot be read.
pub fn retry_after(head: &Head, epoch_millis: impl FnOnce() -> u64) -> Option<Millis> {
    let value = head.get(b"retry-after")?.trim_ascii();
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        // Too long a number is a long time.
        let seconds = std::str::from_utf8(value).ok()?.parse::<u64>().unwrap_or(u64::MAX);
        return Some(seconds.saturating_mul(1000));
    }
    let due = date::parse(value)?.saturating_mul(1000);
    Some(due.saturating_sub(epoch_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let waits = |value: &str| {
            let mut head = Head::default();
            head.add(b"Retry-After", value.as_bytes());
            retry_after(&head, || 784_111_770_000)
        };
        assert_eq!(waits("0"), Some(0));
        assert_eq!(waits(" 120 "), Some(120_000));
        assert_eq!(waits("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(waits("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7_000));
        assert_eq!(waits("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "it is over");
        for nothing in ["", "-1", "1.5", "soon", "2 s"] {
            assert_eq!(waits(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&Head::default(), || 0), None);
    }
}
