//! Serves a plan until standard input ends: `cargo run --example serve < plan.json` reads the plan's path as its argument.

use std::io::Read;

use tidegate_engine::engine::{Engine, Options};
use tidegate_engine::listener::bind::Sharing;
use tidegate_engine::plan::Plan;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: serve PLAN [WORKERS]")?;
    let workers = std::env::args().nth(2).map_or(Ok(1), |count| count.parse())?;
    let plan: Plan = serde_json::from_slice(&std::fs::read(path)?)?;
    let engine = Engine::start(plan, Options { workers, bridge: None, sharing: Sharing::Shared, signing: Vec::new() })?;
    for (name, address) in engine.addresses() {
        println!("{name} {}", address.map_or_else(|| "unix".into(), |address| address.to_string()));
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    engine.drain(std::time::Duration::from_secs(5));
    engine.stop();
    Ok(())
}
