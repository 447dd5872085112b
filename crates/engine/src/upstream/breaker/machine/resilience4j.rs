//! The same traces as resilience4j, the same states: worked out from its documentation ("CircuitBreaker") and from what
//! `CircuitBreakerStateMachine`, `CircuitBreakerMetrics` and their tests say.
//!
//! Two things differ on purpose and are in no trace: the end of OPEN is reached when its time has passed, where resilience4j
//! wants one tick more; and calls that were admitted in an earlier state do not count in the present one.

use super::tests::settings;
use super::*;
use crate::plan::BreakerRates;

/// `failureRateThreshold(50)`, `slowCallRateThreshold(50)`, `slowCallDurationThreshold(4 s)`, `waitDurationInOpenState(5 s)`.
fn by_rate(window_calls: Option<u32>, minimum_calls: u32, half_open_calls: u32) -> CircuitBreaker {
    CircuitBreaker {
        failure_threshold: None,
        timeout_ms: 5000,
        window_ms: 5000,
        half_open_calls,
        rates: Some(BreakerRates {
            failure: Some(500_000),
            slow: Some(500_000),
            slow_call_ms: 4000,
            minimum_calls,
            window_calls,
        }),
        ..settings()
    }
}

/// Plays a trace. `S` success, `E` error, `s` and `e` the same but slow, `I` an error that is ignored, each after it was
/// admitted; `P` a call that is admitted and stays under way; `R` the oldest of these is released; `X` a call that is refused;
/// a number: so many seconds pass. After `=` stands the state that follows: closed, open, half open.
fn play(settings: CircuitBreaker, trace: &str) {
    let mut now = 100_000;
    let mut machine = Machine::new(settings, now);
    let mut held = Vec::new();
    for step in trace.split_whitespace() {
        if let Ok(seconds) = step.parse::<Millis>() {
            now += seconds * 1000;
            continue;
        }
        let (action, state) = step.split_once('=').expect("a state follows every step");
        let verdict = Verdict { failed: matches!(action, "E" | "e"), slow: matches!(action, "s" | "e") };
        match action {
            "X" => assert!(machine.admit(now).is_err(), "{trace}: {step}"),
            "R" => machine.release(held.remove(0)),
            _ => {
                let admission = machine.admit(now).unwrap_or_else(|_| panic!("{trace}: {step} was refused"));
                match action {
                    "P" => held.push(admission),
                    "I" => machine.release(admission),
                    _ => machine.record(admission, verdict, now),
                }
            }
        }
        let letter = match machine.state() {
            State::Closed => "C",
            State::Open => "O",
            State::HalfOpen => "H",
            other => panic!("{trace}: {other:?}"),
        };
        assert_eq!(letter, state, "{trace}: after {step}");
    }
}

#[test]
fn the_states_are_those_of_resilience4j() {
    let of_time = |minimum, half_open| by_rate(None, minimum, half_open);
    let of_calls = |size, minimum, half_open| by_rate(Some(size), minimum, half_open);
    let table: [(&str, CircuitBreaker, &str); 20] = [
        ("the failure rate is reached, by a success too", of_time(5, 4), "E=C E=C E=C S=C S=O X=O"),
        ("below the minimum of calls nothing opens it", of_time(5, 4), "E=C E=C E=C E=C"),
        ("exactly the rate is enough", of_time(4, 4), "E=C E=C S=C S=O"),
        ("the slow call rate is reached", of_time(5, 4), "e=C s=C E=C S=C s=O"),
        ("errors that are ignored count for nothing", of_time(2, 4), "I=C I=C I=C S=C I=C S=C"),
        ("what is older than the window is forgotten", of_time(5, 4), "E=C E=C 5 E=C S=C S=C S=C S=C"),
        ("what is within the window is not", of_time(5, 4), "E=C E=C 4 S=C S=C E=O"),
        ("the last calls, however old", of_calls(4, 4, 4), "E=C S=C S=C S=C 60 S=C E=C E=O"),
        ("a window of calls forgets the oldest", of_calls(4, 4, 4), "E=C S=C S=C S=C E=C S=C S=C E=O"),
        ("a window of calls that is full decides", of_calls(3, 100, 4), "E=C E=C E=O"),
        ("it is half open when its time has passed", of_time(2, 4), "E=C E=O X=O 3 X=O 3 P=H"),
        ("so many trials and no more", of_time(2, 4), "E=C E=O 6 P=H P=H P=H P=H X=H X=H R=H P=H X=H"),
        ("again so many the next time", of_time(2, 2), "E=C E=O 6 E=H E=O 6 P=H P=H X=H"),
        ("trials fail", of_time(5, 4), "E=C E=C E=C E=C E=O 6 E=H E=H S=H E=O X=O"),
        ("trials are slow", of_time(5, 4), "E=C E=C E=C E=C E=O 6 s=H s=H s=H S=O"),
        ("one failed trial of four is below the rate", of_time(5, 4), "E=C E=C E=C E=C E=O 6 E=H S=H S=H S=C S=C"),
        ("it is closed without memory", of_time(4, 4), "E=C E=C E=C E=O 6 S=H S=H S=H S=C E=C E=C E=C E=O"),
        ("a trial that is ignored gives its place back", of_time(4, 4), "E=C E=C E=C E=O 6 S=H S=H S=H I=H E=C"),
        ("any number of them", of_time(4, 4), "E=C E=C E=C E=O 6 I=H I=H I=H I=H S=H S=H S=H S=C"),
        ("a minimum that is smaller than the trials decides", of_time(2, 4), "E=C E=O 6 S=H S=C"),
    ];
    for (name, settings, trace) in table {
        println!("{name}");
        play(settings, trace);
    }
}
