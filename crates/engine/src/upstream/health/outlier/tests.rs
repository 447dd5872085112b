//! Ejections on a clock of the test's own.

use super::*;
use crate::plan::StatusRange;

const SECOND: Millis = 1000;
const NONE: [Cause; 0] = [];

fn check() -> PassiveCheck {
    PassiveCheck {
        consecutive_failures: Some(3),
        failure_rate: None,
        slow_rate: None,
        slow_ms: 0,
        interval_ms: 10 * SECOND,
        minimum_calls: 10,
        statuses: vec![StatusRange(500, 599)],
        ejection_ms: 30 * SECOND,
        longest_ejection_ms: 300 * SECOND,
        most_ejected: 500,
        probation: 2,
    }
}

/// A target that is ejected as soon as there is a cause.
struct Alone {
    outlier: Outlier,
    check: PassiveCheck,
}

impl Alone {
    fn new(check: PassiveCheck) -> Self {
        Self { outlier: Outlier::default(), check }
    }

    fn take(&self, cause: Option<Cause>, now: Millis) -> Option<Cause> {
        cause.inspect(|cause| {
            self.outlier.eject(&self.check, *cause, now);
        })
    }

    /// Causes of ejections while it fails so often.
    fn fail(&self, now: Millis, times: u32) -> Vec<Cause> {
        (0..times).filter_map(|_| self.take(self.outlier.failed(&self.check, now), now)).collect()
    }

    fn succeed(&self, now: Millis, took_ms: Millis) -> Option<Cause> {
        self.take(self.outlier.succeeded(&self.check, now, took_ms), now)
    }

    /// Seconds until it returns.
    fn left(&self, now: Millis) -> u64 {
        self.outlier.until().map_or(0, |until| (until - now) / SECOND)
    }
}

#[test]
fn so_many_failures_in_a_row_eject() {
    let target = Alone::new(check());
    assert_eq!(target.fail(0, 2), NONE);
    target.succeed(0, 1);
    assert_eq!(target.fail(0, 2), NONE);
    assert_eq!(target.fail(5, 1), [Cause::ConsecutiveFailures]);
    assert_eq!((target.outlier.is_out(5), target.left(5)), (true, 30));
    assert_eq!(target.outlier.ejections(), [1, 0, 0, 0]);
}

#[test]
fn the_ejection_ends_with_its_time_and_the_first_who_looks_ends_it() {
    let target = Alone::new(check());
    target.fail(0, 3);
    let end = |now| target.outlier.end_if_due(now);
    assert_eq!((end(30 * SECOND - 1), end(30 * SECOND), end(30 * SECOND)), (false, true, false));
    assert_eq!((target.outlier.is_out(30 * SECOND), target.outlier.until()), (false, None));
}

#[test]
fn on_probation_one_failure_is_enough_and_the_time_grows() {
    let target = Alone::new(check());
    let mut now = 0;
    target.fail(now, 3);
    for times in 2..6 {
        now += target.left(now) * SECOND;
        target.outlier.end_if_due(now);
        target.succeed(now, 1);
        assert_eq!(target.fail(now, 1), [Cause::Probation]);
        assert_eq!(target.left(now), times * 30);
    }
}

#[test]
fn who_has_passed_probation_may_fail_again() {
    let target = Alone::new(check());
    target.fail(0, 3);
    target.outlier.end_if_due(30 * SECOND);
    target.succeed(30 * SECOND, 1);
    assert!(target.outlier.is_on_probation());
    target.succeed(30 * SECOND, 1);
    assert!(!target.outlier.is_on_probation());
    assert_eq!(target.fail(30 * SECOND, 2), NONE);
}

#[test]
fn every_interval_without_an_ejection_takes_one_off_the_time() {
    let target = Alone::new(check());
    target.fail(0, 3);
    target.outlier.end_if_due(30 * SECOND);
    target.fail(30 * SECOND, 1);
    target.outlier.end_if_due(90 * SECOND);
    // Two ejections; one interval later it counts as one, so that the next is the second again.
    target.fail(100 * SECOND, 1);
    assert_eq!(target.left(100 * SECOND), 60);
    target.outlier.end_if_due(160 * SECOND);
    target.fail(1160 * SECOND, 1);
    assert_eq!(target.left(1160 * SECOND), 30);
}

#[test]
fn the_time_has_a_bound() {
    let target = Alone::new(PassiveCheck { longest_ejection_ms: 70 * SECOND, ..check() });
    let mut now = 0;
    target.fail(now, 3);
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(target.left(now));
        now += target.left(now) * SECOND;
        target.outlier.end_if_due(now);
        target.fail(now, 1);
    }
    assert_eq!(times, [30, 60, 70, 70]);
}

#[test]
fn one_that_was_spared_has_to_fail_as_often_again() {
    let target = Alone::new(check());
    let cause = || target.outlier.failed(&target.check, 0);
    assert_eq!([cause(), cause(), cause()], [None, None, Some(Cause::ConsecutiveFailures)]);
    target.outlier.spare();
    assert_eq!([cause(), cause(), cause()], [None, None, Some(Cause::ConsecutiveFailures)]);
}

fn by_failure_rate() -> PassiveCheck {
    PassiveCheck { consecutive_failures: None, failure_rate: Some(500), ..check() }
}

#[test]
fn a_share_of_failures_in_an_interval_ejects_once_there_are_enough_calls() {
    let target = Alone::new(by_failure_rate());
    for _ in 0..5 {
        target.succeed(0, 1);
    }
    assert_eq!(target.fail(0, 4), NONE);
    assert_eq!(target.fail(0, 1), [Cause::FailureRate]);
}

#[test]
fn calls_of_the_interval_before_do_not_count() {
    let target = Alone::new(by_failure_rate());
    assert_eq!(target.fail(9 * SECOND, 9), NONE);
    assert_eq!(target.fail(10 * SECOND, 9), NONE);
    assert_eq!(target.fail(19 * SECOND, 1), [Cause::FailureRate]);
}

#[test]
fn a_share_of_slow_calls_ejects_too() {
    let only_slow = PassiveCheck { consecutive_failures: None, slow_rate: Some(800), slow_ms: 100, ..check() };
    let target = Alone::new(only_slow);
    for took in [99, 99, 100, 100, 100, 100, 500, 500, 500] {
        assert_eq!(target.succeed(0, took), None);
    }
    assert_eq!(target.succeed(0, 100), Some(Cause::SlowRate));
}

#[test]
fn more_calls_than_a_count_holds_keep_their_rate() {
    let target = Alone::new(PassiveCheck { failure_rate: Some(900), ..by_failure_rate() });
    for _ in 0..100_000 {
        target.succeed(0, 1);
        assert_eq!(target.fail(0, 1), NONE);
    }
    let counts = Counts::read(target.outlier.window.load(Relaxed));
    assert!((490..=510).contains(&(counts.failures * 1000 / counts.calls)), "{counts:?}");
}

#[test]
fn what_ends_during_an_ejection_changes_nothing() {
    let target = Alone::new(check());
    assert_eq!(target.fail(0, 8), [Cause::ConsecutiveFailures]);
    target.outlier.end_if_due(30 * SECOND);
    target.fail(30 * SECOND, 1);
    assert_eq!(target.left(30 * SECOND), 60);
}

#[test]
fn workers_at_once_count_every_call() {
    let target = Alone::new(by_failure_rate());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| assert_eq!(target.succeed(0, 1), None)));
        }
    });
    assert_eq!(Counts::read(target.outlier.window.load(Relaxed)).calls, 40_000);
}
