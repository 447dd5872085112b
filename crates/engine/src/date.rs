//! `Date` as RFC 9110 section 5.6.7 writes it, rendered once a second.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[derive(Debug)]
pub struct Date {
    second: u64,
    text: String,
}

impl Date {
    /// `wall` is milliseconds since the Unix epoch.
    pub fn new(wall: u64) -> Self {
        Self { second: wall / 1000, text: render(wall / 1000) }
    }

    /// The text of a second since the Unix epoch.
    pub fn at(&mut self, second: u64) -> &[u8] {
        if self.second != second {
            *self = Self { second, text: render(second) };
        }
        self.text.as_bytes()
    }
}

fn render(second: u64) -> String {
    let (days, rest) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[(month - 1) as usize],
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Year, month and day of a day since the Unix epoch: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// The second since the Unix epoch that a date names; `None` for one before, or in another of the forms that are obsolete.
pub fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>()[..] else { return None };
    let number =
        |digits: &str, length: usize| match digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u64>().ok(),
            false => None,
        };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (year, day) = (number(year, 4)?, number(day, 2)?);
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let possible = year >= 1970 && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    possible.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The day since the Unix epoch: [`civil`] the other way round, from the same source.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let of_era = year % 400;
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    year / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for second in (0..8_000_000_000).step_by(7_654_321) {
            assert_eq!(parse(render(second).as_bytes()), Some(second));
        }
        for text in ["", "5", "Thu, 01 Jan 1970", "Thursday, 01-Jan-70 00:00:00 GMT", "Thu, 1 Jan 1970 00:00:00 GMT"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn dates_are_written_as_the_rfc_writes_them() {
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
        ] {
            assert_eq!(render(second), text);
        }
    }
}
