use super::*;

const MINUTE: Millis = 60_000;

fn settings() -> Settings {
    Settings {
        steps: [100, 2_500, 10_000].into(),
        interval_ms: MINUTE,
        minimum: 100,
        errors: 100,
        latency: Some((9_500, 150)),
    }
}

/// What both sides count, step by step.
#[derive(Default)]
struct Traffic(Both);

impl Traffic {
    fn canary(&mut self, all: u64, errors: u64, micros: u64) -> &mut Self {
        self.0.canary = self.0.canary.plus(&Totals::made_up(all, errors, micros));
        self
    }

    fn baseline(&mut self, all: u64, errors: u64, micros: u64) -> &mut Self {
        self.0.baseline = self.0.baseline.plus(&Totals::made_up(all, errors, micros));
        self
    }
}

#[test]
fn it_advances_step_by_step_to_the_end() {
    let settings = settings();
    let mut traffic = Traffic::default();
    let mut machine = Machine::new(0, traffic.0);
    assert_eq!(machine.share(&settings), 100);
    traffic.canary(200, 0, 4_000).baseline(9_000, 0, 4_000);
    assert!(!machine.look(MINUTE - 1, traffic.0, &settings), "not before its time");
    assert!(machine.look(MINUTE, traffic.0, &settings));
    assert_eq!((machine.step, machine.share(&settings)), (1, 2_500));
    traffic.canary(2_000, 0, 4_000).baseline(6_000, 0, 4_000);
    assert!(machine.look(2 * MINUTE, traffic.0, &settings));
    assert_eq!((machine.step, machine.share(&settings)), (2, 10_000));
    // Nobody goes to the baseline any more: what it did before is what counts.
    traffic.canary(9_000, 0, 4_000);
    assert!(machine.look(3 * MINUTE, traffic.0, &settings));
    assert_eq!((machine.phase, machine.share(&settings)), (Phase::Promoted, 10_000));
    traffic.canary(1_000, 1_000, 4_000);
    assert!(!machine.look(4 * MINUTE, traffic.0, &settings), "it is over");
}

#[test]
fn it_waits_for_enough_requests_however_long_that_takes() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    let mut machine = Machine::new(0, traffic.0);
    traffic.canary(99, 99, 4_000).baseline(9_000, 0, 4_000);
    assert!(!machine.look(60 * MINUTE, traffic.0, &settings));
    assert_eq!((machine.phase, machine.step), (Phase::Advancing, 0));
    traffic.canary(1, 0, 4_000);
    assert!(machine.look(60 * MINUTE, traffic.0, &settings));
    assert_eq!((machine.phase, machine.reason), (Phase::RolledBack, Some(Reason::Errors)));
}

#[test]
fn it_goes_back_at_once_when_it_fails_more_than_the_baseline() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    let mut machine = Machine::new(0, traffic.0);
    traffic.canary(200, 40, 4_000).baseline(9_000, 10, 4_000);
    assert!(machine.look(10, traffic.0, &settings), "long before the step is over");
    assert_eq!((machine.share(&settings), machine.reason), (0, Some(Reason::Errors)));
}

#[test]
fn an_outage_of_both_is_not_its_fault() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    let mut machine = Machine::new(0, traffic.0);
    traffic.canary(200, 100, 4_000).baseline(9_000, 4_500, 4_000);
    assert!(machine.look(MINUTE, traffic.0, &settings));
    assert_eq!((machine.phase, machine.step), (Phase::Advancing, 1));
}

#[test]
fn it_goes_back_when_it_is_slower_and_not_when_it_is_a_little() {
    let settings = settings();
    for (micros, phase) in [(4_000, Phase::Advancing), (9_000, Phase::Advancing), (20_000, Phase::RolledBack)] {
        let mut traffic = Traffic::default();
        let mut machine = Machine::new(0, traffic.0);
        traffic.canary(200, 0, micros).baseline(9_000, 0, 4_000);
        assert!(machine.look(MINUTE, traffic.0, &settings));
        assert_eq!(machine.phase, phase, "{micros}");
    }
}

#[test]
fn a_few_slow_requests_are_no_reason() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    let mut machine = Machine::new(0, traffic.0);
    traffic.canary(190, 0, 4_000).canary(10, 0, 900_000).baseline(9_000, 0, 4_000);
    assert!(machine.look(MINUTE, traffic.0, &settings));
    assert_eq!(machine.phase, Phase::Advancing);
}

#[test]
fn what_was_counted_before_it_began_does_not_matter() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    traffic.canary(10_000, 9_000, 4_000).baseline(100, 0, 4_000);
    let mut machine = Machine::new(0, traffic.0);
    traffic.canary(200, 0, 4_000).baseline(9_000, 0, 4_000);
    assert!(machine.look(MINUTE, traffic.0, &settings));
    assert_eq!(machine.phase, Phase::Advancing);
}

#[test]
fn people_can_hold_it_end_it_and_begin_it_again() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    let mut machine = Machine::new(0, traffic.0);
    assert!(!machine.command(Command::Resume, 0, traffic.0));
    assert!(machine.command(Command::Pause, 0, traffic.0));
    traffic.canary(200, 0, 4_000).baseline(9_000, 0, 4_000);
    assert!(!machine.look(MINUTE, traffic.0, &settings));
    assert_eq!(machine.share(&settings), 100);
    assert!(machine.command(Command::Resume, MINUTE, traffic.0));
    assert!(machine.look(MINUTE, traffic.0, &settings));
    assert!(machine.command(Command::Promote, MINUTE, traffic.0));
    assert_eq!(machine.share(&settings), 10_000);
    assert!(machine.command(Command::RollBack, MINUTE, traffic.0));
    assert_eq!((machine.share(&settings), machine.reason), (0, Some(Reason::Asked)));
    assert!(machine.command(Command::Restart, MINUTE, traffic.0));
    assert_eq!((machine.phase, machine.share(&settings), machine.reason), (Phase::Advancing, 100, None));
}

#[test]
fn a_paused_canary_that_fails_goes_back_all_the_same() {
    let (settings, mut traffic) = (settings(), Traffic::default());
    let mut machine = Machine::new(0, traffic.0);
    machine.command(Command::Pause, 0, traffic.0);
    traffic.canary(200, 100, 4_000).baseline(9_000, 0, 4_000);
    assert!(machine.look(1, traffic.0, &settings));
    assert_eq!(machine.phase, Phase::RolledBack);
}
