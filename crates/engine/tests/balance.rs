//! How targets are picked: the shares of every algorithm, what health and priorities do to them, and what a change of the
//! set leaves as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_engine::clock::Clock;
use tidegate_engine::dns::Resolver;
use tidegate_engine::plan::{self, Resolve};
use tidegate_engine::respond::Code;
use tidegate_engine::telemetry::Wall;
use tidegate_engine::telemetry::metrics::Registry;
use tidegate_engine::upstream::balance::dice::{Dice, mix};
use tidegate_engine::upstream::balance::level::Algorithm;
use tidegate_engine::upstream::outcome::Outcome;
use tidegate_engine::upstream::target::{Target, health};
use tidegate_engine::upstream::targets::{Parts, Pick, Settings, Targets, Tried};

const SPREADING: [Algorithm; 4] =
    [Algorithm::RoundRobin, Algorithm::LeastRequests, Algorithm::PeakEwma, Algorithm::Random];
const HASHING: [Algorithm; 2] = [Algorithm::Maglev { most_percent: 0 }, Algorithm::Ring { most_percent: 0 }];
const OK: Outcome = Outcome::Answered { status: 200 };

struct Scene {
    targets: Targets,
    registry: Registry,
    dice: Dice,
}

fn target(address: &str, weight: u32, priority: u32) -> plan::Target {
    plan::Target { address: address.into(), weight, priority, resolve: Resolve::One }
}

/// `10.0.0.1:80` and so on, with these weights.
fn weighted(weights: &[u32]) -> Vec<plan::Target> {
    weights.iter().enumerate().map(|(index, weight)| target(&name(index), *weight, 0)).collect()
}

fn name(index: usize) -> String {
    format!("10.0.{}.{}:80", index / 250, index % 250 + 1)
}

impl Scene {
    fn new(algorithm: Algorithm, targets: &[plan::Target]) -> Self {
        Self::with(
            Settings { algorithm, slow_start_ms: 0, panic_percent: 0, begins_unhealthy: false, seals: None },
            targets,
        )
    }

    fn with(settings: Settings, targets: &[plan::Target]) -> Self {
        let registry = Registry::new(1, Arc::new(Wall::new(Clock::default())));
        let resolver = Arc::new(Resolver::of_nothing());
        let parts =
            Parts { service: "service", plan: targets, settings, resolver: &resolver, registry: &registry, now: 0 };
        let targets = Targets::compile(parts, None).unwrap_or_else(|problem| {
            panic!("{}: {}", problem.path, problem.message);
        });
        Self { targets, registry, dice: Dice::seeded(42) }
    }

    fn pick(&self, hash: Option<u64>, tried: &Tried, now: u64) -> Option<Arc<Target>> {
        self.targets.pick(&self.dice, &Pick { hash, tried, now })
    }

    fn any(&self) -> Arc<Target> {
        self.pick(None, &Tried::default(), 0).unwrap()
    }

    fn named(&self, name: &str) -> Arc<Target> {
        let set = self.targets.set();
        set.members.iter().find(|member| *member.target.name == *name).unwrap().target.clone()
    }

    fn take_out(&self, targets: std::ops::Range<usize>, reason: u32) {
        for index in targets {
            self.named(&name(index)).take_out(reason);
        }
    }

    /// How often each was picked.
    fn counts(&self, picks: usize, now: u64) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for _ in 0..picks {
            *counts.entry(self.pick(None, &Tried::default(), now).unwrap().name.to_string()).or_default() += 1;
        }
        counts
    }

    fn replace(&self, targets: &[plan::Target]) {
        self.targets.replace(Some(targets), &self.registry, 0).map_err(|problem| problem.message).unwrap();
    }
}

#[test]
fn idle_targets_get_requests_by_weight() {
    let dice = Dice::seeded(1);
    for algorithm in SPREADING {
        for _ in 0..8 {
            let weights: Vec<u32> = (0..2 + dice.below(9)).map(|_| 1 + dice.below(20)).collect();
            let total: u32 = weights.iter().sum();
            let scene = Scene::new(algorithm, &weighted(&weights));
            let counts = scene.counts(60_000, 0);
            for (index, weight) in weights.iter().enumerate() {
                let expected = 60_000.0 * f64::from(*weight) / f64::from(total);
                let got = counts[&name(index)] as f64;
                // Five standard deviations of a binomial distribution; taking turns is exact but for one round.
                let off = if algorithm == Algorithm::RoundRobin { f64::from(total) } else { 5.0 * expected.sqrt() };
                assert!((got - expected).abs() <= off, "{algorithm:?} {weights:?}: {got}, not {expected}");
            }
        }
    }
}

#[test]
fn requests_without_a_key_are_spread_by_weight_too() {
    for algorithm in HASHING {
        let counts = Scene::new(algorithm, &weighted(&[1, 3])).counts(40_000, 0);
        let share = counts[&name(1)] as f64 / 40_000.0;
        assert!((0.70..0.80).contains(&share), "{algorithm:?}: {share}");
    }
}

#[test]
fn a_target_of_weight_0_gets_nothing() {
    for algorithm in SPREADING.into_iter().chain(HASHING) {
        let counts = Scene::new(algorithm, &weighted(&[0, 1, 1])).counts(1000, 0);
        assert!(!counts.contains_key(&name(0)), "{algorithm:?}");
    }
}

#[test]
fn least_requests_keeps_queues_alike() {
    let scene = Scene::new(Algorithm::LeastRequests, &weighted(&[1; 10]));
    // Nothing ends: two choices leave nearly equal queues (Mitzenmacher 2001), chance alone would not.
    for _ in 0..10_000 {
        scene.any().begin(0);
    }
    let queues: Vec<u32> = (0..10).map(|index| scene.named(&name(index)).in_flight()).collect();
    assert!(queues.iter().max().unwrap() - queues.iter().min().unwrap() <= 8, "{queues:?}");
}

#[test]
fn least_requests_leaves_a_slow_target_alone() {
    let scene = Scene::new(Algorithm::LeastRequests, &weighted(&[1, 1]));
    let slow = scene.named(&name(0));
    (0..50).for_each(|_| slow.begin(0));
    assert_eq!(scene.counts(1000, 0)[&name(1)], 1000);
}

#[test]
fn peak_ewma_goes_where_answers_are_fast() {
    let scene = Scene::new(Algorithm::PeakEwma, &weighted(&[1; 4]));
    for index in 0..4 {
        let target = scene.named(&name(index));
        target.begin(0);
        target.ended(0, OK, if index == 3 { 100_000 } else { 1_000 }, 0);
    }
    let counts = scene.counts(10_000, 0);
    assert!(counts.get(&name(3)).is_none_or(|count| *count < 100), "{counts:?}");
    // In silence it is forgotten, and the slow one is tried again.
    assert!(scene.counts(10_000, 200_000)[&name(3)] > 1000);
}

#[test]
fn peak_ewma_does_not_take_fast_failures_for_speed() {
    let scene = Scene::new(Algorithm::PeakEwma, &weighted(&[1, 1]));
    let (failing, working) = (scene.named(&name(0)), scene.named(&name(1)));
    failing.begin(0);
    failing.ended(0, Outcome::Failed(Code::UpstreamConnectFailed), 50, 0);
    working.begin(0);
    working.ended(0, OK, 20_000, 0);
    assert_eq!(scene.counts(1000, 0)[&name(1)], 1000);
}

#[test]
fn the_same_key_goes_to_the_same_target() {
    for algorithm in HASHING {
        let scene = Scene::new(algorithm, &weighted(&[1, 2, 3, 4]));
        for key in 0..500 {
            let picked = scene.pick(Some(mix(key)), &Tried::default(), 0).unwrap();
            assert!((0..3).all(|_| scene.pick(Some(mix(key)), &Tried::default(), 0).unwrap().slot == picked.slot));
        }
    }
}

#[test]
fn when_one_leaves_few_other_keys_move() {
    for (algorithm, most) in [(HASHING[0], 0.06), (HASHING[1], 0.0)] {
        for count in [3, 10, 40] {
            let all = weighted(&vec![1; count]);
            let scene = Scene::new(algorithm, &all);
            let before: Vec<_> =
                (0..20_000).map(|key| scene.pick(Some(mix(key)), &Tried::default(), 0).unwrap()).collect();
            scene.replace(&all[1..]);
            let gone = &before[..].iter().find(|target| *target.name == *name(0)).unwrap().slot;
            let moved = (0..20_000).zip(&before).filter(|(key, old)| {
                old.slot != *gone && scene.pick(Some(mix(*key)), &Tried::default(), 0).unwrap().slot != old.slot
            });
            let share = moved.count() as f64 / 20_000.0;
            assert!(share <= most, "{algorithm:?} with {count}: {share} moved");
        }
    }
}

#[test]
fn keys_of_one_that_is_out_spread_and_come_back() {
    for algorithm in HASHING {
        let scene = Scene::new(algorithm, &weighted(&[1; 5]));
        let pick = |key| scene.pick(Some(mix(key)), &Tried::default(), 0).unwrap().slot;
        let before: Vec<_> = (0..5000).map(pick).collect();
        let out = scene.named(&name(2));
        out.take_out(health::EJECTED);
        let mut heirs = HashMap::<usize, usize>::new();
        for (key, old) in (0..5000).zip(&before) {
            match *old == out.slot {
                true => *heirs.entry(pick(key)).or_default() += 1,
                false => assert_eq!(pick(key), *old, "{algorithm:?}: others stay"),
            }
        }
        assert!(heirs.len() == 4 && heirs.values().all(|count| *count > 100), "{algorithm:?}: {heirs:?}");
        out.bring_back(health::EJECTED, 0);
        assert_eq!((0..5000).map(pick).collect::<Vec<_>>(), before);
    }
}

#[test]
fn no_target_is_over_its_bound() {
    let dice = Dice::seeded(9);
    for algorithm in [Algorithm::Maglev { most_percent: 125 }, Algorithm::Ring { most_percent: 125 }] {
        let weights: Vec<u32> = (0..8).map(|_| 1 + dice.below(5)).collect();
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let scene = Scene::new(algorithm, &weighted(&weights));
        let mut under_way: Vec<Arc<Target>> = Vec::new();
        for step in 0..20_000 {
            if dice.below(100) < 45 && !under_way.is_empty() {
                under_way.swap_remove(dice.below(under_way.len() as u32) as usize).ended(0, OK, 1, 0);
                continue;
            }
            // Half of all requests have one and the same key.
            let key = if dice.below(2) == 0 { 7 } else { dice.throw() };
            let picked = scene.pick(Some(key), &Tried::default(), 0).unwrap();
            picked.begin(0);
            let index = (0..8).find(|index| *name(*index) == *picked.name).unwrap();
            under_way.push(picked.clone());
            let most = (under_way.len() as u64 * u64::from(weights[index]) * 125).div_ceil(100 * total);
            assert!(u64::from(picked.in_flight()) <= most, "step {step}: {} of {most}", picked.in_flight());
        }
    }
}

#[test]
fn what_was_tried_is_not_tried_again_before_all_others() {
    for algorithm in SPREADING.into_iter().chain(HASHING) {
        let scene = Scene::new(algorithm, &weighted(&[1, 7, 2, 1, 90]));
        for key in 0..200 {
            let mut tried = Tried::default();
            let mut slots = Vec::new();
            for _ in 0..5 {
                let picked = scene.pick(Some(mix(key)), &tried, 0).unwrap();
                assert!(!slots.contains(&picked.slot), "{algorithm:?}");
                slots.push(picked.slot);
                tried.add(&picked);
            }
            assert!(scene.pick(Some(mix(key)), &tried, 0).is_some(), "then any");
        }
    }
}

#[test]
fn who_is_out_gets_nothing_until_every_reason_is_gone() {
    for algorithm in SPREADING.into_iter().chain(HASHING) {
        let scene = Scene::new(algorithm, &weighted(&[1, 1, 1]));
        let out = scene.named(&name(1));
        assert!(out.take_out(health::UNHEALTHY) && !out.take_out(health::UNHEALTHY));
        assert!(out.take_out(health::EJECTED));
        assert!(!scene.counts(300, 0).contains_key(&name(1)));
        assert!(out.bring_back(health::UNHEALTHY, 0) && !out.is_usable());
        assert!(!scene.counts(300, 0).contains_key(&name(1)));
        out.bring_back(health::EJECTED, 0);
        assert!(scene.counts(300, 0).contains_key(&name(1)), "{algorithm:?}");
    }
}

#[test]
fn without_a_usable_target_there_is_none_and_in_a_panic_there_are_all() {
    for panic_percent in [0, 50] {
        let settings = Settings {
            algorithm: Algorithm::RoundRobin,
            slow_start_ms: 0,
            panic_percent,
            begins_unhealthy: false,
            seals: None,
        };
        let scene = Scene::with(settings, &weighted(&[1; 4]));
        scene.take_out(0..3, health::UNHEALTHY);
        assert_eq!(scene.counts(100, 0).len(), if panic_percent == 0 { 1 } else { 4 });
        scene.named(&name(3)).take_out(health::UNHEALTHY);
        assert_eq!(scene.pick(None, &Tried::default(), 0).is_some(), panic_percent > 0);
        assert_eq!(scene.targets.set().panics, u32::from(panic_percent > 0));
    }
}

#[test]
fn the_next_priority_takes_what_the_first_cannot() {
    for algorithm in SPREADING.into_iter().chain(HASHING) {
        let mut targets = weighted(&[1; 4]);
        targets.push(target("10.9.0.1:80", 1, 5));
        let scene = Scene::new(algorithm, &targets);
        assert!(!scene.counts(1000, 0).contains_key("10.9.0.1:80"));
        scene.take_out(0..2, health::EJECTED);
        // Half of the first count for 0.5 * 1.4 = 70 %.
        let spare = scene.counts(10_000, 0)["10.9.0.1:80"];
        assert!((2700..3300).contains(&spare), "{algorithm:?}: {spare}");
        scene.take_out(2..4, health::EJECTED);
        assert_eq!(scene.counts(1000, 0)["10.9.0.1:80"], 1000);
    }
}

#[test]
fn a_retry_goes_to_another_priority_when_the_first_is_through() {
    let mut targets = weighted(&[1]);
    targets.push(target("10.9.0.1:80", 1, 1));
    let scene = Scene::new(Algorithm::RoundRobin, &targets);
    let mut tried = Tried::default();
    tried.add(&scene.any());
    assert_eq!(*scene.any().name, *name(0), "nothing goes there by itself");
    assert_eq!(*scene.pick(None, &tried, 0).unwrap().name, *"10.9.0.1:80");
}

#[test]
fn a_new_target_starts_slowly() {
    for algorithm in SPREADING {
        let settings =
            Settings { algorithm, slow_start_ms: 10_000, panic_percent: 0, begins_unhealthy: false, seals: None };
        let scene = Scene::with(settings, &weighted(&[1]));
        scene
            .targets
            .replace(Some(&weighted(&[1, 1])), &scene.registry, 100_000)
            .map_err(|problem| problem.message)
            .unwrap();
        let share = |now| scene.counts(20_000, now).get(&name(1)).copied().unwrap_or(0) as f64 / 20_000.0;
        for (now, expected) in [(100_000, 1.0 / 11.0), (103_000, 3.0 / 13.0), (109_999, 9.0 / 19.0), (110_000, 0.5)] {
            let got = share(now);
            assert!((got - expected).abs() < 0.02, "{algorithm:?} at {now}: {got}, not {expected}");
        }
        // So does one that is healthy again.
        let target = scene.named(&name(1));
        target.take_out(health::EJECTED);
        target.bring_back(health::EJECTED, 120_000);
        assert!(share(120_001) < 0.12);
    }
}

#[test]
fn targets_that_stay_keep_their_connections_and_those_that_go_end_what_they_do() {
    let scene = Scene::new(Algorithm::RoundRobin, &weighted(&[1, 1, 1]));
    let (stays, goes) = (scene.named(&name(0)), scene.named(&name(1)));
    stays.begin(0);
    goes.begin(0);
    stays.take_out(health::EJECTED);
    scene.replace(&weighted(&[4])[..1]);
    let after = scene.named(&name(0));
    assert!(Arc::ptr_eq(&after, &stays));
    assert!(!after.is_usable() && after.in_flight() == 1);
    goes.ended(0, OK, 1, 0);
    assert_eq!(goes.in_flight(), 0);
    scene.replace(&weighted(&[1, 1]));
    assert_ne!(scene.named(&name(1)).slot, goes.slot, "one that comes again is another");
}

#[test]
fn an_empty_set_has_no_target() {
    for algorithm in SPREADING.into_iter().chain(HASHING) {
        let scene = Scene::new(algorithm, &[]);
        assert!(scene.pick(Some(1), &Tried::default(), 0).is_none());
    }
}
