//! One key through a list of arrivals: how tests compare the algorithms with models of their own.

use crate::limits::algorithm::{Micros, Parameters, Rule};
use crate::limits::key::Hasher;
pub use crate::limits::table::Told;
use crate::limits::table::{Ask, Table};

/// One arrival; after a `refund`, what the arrival before it was charged is given back at that time.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub at: Micros,
    pub cost: u64,
    pub refund: bool,
}

/// Runs the arrivals through a table of their own; every arrival is checked against all limits at once.
pub fn run(limits: &[Parameters], arrivals: &[Arrival]) -> Result<Vec<Vec<Told>>, &'static str> {
    let rules = limits.iter().map(|&limit| Rule::new(limit)).collect::<Result<Vec<_>, _>>()?;
    let (table, hasher) = (Table::default(), Hasher::default());
    let keys: Vec<_> = (0..rules.len()).map(|index| hasher.namespace(&[&index.to_le_bytes()]).key(b"key")).collect();
    let mut last: Option<(u64, Vec<Told>)> = None;
    let mut out = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        if let (true, Some((cost, told))) = (arrival.refund, &last) {
            for ((rule, &key), told) in rules.iter().zip(&keys).zip(told) {
                if told.charged {
                    table.give_back(arrival.at, rule, key, told.at, *cost);
                }
            }
        }
        let ask = |(rule, &key)| Ask { rule, key, cost: arrival.cost, shadow: false };
        let asks: Vec<_> = rules.iter().zip(&keys).map(ask).collect();
        let mut told = vec![Told::default(); asks.len()];
        table.take(arrival.at, &asks, &mut told);
        last = Some((arrival.cost, told.clone()));
        out.push(told);
    }
    Ok(out)
}
