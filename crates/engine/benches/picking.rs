//! What it costs to pick a target and to count an attempt at it: `cargo bench -p tidegate-engine --bench picking`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tidegate_engine::clock::Clock;
use tidegate_engine::dns::Resolver;
use tidegate_engine::plan::{Resolve, Target};
use tidegate_engine::telemetry::Wall;
use tidegate_engine::telemetry::metrics::Registry;
use tidegate_engine::upstream::balance::dice::Dice;
use tidegate_engine::upstream::balance::level::Algorithm;
use tidegate_engine::upstream::outcome::Outcome;
use tidegate_engine::upstream::targets::{Parts, Pick, Settings, Targets, Tried};

const PICKS: u32 = 2_000_000;

const ALGORITHMS: [(&str, Algorithm); 7] = [
    ("round_robin", Algorithm::RoundRobin),
    ("random", Algorithm::Random),
    ("least_requests", Algorithm::LeastRequests),
    ("peak_ewma", Algorithm::PeakEwma),
    ("maglev", Algorithm::Maglev { most_percent: 0 }),
    ("maglev, bounded", Algorithm::Maglev { most_percent: 125 }),
    ("ring", Algorithm::Ring { most_percent: 0 }),
];

fn main() {
    let registry = Registry::new(1, Arc::new(Wall::new(Clock::default())));
    let resolver = Arc::new(Resolver::of_nothing());
    for count in [1, 8] {
        let plan: Vec<Target> = (0..count)
            .map(|index| Target {
                address: format!("10.0.0.{index}:80"),
                weight: 1,
                priority: 0,
                resolve: Resolve::One,
            })
            .collect();
        for (name, algorithm) in ALGORITHMS {
            let settings =
                Settings { algorithm, slow_start_ms: 0, panic_percent: 20, begins_unhealthy: false, seals: None };
            let parts = Parts { service: "s", plan: &plan, settings, resolver: &resolver, registry: &registry, now: 0 };
            let Ok(targets) = Targets::compile(parts, None) else { return };
            println!("{count} targets, {name}: {:.0} ns", nanos(&targets));
        }
    }
}

/// Of one attempt, from the pick to its end.
fn nanos(targets: &Targets) -> f64 {
    let (dice, tried) = (Dice::seeded(1), Tried::default());
    let began = Instant::now();
    for turn in 0..PICKS {
        let pick = Pick { hash: Some(u64::from(turn)), tried: &tried, now: u64::from(turn >> 10) };
        let Some(target) = black_box(targets.pick(&dice, &pick)) else { return f64::NAN };
        target.begin(0);
        target.ended(0, Outcome::Answered { status: 200 }, 500, pick.now);
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(PICKS)
}
