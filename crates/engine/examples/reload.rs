//! Times the loading of a plan with many routes: decode, start, and a reload that adds one route.

use std::time::Instant;

use tidegate_engine::engine::{Engine, Options};
use tidegate_engine::listener::bind::Sharing;
use tidegate_engine::plan::{PathPattern, Plan, Segment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: reload PLAN [ROUTES]")?;
    let count: usize = std::env::args().nth(2).map_or(Ok(5000), |count| count.parse())?;
    let mut plan: Plan = serde_json::from_slice(&std::fs::read(path)?)?;
    let first = plan.routes.first().ok_or("the plan has no route")?.clone();
    plan.routes = (0..count)
        .map(|index| {
            let mut route = first.clone();
            route.name = format!("route-{index}");
            route.paths = vec![PathPattern::Prefix(vec![
                Segment::Literal("api".into()),
                Segment::Literal(format!("v{index}")),
                Segment::Capture("id".into()),
            ])];
            route
        })
        .collect();
    let began = Instant::now();
    let engine = Engine::start(
        plan.clone(),
        Options { workers: 2, bridge: None, sharing: Sharing::Shared, signing: Vec::new() },
    )?;
    println!("start {:?}", began.elapsed());
    for round in 0..5 {
        let mut next = plan.clone();
        let mut route = first.clone();
        route.name = format!("new-{round}");
        next.routes.push(route);
        let began = Instant::now();
        engine.reload(next)?;
        println!("reload {:?}", began.elapsed());
    }
    engine.stop();
    Ok(())
}
