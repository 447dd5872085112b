use super::*;
use crate::plan::{BreakerRates, Counted, StatusRange};

const GOOD: Verdict = Verdict { failed: false, slow: false };
const BAD: Verdict = Verdict { failed: true, slow: false };
const SLOW: Verdict = Verdict { failed: false, slow: true };

/// What the document has without a word about it.
pub(in crate::upstream::breaker) fn settings() -> CircuitBreaker {
    CircuitBreaker {
        name: "orders".into(),
        failure_threshold: Some(5),
        success_threshold: 3,
        timeout_ms: 30_000,
        window_ms: 60_000,
        rates: None,
        half_open_calls: 3,
        ramp_ms: 0,
        retry_after_ms: None,
        count: Counted {
            connect_failure: true,
            reset: true,
            timeout: true,
            malformed: true,
            statuses: vec![StatusRange(500, 599)],
        },
        share: false,
        on_change: None,
    }
}

fn machine(settings: CircuitBreaker) -> Machine {
    Machine::new(settings, 0)
}

fn call(machine: &mut Machine, verdict: Verdict, now: Millis) -> State {
    let admission = machine.admit(now).expect("it is admitted");
    machine.record(admission, verdict, now);
    machine.state()
}

fn open(machine: &mut Machine, now: Millis) {
    (0..5).for_each(|_| {
        call(machine, BAD, now);
    });
    assert_eq!(machine.state(), State::Open);
}

#[test]
fn failures_in_a_row_open_it_and_a_success_begins_anew() {
    let mut machine = machine(settings());
    (0..4).for_each(|_| assert_eq!(call(&mut machine, BAD, 0), State::Closed));
    call(&mut machine, GOOD, 0);
    (0..4).for_each(|_| assert_eq!(call(&mut machine, BAD, 0), State::Closed));
    assert_eq!(call(&mut machine, BAD, 0), State::Open);
    assert_eq!(machine.admit(10_000), Err(Refused { retry_in_ms: 20_000, state: State::Open }));
}

#[test]
fn the_first_and_the_last_of_the_failures_are_within_the_window() {
    let mut apart = machine(settings());
    for now in [0, 50_000, 55_000, 58_000] {
        call(&mut apart, BAD, now);
    }
    assert_eq!(call(&mut apart, BAD, 60_001), State::Closed);
    assert_eq!(call(&mut apart, BAD, 61_000), State::Open, "50, 55, 58, 60 and 61 are");
    let mut together = machine(settings());
    for now in [0, 10_000, 20_000, 30_000] {
        call(&mut together, BAD, now);
    }
    assert_eq!(call(&mut together, BAD, 60_000), State::Open);
}

#[test]
fn trials_that_succeed_close_it_and_one_that_fails_opens_it() {
    let mut machine = machine(settings());
    open(&mut machine, 0);
    assert!(machine.admit(29_999).is_err());
    assert_eq!(call(&mut machine, GOOD, 30_000), State::HalfOpen);
    assert_eq!(call(&mut machine, GOOD, 30_000), State::HalfOpen);
    assert_eq!(call(&mut machine, BAD, 30_500), State::Open);
    assert!(machine.admit(60_499).is_err());
    (0..2).for_each(|_| assert_eq!(call(&mut machine, GOOD, 60_500), State::HalfOpen));
    assert_eq!(call(&mut machine, GOOD, 60_500), State::Closed);
    let told: Vec<_> = machine.take_changes().iter().map(|change| (change.to, change.why)).collect();
    let (opened, tried) = ((State::Open, Why::Failures), (State::HalfOpen, Why::TimeOver));
    let (failed, closed) = ((State::Open, Why::TrialFailed), (State::Closed, Why::TrialsSucceeded));
    assert_eq!(told, [opened, tried, failed, tried, closed]);
}

/// Once, only failures of trials counted where failures in a row did, and a slow service was closed after every rest.
#[test]
fn trials_that_are_slow_open_it_again_beside_failures_in_a_row() {
    let rates =
        BreakerRates { failure: None, slow: Some(500_000), slow_call_ms: 50, minimum_calls: 20, window_calls: None };
    let slow_or_failing = CircuitBreaker { rates: Some(rates), ..settings() };
    for (trials, state, why) in [
        ([SLOW, SLOW, SLOW], State::Open, Why::SlowCallRate),
        ([SLOW, GOOD, SLOW], State::Open, Why::SlowCallRate),
        ([GOOD, SLOW, GOOD], State::Closed, Why::TrialsSucceeded),
        ([SLOW, GOOD, BAD], State::Open, Why::TrialFailed),
    ] {
        let mut machine = machine(slow_or_failing.clone());
        open(&mut machine, 0);
        machine.take_changes();
        let held = trials.map(|verdict| (machine.admit(30_000).unwrap(), verdict));
        assert!(machine.admit(30_000).is_err(), "three decide");
        for (admission, verdict) in held {
            machine.record(admission, verdict, 30_100);
        }
        assert_eq!(machine.state(), state, "{trials:?}");
        assert_eq!(machine.take_changes().last().map(|change| change.why), Some(why), "{trials:?}");
        assert_eq!(machine.admit(60_099).is_err(), state == State::Open, "{trials:?}");
    }
}

#[test]
fn no_more_trials_than_are_needed_and_no_more_at_once_than_are_allowed() {
    let mut one_by_one = machine(CircuitBreaker { half_open_calls: 1, ..settings() });
    open(&mut one_by_one, 0);
    let first = one_by_one.admit(30_000).unwrap();
    assert!(one_by_one.admit(30_000).is_err());
    one_by_one.record(first, GOOD, 30_000);
    let second = one_by_one.admit(30_000).unwrap();
    one_by_one.release(second);
    call(&mut one_by_one, GOOD, 30_000);
    assert_eq!(call(&mut one_by_one, GOOD, 30_000), State::Closed);

    let mut many = machine(CircuitBreaker { half_open_calls: 10, ..settings() });
    open(&mut many, 0);
    let held: Vec<_> = (0..3).map(|_| many.admit(30_000).unwrap()).collect();
    assert!(many.admit(30_000).is_err(), "three decide");
    held.into_iter().for_each(|admission| many.record(admission, GOOD, 30_000));
    assert_eq!(many.state(), State::Closed);
}

#[test]
fn a_call_of_an_earlier_state_says_nothing_of_this_one() {
    let mut machine = machine(settings());
    let (slow, slower) = (machine.admit(0).unwrap(), machine.admit(0).unwrap());
    open(&mut machine, 0);
    let trial = machine.admit(30_000).unwrap();
    machine.record(slow, BAD, 30_000);
    assert_eq!(machine.state(), State::HalfOpen);
    machine.record(trial, GOOD, 30_000);
    (0..2).for_each(|_| {
        call(&mut machine, GOOD, 30_000);
    });
    (0..4).for_each(|_| {
        call(&mut machine, BAD, 30_000);
    });
    machine.record(slower, BAD, 30_000);
    assert_eq!(machine.state(), State::Closed);
}

#[test]
fn a_trial_that_begins_well_and_breaks_off_opens_it_again() {
    let mut machine = machine(settings());
    open(&mut machine, 0);
    let trial = machine.admit(30_000).unwrap();
    machine.record(trial, GOOD, 30_000);
    let after = machine.after_trial();
    machine.record(after, BAD, 31_000);
    assert_eq!(machine.state(), State::Open);
}

#[test]
fn a_ramp_lets_a_growing_share_through_and_opens_as_a_closed_one_does() {
    let ramp = CircuitBreaker { ramp_ms: 10_000, ..settings() };
    let mut machine = machine(ramp);
    open(&mut machine, 0);
    (0..3).for_each(|_| {
        call(&mut machine, GOOD, 30_000);
    });
    assert_eq!(machine.state(), State::Ramping);
    let admitted = |machine: &mut Machine, now| (0..1000).filter(|_| machine.admit(now).is_ok()).count();
    assert!(machine.admit(30_000).is_ok(), "the first goes through");
    for (now, share) in [(30_000, 100), (32_500, 325), (35_000, 550), (39_999, 999)] {
        let count = admitted(&mut machine, now);
        assert!(count.abs_diff(share) <= 1, "{count} of 1000 at {now}");
    }
    let under_way = machine.admit(39_999).unwrap();
    assert_eq!(admitted(&mut machine, 40_000), 1000);
    assert_eq!(machine.state(), State::Closed);
    (0..4).for_each(|_| {
        call(&mut machine, BAD, 40_000);
    });
    machine.record(under_way, BAD, 40_000);
    assert_eq!(machine.state(), State::Open, "the end of the ramp is no new beginning for calls under way");
}

#[test]
fn a_service_that_says_how_long_is_left_alone_for_as_long_but_not_for_ever() {
    let mut machine = machine(CircuitBreaker { retry_after_ms: Some(120_000), ..settings() });
    machine.retry_after(90_000, 0);
    assert_eq!(machine.admit(1000), Err(Refused { retry_in_ms: 89_000, state: State::Open }));
    machine.retry_after(u64::MAX, 1000);
    assert_eq!(machine.until(), 121_000);
    machine.retry_after(1000, 2000);
    assert_eq!(machine.until(), 121_000, "it is not made shorter");
    machine.admit(121_000).unwrap();
    machine.retry_after(0, 121_000);
    assert_eq!(machine.state(), State::HalfOpen);
    let mut deaf = self::machine(settings());
    deaf.retry_after(90_000, 0);
    assert_eq!(deaf.state(), State::Closed);
}

#[test]
fn another_gateway_opens_it_for_no_longer_than_it_would_itself() {
    let mut machine = machine(settings());
    machine.opened_elsewhere(u64::MAX, 0);
    assert_eq!(machine.until(), 30_000);
    machine.opened_elsewhere(30_000, 20_000);
    assert_eq!(machine.until(), 30_000, "it is open already");
}

#[test]
fn an_operator_decides_until_told_otherwise() {
    let mut machine = machine(settings());
    machine.force(true, 0);
    assert!(machine.admit(1_000_000).is_err());
    machine.force(false, 0);
    (0..20).for_each(|_| {
        call(&mut machine, BAD, 0);
    });
    assert_eq!(machine.state(), State::ForcedClosed);
    machine.retry_after(1000, 0);
    machine.opened_elsewhere(1000, 0);
    assert_eq!(machine.state(), State::ForcedClosed);
    machine.release_force(0);
    open(&mut machine, 0);
    machine.release_force(0);
    assert_eq!(machine.state(), State::Closed);
}

#[test]
fn only_what_a_success_could_change_is_not_quiet() {
    let mut machine = machine(settings());
    assert!(machine.is_quiet());
    call(&mut machine, BAD, 0);
    assert!(!machine.is_quiet());
    call(&mut machine, GOOD, 0);
    assert!(machine.is_quiet());
}

#[test]
fn clocks_of_workers_that_are_a_little_apart_break_nothing() {
    let mut machine = machine(settings());
    for now in [1000, 999, 1001, 998, 997] {
        call(&mut machine, BAD, now);
    }
    assert_eq!(machine.state(), State::Open);
    assert!(machine.admit(900).is_err());
}
