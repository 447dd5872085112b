//! Hours, days, weeks and months as the clocks of a time zone show them.
//!
//! The zone comes as a list of offsets, so there is no database of zones here and none to go stale unnoticed: Python takes them
//! from its own. A period begins at the first instant at which local clocks show its beginning or later: a day on which the
//! clocks change has 23 or 25 hours, an hour that comes twice is one period of two, and a midnight that is skipped is replaced
//! by the first instant after it.

/// Seconds since the Unix epoch.
pub type Seconds = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Hour,
    Day,
    /// From Monday on (ISO 8601).
    Week,
    Month,
}

impl Unit {
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// From when on a zone is how far ahead of UTC, in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    first: i64,
    /// In order of time.
    changes: Box<[(Seconds, i64)]>,
}

/// `[start, end)`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Period {
    pub start: Seconds,
    pub end: Seconds,
}

const DAY: i64 = 86_400;

impl Zone {
    pub fn new(first: i64, changes: impl IntoIterator<Item = (Seconds, i64)>) -> Self {
        Self { first, changes: changes.into_iter().collect() }
    }

    /// The period that `now` is in.
    pub fn period(&self, unit: Unit, now: Seconds) -> Period {
        let local = now + self.offset(now);
        let (begin, next) = bounds(unit, local);
        let start = self.first_at(begin, now - 40 * DAY);
        let end = self.first_at(next, now - 40 * DAY);
        // Where local clocks were set back over the beginning, `now` shows the period before once more; it is in this one.
        if end <= now {
            let (_, after) = bounds(unit, next);
            return Period { start: end, end: self.first_at(after, now - 40 * DAY) };
        }
        Period { start, end }
    }

    fn offset(&self, at: Seconds) -> i64 {
        match self.changes.partition_point(|(from, _)| *from <= at) {
            0 => self.first,
            count => self.changes[count - 1].1,
        }
    }

    /// The first instant from `from` on at which clocks show `local` or later.
    fn first_at(&self, local: i64, from: Seconds) -> Seconds {
        let known = self.changes.partition_point(|(at, _)| *at <= from);
        let mut begin = from;
        for index in known..=self.changes.len() {
            let offset = if index == 0 { self.first } else { self.changes[index - 1].1 };
            let end = self.changes.get(index).map_or(i64::MAX, |(at, _)| *at);
            let at = begin.max(local - offset);
            if at < end {
                return at;
            }
            begin = end;
        }
        begin
    }
}

/// The beginning of the unit that a local time is in, and of the next.
fn bounds(unit: Unit, local: i64) -> (i64, i64) {
    let day = local.div_euclid(DAY);
    match unit {
        Unit::Hour => {
            let begin = local - local.rem_euclid(3600);
            (begin, begin + 3600)
        }
        Unit::Day => (day * DAY, (day + 1) * DAY),
        Unit::Week => {
            // The epoch was a Thursday.
            let monday = day - (day + 3).rem_euclid(7);
            (monday * DAY, (monday + 7) * DAY)
        }
        Unit::Month => {
            let (year, month, _) = civil(day);
            let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            (days(year, month) * DAY, days(next_year, next) * DAY)
        }
    }
}

/// Year, month and day of a day since the epoch. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// The first day of a month, in days since the epoch; the same source.
fn days(year: i64, month: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// `2026-11-30T23:00:00Z`
pub fn write_time(out: &mut String, at: Seconds) {
    use std::fmt::Write;
    let (year, month, day) = civil(at.div_euclid(DAY));
    let second = at.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let written = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    written.expect("a string takes every character");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Europe/Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
    fn berlin() -> Zone {
        Zone::new(3600, [(1_774_746_000, 7200), (1_792_890_000, 3600)])
    }

    fn show(period: Period) -> String {
        let mut out = String::new();
        write_time(&mut out, period.start);
        out.push(' ');
        write_time(&mut out, period.end);
        out
    }

    #[test]
    fn periods_follow_local_clocks() {
        // 2026-11-24T11:20:00Z, a Tuesday.
        let now = 1_795_519_200;
        for (unit, expected) in [
            (Unit::Hour, "2026-11-24T11:00:00Z 2026-11-24T12:00:00Z"),
            (Unit::Day, "2026-11-23T23:00:00Z 2026-11-24T23:00:00Z"),
            (Unit::Week, "2026-11-22T23:00:00Z 2026-11-29T23:00:00Z"),
            (Unit::Month, "2026-10-31T23:00:00Z 2026-11-30T23:00:00Z"),
        ] {
            assert_eq!(show(berlin().period(unit, now)), expected);
        }
    }

    #[test]
    fn a_day_on_which_clocks_change_has_23_or_25_hours() {
        assert_eq!(show(berlin().period(Unit::Day, 1_774_760_000)), "2026-03-28T23:00:00Z 2026-03-29T22:00:00Z");
        assert_eq!(show(berlin().period(Unit::Day, 1_792_890_000)), "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z");
    }

    #[test]
    fn an_hour_that_comes_twice_is_one_period() {
        let expected = "2026-10-25T00:00:00Z 2026-10-25T02:00:00Z";
        for now in [1_792_886_400, 1_792_889_999, 1_792_890_000, 1_792_893_599] {
            assert_eq!(show(berlin().period(Unit::Hour, now)), expected, "{now}");
        }
        assert_eq!(show(berlin().period(Unit::Hour, 1_792_893_600)), "2026-10-25T02:00:00Z 2026-10-25T03:00:00Z");
        // The hour from 2 to 3 is skipped in March.
        assert_eq!(show(berlin().period(Unit::Hour, 1_774_745_999)), "2026-03-29T00:00:00Z 2026-03-29T01:00:00Z");
        assert_eq!(show(berlin().period(Unit::Hour, 1_774_746_000)), "2026-03-29T01:00:00Z 2026-03-29T02:00:00Z");
    }

    #[test]
    fn a_midnight_that_is_skipped_or_comes_twice_still_parts_two_days() {
        // As in Asunción: at midnight of the epoch's 10th day clocks go on to 1, at that of the 20th back to 23, so that day 19
        // has an hour more.
        let zone = Zone::new(-14_400, [(10 * DAY + 14_400, -10_800), (20 * DAY + 10_800, -14_400)]);
        let skipped = zone.period(Unit::Day, 10 * DAY + 50_000);
        assert_eq!(skipped, Period { start: 10 * DAY + 14_400, end: 11 * DAY + 10_800 });
        let longer = Period { start: 19 * DAY + 10_800, end: 20 * DAY + 14_400 };
        assert_eq!(zone.period(Unit::Day, 20 * DAY + 10_799), longer);
        assert_eq!(zone.period(Unit::Day, 20 * DAY + 10_860), longer);
        // As in St. John's: a minute later, when the day has begun already; it is the same one when it begins once more.
        let zone = Zone::new(-10_800, [(20 * DAY + 10_860, -14_400)]);
        let twice = Period { start: 20 * DAY + 10_800, end: 21 * DAY + 14_400 };
        for now in [10_800, 10_920, 14_399, 14_400] {
            assert_eq!(zone.period(Unit::Day, 20 * DAY + now), twice, "{now}");
        }
        assert_eq!(zone.period(Unit::Day, 20 * DAY + 10_799).end, twice.start);
    }

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month] {
            let mut period = berlin().period(unit, 1_767_225_600);
            for _ in 0..300 {
                let next = berlin().period(unit, period.end);
                assert_eq!(next.start, period.end);
                assert_eq!(berlin().period(unit, next.end - 1), next);
                period = next;
            }
        }
    }

    #[test]
    fn days_and_dates_agree() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(20_781), (2026, 11, 24));
        for day in (-800_000..800_000).step_by(37) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month) + date - 1, day);
        }
    }
}
