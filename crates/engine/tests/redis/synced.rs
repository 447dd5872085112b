//! Several gateways that settle one store now and then, with a time that the test moves: what they may admit together is bounded,
//! and what they have admitted is counted once, whatever happens to an answer.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::limits::shared::{Question, Scope, What};
use tidegate_engine::limits::synced::settler::{Settler, Time};
use tidegate_engine::limits::synced::{Ledger, SyncedAsk};
use tidegate_engine::limits::trace::{self, Arrival};
use tidegate_engine::limits::{Algorithm, Hasher, Key, Micros, Parameters, Rule, Told};
use tidegate_engine::redis::{Client, StoreError};

use crate::differential::Dice;
use crate::server::{Server, with_client};

const SYNC: Micros = 100_000;
const BEGIN: Micros = 1_790_000_000_000_000;

/// One of those that share a limit. It settles as its settler does: `SYNC` after the first charge that the store has not heard of.
struct Gateway {
    ledger: Arc<Ledger>,
    settler: Settler,
    key: Key,
    /// How far its clock is ahead.
    ahead: Micros,
    due: Option<Micros>,
    /// When it admitted how much.
    admitted: Vec<(Micros, u64)>,
}

impl Gateway {
    fn new() -> Self {
        let key = Hasher::default().namespace(&[b"limit"]).key(b"key");
        let ledger = Arc::new(Ledger::new(Duration::from_micros(SYNC)));
        Self { ledger, settler: Settler::default(), key, ahead: 0, due: None, admitted: Vec::new() }
    }

    fn ask(&mut self, now: Micros, scope: &Scope, rule: &Rule, cost: u64) -> Told {
        let (name, what) = (scope.named(), What::Rule(*rule));
        let ask = SyncedAsk { key: self.key, name, text: b"key", what, cost, shadow: false };
        let mut told = [Told::default()];
        if self.ledger.take(now + self.ahead, &[ask], &mut told) {
            self.due.get_or_insert(now + SYNC);
            self.admitted.push((now, cost));
        }
        told[0]
    }

    async fn settle(&mut self, client: &Rc<Client>, now: Micros) -> Result<(), StoreError> {
        self.due = None;
        let outcome = self.settler.settle(client, &self.ledger, Time::Told { now: now + self.ahead, store: now }).await;
        // From now on it goes by the store's clock.
        self.ahead = 0;
        outcome
    }

    /// The most that it admitted in any stretch of `SYNC`.
    fn most_in_an_interval(&self) -> u64 {
        let within = |begin: Micros| {
            let times = self.admitted.iter().filter(|(at, _)| (begin..=begin + SYNC).contains(at));
            times.map(|(_, cost)| cost).sum()
        };
        self.admitted.iter().map(|&(at, _)| within(at)).max().unwrap_or(0)
    }
}

/// Settles whoever is due before `now`, in the order in which they are.
async fn settle_until(gateways: &mut [Gateway], client: &Rc<Client>, now: Micros) {
    loop {
        let next = gateways.iter_mut().filter(|one| one.due.is_some_and(|due| due <= now)).min_by_key(|one| one.due);
        let Some(gateway) = next else { return };
        let due = gateway.due.unwrap();
        gateway.settle(client, due).await.unwrap();
    }
}

fn rule(dice: &mut Dice, algorithm: Algorithm) -> Rule {
    let window = [1_000_000, 3_000_000, 60_000_000][dice.below(3) as usize];
    let amount = 40 + dice.below(100);
    Rule::new(Parameters { algorithm, amount, window, burst: 20 + dice.below(60), delay: window / 10 }).unwrap()
}

const SETTLED: [Algorithm; 4] =
    [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::TokenBucket, Algorithm::LeakyBucket];

#[test]
fn gateways_admit_no_more_than_the_limit_and_what_they_admit_before_they_hear_of_each_other() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        let mut dice = Dice(7);
        let (mut tight, mut above) = (0, 0);
        for round in 0..120 {
            let rule = rule(&mut dice, SETTLED[round % 4]);
            let scope = Scope::new(&format!("bound/{round}"), &rule);
            let mut gateways: Vec<Gateway> = (0..2 + dice.below(3)).map(|_| Gateway::new()).collect();
            if round % 5 == 4 {
                // The clock of one of them is hours ahead when it begins.
                gateways[0].ahead = 3 * 3_600_000_000 + dice.below(1_000_000_000);
            }
            let mut now = BEGIN + dice.below(60_000_000);
            // Above the limit, in all, and often in bursts.
            let pause = 2 * rule.parameters.window / (rule.parameters.amount * 3);
            for _ in 0..400 {
                now += if dice.below(3) == 0 { 0 } else { dice.below(pause + 1) };
                settle_until(&mut gateways, &client, now).await;
                let chosen = dice.below(gateways.len() as u64) as usize;
                let cost = 1 + dice.below(2);
                gateways[chosen].ask(now, &scope, &rule, cost);
            }
            let allowed = gateways.iter().map(|one| 2 * one.most_in_an_interval()).sum();
            let over = excess(&rule, &gateways);
            assert!(over <= allowed, "round {round}: {over} above the limit, not {allowed}: {:?}", rule.parameters);
            above += u64::from(over > 0);
            tight += u64::from(over * 4 >= allowed);
        }
        assert!(above > 20 && tight > 0, "the arrivals try the bound: {above}, {tight}");
    });
}

/// By how much all of them together went beyond what one gateway would have admitted at most.
fn excess(rule: &Rule, gateways: &[Gateway]) -> u64 {
    let mut all: Vec<(Micros, u64)> = gateways.iter().flat_map(|one| one.admitted.clone()).collect();
    all.sort_unstable();
    let Parameters { algorithm, amount, window, burst, delay } = rule.parameters;
    let depth = match algorithm {
        Algorithm::TokenBucket => burst,
        // A request that comes when the bucket is all but full is taken whole, and costs at most 2 here.
        Algorithm::LeakyBucket => delay * amount / window + 2,
        _ => {
            let mut windows: BTreeMap<Micros, u64> = BTreeMap::new();
            all.iter().for_each(|(at, cost)| *windows.entry(at / window).or_default() += cost);
            return windows.values().max().map_or(0, |most| most.saturating_sub(amount));
        }
    };
    // In requests times the window, so that nothing is rounded.
    let (mut level, mut last, mut highest) = (0_u64, 0, 0);
    for (at, cost) in all {
        level = level.saturating_sub((at - last).saturating_mul(amount)) + cost * window;
        (last, highest) = (at, highest.max(level));
    }
    // What runs out in one interval is given away; see `settle.lua`.
    highest.saturating_sub(depth * window + SYNC * amount).div_ceil(window)
}

#[test]
fn alone_a_gateway_decides_as_it_would_without_a_store() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        let mut dice = Dice(11);
        for round in 0..60 {
            let rule = rule(&mut dice, SETTLED[round % 2]);
            let scope = Scope::new(&format!("alone/{round}"), &rule);
            let mut gateways = [Gateway::new()];
            let mut now = BEGIN + dice.below(60_000_000);
            let arrivals: Vec<Arrival> = (0..200)
                .map(|_| {
                    now += dice.below(2 * rule.parameters.window / rule.parameters.amount);
                    Arrival { at: now, cost: 1 + dice.below(3), refund: false }
                })
                .collect();
            let expected = trace::run(&[rule.parameters], &arrivals).unwrap();
            for (arrival, expected) in arrivals.iter().zip(expected) {
                settle_until(&mut gateways, &client, arrival.at).await;
                let told = gateways[0].ask(arrival.at, &scope, &rule, arrival.cost);
                assert_eq!((told.passed, told.wait, told.reading), {
                    let expected = expected[0];
                    (expected.passed, expected.wait, expected.reading)
                });
            }
        }
    });
}

#[test]
fn gateways_that_wait_for_redis_and_those_that_settle_count_the_same_thing() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        for algorithm in SETTLED {
            let rule =
                Rule::new(Parameters { algorithm, amount: 20, window: 60_000_000, burst: 20, delay: 57_000_000 });
            let rule = rule.unwrap();
            let scope = Scope::new(&format!("both/{algorithm:?}"), &rule);
            let prefix = &client.store.plan.prefix;
            let mut gateway = Gateway::new();
            for _ in 0..7 {
                assert!(gateway.ask(BEGIN, &scope, &rule, 1).passed);
            }
            gateway.settle(&client, BEGIN).await.unwrap();
            let mut question = Question::at(BEGIN);
            question.ask(prefix, &scope, b"key", &rule, 9, false);
            let answer = question.take(&client).await.unwrap();
            assert_eq!(answer.told[0].reading.remaining, 4, "{algorithm:?}");
            assert!(gateway.ask(BEGIN, &scope, &rule, 1).passed);
            gateway.settle(&client, BEGIN).await.unwrap();
            let told = gateway.ask(BEGIN, &scope, &rule, 1);
            assert_eq!((told.passed, told.reading.remaining), (true, 2), "{algorithm:?}");
        }
    });
}

#[test]
fn a_batch_whose_answer_was_lost_is_not_added_twice() {
    let Some(server) = Server::start(&[]) else { return };
    let mut plan = server.plan();
    plan.timeout_ms = 50;
    with_client(&plan, 1, async |client| {
        let parameters =
            Parameters { algorithm: Algorithm::FixedWindow, amount: 100, window: 3_600_000_000, burst: 0, delay: 0 };
        let rule = Rule::new(parameters).unwrap();
        let scope = Scope::new("lost", &rule);
        let mut gateway = Gateway::new();
        gateway.ask(BEGIN, &scope, &rule, 3);
        gateway.settle(&client, BEGIN).await.unwrap();
        server.signal("STOP");
        gateway.ask(BEGIN, &scope, &rule, 4);
        assert_eq!(gateway.settle(&client, BEGIN).await, Err(StoreError::Late));
        // Comes meanwhile, and is told after the other.
        gateway.ask(BEGIN, &scope, &rule, 5);
        server.signal("CONT");
        let mut answers = 0;
        while answers < 2 {
            answers += u32::from(gateway.settle(&client, BEGIN).await.is_ok());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut other = Gateway::new();
        other.ask(BEGIN, &scope, &rule, 1);
        other.settle(&client, BEGIN).await.unwrap();
        assert_eq!(other.ask(BEGIN, &scope, &rule, 1).reading.remaining, 100 - 3 - 4 - 5 - 1 - 1);
    });
}

#[test]
fn refunds_and_windows_that_are_over_are_told_as_what_they_are() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        for algorithm in SETTLED {
            let window = 60_000_000;
            let rule = Rule::new(Parameters { algorithm, amount: 20, window, burst: 20, delay: 57_000_000 }).unwrap();
            let scope = Scope::new(&format!("refund/{algorithm:?}"), &rule);
            let mut gateway = Gateway::new();
            let begin = BEGIN - BEGIN % window;
            let told = gateway.ask(begin, &scope, &rule, 8);
            gateway.settle(&client, begin).await.unwrap();
            // One that was told already is given back.
            gateway.ledger.give_back(begin, gateway.key, &What::Rule(rule), told.at, 5).unwrap();
            gateway.settle(&client, begin).await.unwrap();
            let mut other = Gateway::new();
            other.ask(begin, &scope, &rule, 1);
            other.settle(&client, begin).await.unwrap();
            assert_eq!(other.ask(begin, &scope, &rule, 1).reading.remaining, 20 - 3 - 2, "{algorithm:?}");
            other.settle(&client, begin).await.unwrap();
            // The store hears of a charge only when its window is the one before.
            gateway.ask(begin + window - 1, &scope, &rule, 6);
            gateway.settle(&client, begin + window).await.unwrap();
            let told = gateway.ask(begin + window, &scope, &rule, 1);
            let remaining = match algorithm {
                Algorithm::FixedWindow => 19,
                Algorithm::SlidingWindow => 20 - 5 - 6 - 1,
                // All but the six has run out, and 5 of a minute's 20 before.
                _ => 20 - 6 - 1,
            };
            assert_eq!(told.reading.remaining, remaining, "{algorithm:?}");
        }
    });
}
