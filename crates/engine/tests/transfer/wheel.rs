//! The wheel of deadlines: never early, and late by no more than the clock is coarse.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tidegate_engine::clock::{Clock, NEVER};
use tidegate_engine::wheel::{Alarm, Wheel};

/// Of a slot of the wheel, in milliseconds.
const TICK_MS: u64 = 8;
/// Time that a busy machine may take between two lines of a test.
const SLACK_MS: u64 = 2_000;

#[derive(Default)]
struct Rings(AtomicUsize);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bench {
    clock: Clock,
    wheel: Rc<Wheel>,
    rings: Arc<Rings>,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::default();
        Self { wheel: Wheel::new(clock.clone()), clock, rings: Arc::default() }
    }

    fn poll(&self, alarm: &Alarm) -> Poll<()> {
        alarm.poll(&mut Context::from_waker(&Waker::from(self.rings.clone())))
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(millis);
        self.wheel.turn();
    }

    fn rings(&self) -> usize {
        self.rings.0.load(Ordering::Relaxed)
    }
}

#[test]
fn an_alarm_rings_at_its_time_and_not_before() {
    for wait in [SLACK_MS * 2, 16_384, 20_000, 75_000, 3_600_000] {
        let bench = Bench::new();
        let alarm = bench.wheel.alarm();
        let due = bench.clock.now() + wait;
        alarm.set(due);
        assert!(bench.poll(&alarm).is_pending());
        bench.pass(wait - SLACK_MS);
        assert_eq!(bench.rings(), 0, "{wait}");
        bench.pass(SLACK_MS + TICK_MS);
        assert_eq!(bench.rings(), 1, "{wait}");
        assert!(bench.poll(&alarm).is_ready(), "{wait}");
    }
}

#[test]
fn an_alarm_rings_at_the_first_turn_behind_its_time() {
    for wait in 1..40 {
        let bench = Bench::new();
        let alarm = bench.wheel.alarm();
        let due = bench.clock.now() + wait;
        alarm.set(due);
        let mut turned = bench.clock.now();
        while bench.poll(&alarm).is_pending() {
            assert!(turned < due, "{wait}");
            bench.clock.advance(1);
            turned = bench.clock.now();
            bench.wheel.turn();
        }
        assert!(bench.clock.now() >= due);
    }
}

#[test]
fn an_alarm_that_is_moved_later_rings_once_at_the_later_time() {
    let bench = Bench::new();
    let alarm = bench.wheel.alarm();
    let start = bench.clock.now();
    alarm.set(start + 10_000);
    assert!(bench.poll(&alarm).is_pending());
    for step in 1..=10 {
        alarm.set(start + 10_000 + step * 5_000);
        bench.pass(5_000);
        assert_eq!(bench.rings(), 0, "step {step}");
    }
    bench.pass(10_000 + TICK_MS);
    assert_eq!(bench.rings(), 1);
}

#[test]
fn an_alarm_that_is_moved_earlier_rings_at_the_earlier_time() {
    let bench = Bench::new();
    let alarm = bench.wheel.alarm();
    let start = bench.clock.now();
    alarm.set(start + 60_000);
    assert!(bench.poll(&alarm).is_pending());
    alarm.set(start + 10_000);
    bench.pass(10_000 + TICK_MS);
    assert_eq!(bench.rings(), 1);
    assert!(bench.poll(&alarm).is_ready());
    // The copy that stood at the old time is met without effect.
    alarm.set(bench.clock.now() + 600_000);
    assert!(bench.poll(&alarm).is_pending());
    bench.pass(100_000);
    assert_eq!(bench.rings(), 1);
}

#[test]
fn an_alarm_that_is_lent_again_knows_nothing_of_the_time_before() {
    let bench = Bench::new();
    let first = bench.wheel.lend();
    first.set(bench.clock.now() + 10_000);
    assert!(bench.poll(&first).is_pending());
    drop(first);
    let second = bench.wheel.lend();
    assert!(bench.poll(&second).is_pending());
    bench.pass(100_000);
    assert_eq!(bench.rings(), 0);
    second.set(bench.clock.now() + 10_000);
    bench.pass(10_000 + TICK_MS);
    assert_eq!(bench.rings(), 1);
    assert!(bench.poll(&second).is_ready());
}

#[test]
fn an_alarm_that_is_switched_off_does_not_ring() {
    let bench = Bench::new();
    let alarm = bench.wheel.alarm();
    alarm.set(bench.clock.now() + 10_000);
    assert!(bench.poll(&alarm).is_pending());
    alarm.set(NEVER);
    bench.pass(100_000);
    assert_eq!(bench.rings(), 0);
    alarm.set(bench.clock.now() + 10_000);
    bench.pass(10_000 + TICK_MS);
    assert_eq!(bench.rings(), 1, "and on again");
}

#[test]
fn a_far_alarm_outlives_a_turn_of_many_ticks() {
    // It was put back into a slot that the same turn had still to visit, and dropped there.
    for stride in [TICK_MS, 10 * TICK_MS, 5_000, 16_384, 40_000] {
        let bench = Bench::new();
        let alarms: Vec<Alarm> = (0..50).map(|_| bench.wheel.alarm()).collect();
        for (index, alarm) in alarms.iter().enumerate() {
            alarm.set(bench.clock.now() + 200_000 - 100 * index as u64);
            assert!(bench.poll(alarm).is_pending());
        }
        for _ in 0..190_000 / stride {
            bench.pass(stride);
        }
        assert_eq!(bench.rings(), 0, "{stride}");
        bench.pass(50_000);
        assert_eq!(bench.rings(), 50, "{stride}");
    }
}

#[test]
fn an_alarm_that_was_due_before_anybody_waited_is_ready_at_once() {
    let bench = Bench::new();
    let alarm = bench.wheel.alarm();
    alarm.set(bench.clock.now() + 100);
    bench.pass(200);
    assert_eq!(bench.rings(), 0);
    assert!(bench.poll(&alarm).is_ready());
}

#[test]
fn a_due_time_in_the_past_rings_at_the_next_turn_of_one_who_waits() {
    let bench = Bench::new();
    let alarm = bench.wheel.alarm();
    alarm.set(bench.clock.now() + 600_000);
    assert!(bench.poll(&alarm).is_pending());
    bench.pass(100);
    alarm.set(bench.clock.now() - 50);
    bench.pass(2 * TICK_MS);
    assert_eq!(bench.rings(), 1);
}

#[test]
fn everybody_who_waits_is_woken_to_look_around_and_rings_later_all_the_same() {
    let bench = Bench::new();
    let alarms: Vec<Alarm> = (0..10).map(|_| bench.wheel.alarm()).collect();
    for alarm in &alarms {
        alarm.set(bench.clock.now() + 60_000);
        assert!(bench.poll(alarm).is_pending());
    }
    bench.wheel.wake_all();
    assert_eq!(bench.rings(), 10);
    assert!(alarms.iter().all(|alarm| bench.poll(alarm).is_pending()), "not due, and waits again");
    bench.pass(60_000 + TICK_MS);
    assert_eq!(bench.rings(), 20);
}

#[test]
fn an_alarm_that_is_gone_rings_nobody() {
    let bench = Bench::new();
    let alarm = bench.wheel.alarm();
    alarm.set(bench.clock.now() + 10_000);
    assert!(bench.poll(&alarm).is_pending());
    drop(alarm);
    assert_eq!(Arc::strong_count(&bench.rings), 1, "the waker is let go at once");
    bench.pass(20_000);
    assert_eq!(bench.rings(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn the_driver_follows_a_clock_that_was_moved() {
    let clock = Clock::default();
    let wheel = Wheel::new(clock.clone());
    let local = tokio::task::LocalSet::new();
    local.spawn_local(wheel.clone().drive());
    let waiting = async {
        let early = wheel.alarm();
        early.set(clock.now() + 5_000);
        let late = wheel.sleep_until(clock.now() + 3_600_000);
        tokio::pin!(late);
        tokio::task::yield_now().await;
        clock.advance(3_600_000);
        wheel.clock_moved();
        late.await;
        assert!(clock.now() >= early.due());
        // The driver's sleep was reckoned before the move: a new alarm must not wait for it.
        wheel.sleep_until(clock.now() + 20).await;
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), local.run_until(waiting)).await.unwrap();
}
