//! The table as threads, floods and clocks try it.

use super::*;
use crate::limits::algorithm::{Algorithm, Parameters};
use crate::limits::key::Hasher;

const SECOND: Micros = 1_000_000;
const NOW: Micros = 1_800_000_000 * SECOND;

fn rule(algorithm: Algorithm, amount: u64, window: Micros) -> Rule {
    Rule::new(Parameters { algorithm, amount, window, burst: amount, delay: 0 }).unwrap()
}

fn take(table: &Table, rule: &Rule, key: Key, now: Micros) -> Told {
    let mut told = [Told::default()];
    table.take(now, &[Ask { rule, key, cost: 1, shadow: false }], &mut told);
    told[0]
}

#[test]
fn nothing_is_charged_when_one_limit_refuses() {
    let (table, hasher) = (Table::default(), Hasher::default());
    let rules = [rule(Algorithm::FixedWindow, 10, SECOND), rule(Algorithm::TokenBucket, 1, SECOND)];
    let keys = [hasher.namespace(&[b"wide"]).key(b"k"), hasher.namespace(&[b"narrow"]).key(b"k")];
    let ask = |index: usize, shadow| Ask { rule: &rules[index], key: keys[index], cost: 1, shadow };
    let mut told = [Told::default(); 2];
    assert!(table.take(NOW, &[ask(0, false), ask(1, false)], &mut told));
    assert_eq!((told[0].reading.remaining, told[1].reading.remaining), (9, 0));
    assert!(!table.take(NOW, &[ask(0, false), ask(1, false)], &mut told));
    assert_eq!((told[0].passed, told[0].charged, told[0].reading.remaining), (true, false, 9));
    // One that only watches stops nothing, and is charged no more than it allows.
    assert!(table.take(NOW, &[ask(0, false), ask(1, true)], &mut told));
    assert_eq!((told[0].reading.remaining, told[1].passed, told[1].charged), (8, false, false));
}

#[test]
fn no_request_too_many_passes_whatever_the_workers_do() {
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket] {
        let (table, key) = (Table::default(), Hasher::default().namespace(&[]).key(b"k"));
        let rule = rule(algorithm, 500, 3600 * SECOND);
        let passed = || (0..300).filter(|_| take(&table, &rule, key, NOW).passed).count();
        let total: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(passed)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(total, 500, "{algorithm:?}");
    }
}

#[test]
fn checks_of_the_same_keys_in_another_order_do_not_wait_for_each_other() {
    let (table, hasher) = (Table::default(), Hasher::default());
    let rule = rule(Algorithm::TokenBucket, 1000, SECOND);
    let keys: Vec<_> = (0..8u8).map(|name| hasher.namespace(&[]).key(&[name])).collect();
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (table, rule, mut keys) = (&table, &rule, keys.clone());
            keys.rotate_left(turn * 2);
            scope.spawn(move || {
                let asks: Vec<_> = keys.iter().map(|&key| Ask { rule, key, cost: 1, shadow: false }).collect();
                let mut told = vec![Told::default(); asks.len()];
                (0..200).for_each(|_| assert!(table.take(NOW, &asks, &mut told)));
            });
        }
    });
    assert!(keys.iter().all(|&key| take(&table, &rule, key, NOW).reading.remaining == 199));
}

#[test]
fn a_flood_of_keys_stays_in_its_bounds_and_frees_nobody() {
    let (table, hasher) = (Table::bounded(4, STAMPS), Hasher::default());
    let namespace = hasher.namespace(&[b"flood"]);
    for algorithm in [Algorithm::FixedWindow, Algorithm::TokenBucket, Algorithm::SlidingLog] {
        let rule = rule(algorithm, 100, 60 * SECOND);
        let hot: Vec<_> = (0..100u32).map(|name| namespace.key(format!("{algorithm:?}{name}").as_bytes())).collect();
        for &key in &hot {
            (0..100).for_each(|_| assert!(take(&table, &rule, key, NOW).passed));
        }
        for name in 0..40_000u32 {
            take(&table, &rule, namespace.key(&name.to_le_bytes()), NOW + SECOND / 10);
        }
        assert!(hot.iter().all(|&key| !take(&table, &rule, key, NOW + SECOND / 5).passed), "{algorithm:?}");
        assert!(table.census().keys <= 4 * 4 * SHARDS);
    }
    assert!(table.census().evicted > 20_000);
}

#[test]
fn keys_that_have_run_out_make_room_before_any_other() {
    let (table, hasher) = (Table::bounded(64, STAMPS), Hasher::default());
    let (namespace, rule) = (hasher.namespace(&[]), rule(Algorithm::FixedWindow, 5, SECOND));
    for round in 0..20u64 {
        for name in 0..2000u64 {
            take(&table, &rule, namespace.key(&(round * 2000 + name).to_le_bytes()), NOW + round * 2 * SECOND);
        }
    }
    assert_eq!(table.census().evicted, 0);
}

#[test]
fn logs_keep_to_their_bound() {
    let (table, hasher) = (Table::bounded(SETS, 1000), Hasher::default());
    let (namespace, rule) = (hasher.namespace(&[]), rule(Algorithm::SlidingLog, 10, SECOND));
    for name in 0..20_000u32 {
        take(&table, &rule, namespace.key(&name.to_le_bytes()), NOW);
    }
    let census = table.census();
    assert_eq!(census.stamps, table.stamps.load(Relaxed));
    assert!(census.stamps <= 1000 + SHARDS, "{census:?}");
}

#[test]
fn a_charge_is_given_back_once_and_only_while_it_counts() {
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket] {
        let (table, key) = (Table::default(), Hasher::default().namespace(&[]).key(b"k"));
        let rule = rule(algorithm, 2, SECOND);
        assert_eq!(take(&table, &rule, key, NOW).reading.remaining, 1);
        assert_eq!(take(&table, &rule, key, NOW + 10).reading.remaining, 0);
        table.give_back(NOW + 20, &rule, key, NOW, 1);
        assert_eq!(take(&table, &rule, key, NOW + 20).reading.remaining, 0, "{algorithm:?}");
        assert!(!take(&table, &rule, key, NOW + 30).passed);
        let later = NOW + 10 * SECOND;
        assert_eq!(take(&table, &rule, key, later).reading.remaining, 1);
        table.give_back(later, &rule, key, NOW + 10, 1);
        let left = take(&table, &rule, key, later).reading.remaining;
        // A bucket does not know when it was filled: there a late refund counts, up to a whole budget.
        assert_eq!(left, u64::from(algorithm == Algorithm::TokenBucket), "{algorithm:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_and_locks_nobody_out() {
    let hour = 3600 * SECOND;
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket] {
        let (table, key) = (Table::default(), Hasher::default().namespace(&[]).key(b"k"));
        let rule = rule(algorithm, 2, SECOND);
        (0..2).for_each(|_| assert!(take(&table, &rule, key, NOW).passed));
        assert!(!take(&table, &rule, key, NOW - hour).passed, "{algorithm:?}");
        assert!(take(&table, &rule, key, NOW - hour + 2 * SECOND).passed, "{algorithm:?}");
    }
}

/// `cargo test --release -p tidegate-engine a_million_keys -- --nocapture` tells the times, too; the figures are in the page.
#[test]
fn a_million_keys_take_no_more_than_a_hundred_bytes_each() {
    let (table, hasher) = (Table::default(), Hasher::default());
    let (namespace, rule) =
        (hasher.namespace(&[b"route/orders", b"default"]), rule(Algorithm::TokenBucket, 100, 60 * SECOND));
    for name in 0..1_000_000u32 {
        take(&table, &rule, namespace.key(&name.to_le_bytes()), NOW);
    }
    let census = table.census();
    println!("{census:?}: {} bytes a key", census.bytes as f64 / 1e6);
    assert_eq!(census.keys, 1_000_000);
    assert!(census.bytes <= 100_000_000);
    let begun = std::time::Instant::now();
    for turn in 0..1_000_000u64 {
        let told = take(&table, &rule, namespace.key(b"user:2f1c0a76-5a8e-4f4b-9f43"), NOW + turn * 600_000);
        assert!(told.passed);
    }
    println!("{:?} for a check of one key, hash included", begun.elapsed() / 1_000_000);
    let begun = std::time::Instant::now();
    for turn in 0..1_000_000u32 {
        take(&table, &rule, namespace.key(&(turn.wrapping_mul(0x9e37_79b9) % 1_000_000).to_le_bytes()), NOW + SECOND);
    }
    println!("{:?} for a check of one of a million keys", begun.elapsed() / 1_000_000);
}
