use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::clock::Clock;
use crate::plan::{BreakerRates, Callback, Handler, StatusRange};
use crate::telemetry::Wall;
use crate::telemetry::metrics::Registry;
use crate::upstream::breaker::machine::settings_of_tests as settings;

const THREADS: usize = 8;

fn breaker(settings: &CircuitBreaker) -> Arc<Breaker> {
    let registry = Registry::new(THREADS, Arc::new(Wall::new(Clock::default())));
    Arc::new(Breaker::new(settings, 0, registry.breaker("orders"), Arc::default()))
}

fn told() -> CircuitBreaker {
    let handler = Handler { id: 7, name: "shop:on_change".into() };
    CircuitBreaker { on_change: Some(Callback { handler }), ..settings() }
}

fn states(breaker: &Breaker) -> Vec<State> {
    breaker.news.take().iter().map(|news| news.change.to).collect()
}

/// Runs the same on all threads at once.
fn on_all_threads(run: impl Fn(usize) + Sync) {
    let begin = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for worker in 0..THREADS {
            let (begin, run) = (&begin, &run);
            scope.spawn(move || {
                begin.wait();
                run(worker);
            });
        }
    });
}

fn call(breaker: &Arc<Breaker>, worker: usize, code: Option<Code>, now: Millis) -> bool {
    let Ok(mut permit) = breaker.admit(now, worker) else { return false };
    match code {
        Some(code) => permit.failed(code, 0, now),
        None => {
            permit.answered(200, None, 0, now);
            permit.ended();
        }
    }
    true
}

#[test]
fn many_threads_open_it_with_exactly_the_failures_that_it_takes() {
    let threshold = THREADS as u32 * 500;
    for failures in [threshold - 1, threshold] {
        let breaker = breaker(&CircuitBreaker { failure_threshold: Some(threshold), ..told() });
        let left = AtomicUsize::new(failures as usize);
        on_all_threads(|worker| {
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                assert!(call(&breaker, worker, Some(Code::UpstreamReset), 0));
            }
        });
        assert_eq!(states(&breaker).len(), usize::from(failures == threshold), "{failures} of {threshold}");
    }
}

#[test]
fn many_threads_count_every_call_of_a_rate() {
    // Half of the calls fail, to the very last one: one more good call and it would stay closed.
    let calls = THREADS as u32 * 200;
    for good in [calls, calls + 1] {
        let rates = BreakerRates {
            failure: Some(500_000),
            slow: None,
            slow_call_ms: 0,
            minimum_calls: calls + good,
            window_calls: Some(calls + good),
        };
        let breaker = breaker(&CircuitBreaker { failure_threshold: None, rates: Some(rates), ..told() });
        on_all_threads(|worker| {
            for _ in 0..calls as usize / THREADS {
                call(&breaker, worker, Some(Code::UpstreamTimeout), 0);
                call(&breaker, worker, None, 0);
            }
        });
        (calls..good).for_each(|_| assert!(call(&breaker, 0, None, 0)));
        assert_eq!(states(&breaker), if good == calls { vec![State::Open] } else { vec![] });
    }
}

#[test]
fn many_threads_get_exactly_the_trials_that_there_are() {
    let breaker = breaker(&CircuitBreaker { success_threshold: 100, half_open_calls: 3, ..told() });
    (0..5).for_each(|_| assert!(call(&breaker, 0, Some(Code::UpstreamClosed), 0)));
    let (held, admitted) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    on_all_threads(|worker| {
        for _ in 0..200 {
            if let Ok(permit) = breaker.admit(30_000, worker) {
                admitted.fetch_add(1, Ordering::Relaxed);
                held.lock().unwrap().push(permit);
            }
        }
    });
    assert_eq!(admitted.load(Ordering::Relaxed), 3);
    held.lock().unwrap().clear();
    let succeeded = AtomicUsize::new(0);
    on_all_threads(|worker| {
        while breaker.state(30_000).0 == State::HalfOpen {
            succeeded.fetch_add(usize::from(call(&breaker, worker, None, 30_000)), Ordering::Relaxed);
        }
    });
    assert_eq!(states(&breaker), [State::Open, State::HalfOpen, State::Closed]);
    assert!(succeeded.load(Ordering::Relaxed) >= 100);
}

#[test]
fn an_answer_counts_at_its_end_and_one_that_breaks_off_is_a_failure() {
    let breaker = breaker(&CircuitBreaker { failure_threshold: Some(2), ..told() });
    for _ in 0..2 {
        let mut permit = breaker.admit(0, 0).unwrap();
        permit.answered(200, None, 0, 0);
        permit.failed(Code::UpstreamReset, 0, 0);
    }
    assert_eq!(states(&breaker), [State::Open]);
}

#[test]
fn what_says_nothing_of_the_service_counts_for_nothing() {
    let breaker = breaker(&CircuitBreaker { failure_threshold: Some(2), ..told() });
    call(&breaker, 0, Some(Code::UpstreamReset), 0);
    for code in [Code::ClientGone, Code::BodyTooLarge, Code::InternalError] {
        call(&breaker, 0, Some(code), 0);
    }
    drop(breaker.admit(0, 0).unwrap());
    call(&breaker, 0, Some(Code::UpstreamReset), 0);
    assert_eq!(states(&breaker), [State::Open], "they are no successes either");
}

#[test]
fn statuses_and_errors_count_as_the_document_says() {
    let mut settings = CircuitBreaker { failure_threshold: Some(1), ..told() };
    settings.count.statuses = vec![StatusRange(429, 429), StatusRange(503, 503)];
    settings.count.reset = false;
    for (status, opens) in [(200, false), (500, false), (503, true), (429, true)] {
        let breaker = breaker(&settings);
        breaker.admit(0, 0).unwrap().answered(status, None, 0, 0);
        assert_eq!(breaker.state(0).0 == State::Open, opens, "{status}");
    }
    for (code, opens) in [
        (Code::UpstreamConnectFailed, true),
        (Code::UpstreamUnresolved, true),
        (Code::UpstreamConnectTimeout, true),
        (Code::UpstreamTlsFailed, true),
        (Code::UpstreamReset, false),
        (Code::UpstreamClosed, false),
        (Code::UpstreamTimeout, true),
        (Code::UpstreamWriteTimeout, true),
        (Code::Timeout, true),
        (Code::UpstreamMalformed, true),
        (Code::UpstreamHeadTooLarge, true),
    ] {
        let breaker = breaker(&settings);
        breaker.admit(0, 0).unwrap().failed(code, 0, 0);
        assert_eq!(breaker.state(0).0 == State::Open, opens, "{code:?}");
    }
}

#[test]
fn a_call_that_was_under_way_when_it_opened_neither_closes_nor_opens_it() {
    let breaker = breaker(&told());
    let mut late = breaker.admit(0, 0).unwrap();
    (0..5).for_each(|_| assert!(call(&breaker, 0, Some(Code::UpstreamReset), 0)));
    late.answered(200, None, 0, 0);
    late.ended();
    assert_eq!(breaker.state(0), (State::Open, 30_000));
    assert!(breaker.is_open(29_999).is_some());
    assert!(breaker.is_open(30_000).is_none(), "a trial may go through");
}
