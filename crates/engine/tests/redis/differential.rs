//! The scripts decide as the local table does: same arrivals, same decisions, same numbers for the client.

use tidegate_engine::limits::shared::{Question, Scope};
use tidegate_engine::limits::trace::{self, Arrival};
use tidegate_engine::limits::{Algorithm, Parameters, Rule, Told};
use tidegate_engine::redis::Script;
use tidegate_engine::redis::client::Arguments;

use crate::server::{Server, with_client};

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % most
    }
}

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::FixedWindow,
    Algorithm::SlidingWindow,
    Algorithm::SlidingLog,
    Algorithm::TokenBucket,
    Algorithm::LeakyBucket,
];

fn parameters(dice: &mut Dice, algorithm: Algorithm) -> Parameters {
    let window = [1_000, 1_000_000, 999_983, 60_000_000, 86_400_000_000][dice.below(5) as usize];
    let amount = 1 + dice.below(12);
    Parameters { algorithm, amount, window, burst: 1 + dice.below(8), delay: dice.below(2) * window / 2 }
}

fn arrivals(dice: &mut Dice, window: u64) -> Vec<Arrival> {
    let mut at = 1_790_000_000_000_000 + dice.below(window);
    (0..60)
        .map(|_| {
            match dice.below(20) {
                0 => at += window * dice.below(4),
                // The clock is set back, by a little and by much.
                1 => at -= dice.below(window),
                2 if dice.below(4) == 0 => at -= window * 3,
                _ => at += dice.below(window / 4 + 1),
            }
            Arrival { at, cost: [1, 1, 1, 2, 3, 1][dice.below(6) as usize], refund: dice.below(8) == 0 }
        })
        .collect()
}

#[test]
fn the_store_decides_as_the_table_does() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        let nothing = Script::new("return 0");
        let mut dice = Dice(42);
        for round in 0..150 {
            let count = 1 + dice.below(3);
            let limits: Vec<_> = (0..count)
                .map(|index| {
                    let algorithm = ALGORITHMS[(round + index as usize) % 5];
                    parameters(&mut dice, algorithm)
                })
                .collect();
            let arrivals = arrivals(&mut dice, limits[0].window);
            let expected = trace::run(&limits, &arrivals).unwrap();
            let rules: Vec<_> = limits.iter().map(|&limit| Rule::new(limit).unwrap()).collect();
            let scopes: Vec<_> =
                rules.iter().enumerate().map(|(index, rule)| Scope::new(&format!("{round}/{index}"), rule)).collect();
            let mut last: Option<(Question, tidegate_engine::limits::shared::Answer)> = None;
            for (number, (arrival, expected)) in arrivals.iter().zip(&expected).enumerate() {
                if let (true, Some((question, answer))) = (arrival.refund, &mut last) {
                    question.now = Some(arrival.at);
                    question.give_back(&client, answer);
                    // A refund is sent by a task of its own, and the first one twice: the server does not know the script.
                    tokio::task::yield_now().await;
                    for _ in 0..2 {
                        client.run_until(client.due(), &nothing, &Arguments::new(0)).await.unwrap();
                    }
                }
                let mut question = Question::at(arrival.at);
                for (rule, scope) in rules.iter().zip(&scopes) {
                    question.ask("t:", scope, b"key", rule, arrival.cost, false);
                }
                let answer = question.take(&client).await.unwrap();
                let place = || format!("round {round}, arrival {number} of {limits:?}: {arrivals:?}");
                assert_eq!(answer.goes, expected.iter().all(|told| told.passed), "{}", place());
                for (told, expected) in answer.told.iter().zip(expected) {
                    assert!(same(told, expected), "{told:?} for {expected:?} in {}", place());
                }
                last = Some((question, answer));
            }
        }
    });
}

fn same(told: &Told, expected: &Told) -> bool {
    (told.passed, told.charged, told.wait, told.reading)
        == (expected.passed, expected.charged, expected.wait, expected.reading)
}
