//! What a plan says about breakers, bulkheads and fallbacks, looked through as a whole.

use rustc_hash::FxHashMap;

use crate::plan::{Calling, FallbackAnswer, Plan};
use crate::problem::Problem;

/// Fallbacks that lead nowhere or back to where they came from, and breakers that are to be shared without a place for it.
pub fn problems(plan: &Plan) -> Vec<Problem> {
    let services: FxHashMap<&str, &Calling> =
        plan.services.iter().map(|service| (service.name.as_str(), &service.calling)).collect();
    let mut problems = Vec::new();
    for (index, service) in plan.services.iter().enumerate() {
        let place = format!("services[{index}]");
        look_through(&place, &service.name, &service.calling, &services, plan, &mut problems);
    }
    for (index, route) in plan.routes.iter().enumerate() {
        for (service, calling) in route.action.callings() {
            if let Some(calling) = calling {
                look_through(&format!("routes[{index}]"), service, calling, &services, plan, &mut problems);
            }
        }
    }
    problems
}

fn look_through(
    place: &str,
    name: &str,
    calling: &Calling,
    services: &FxHashMap<&str, &Calling>,
    plan: &Plan,
    problems: &mut Vec<Problem>,
) {
    if plan.redis.is_none() && calling.circuit_breaker.as_ref().is_some_and(|breaker| breaker.share) {
        let message = "there is no `redis` by which gateways could share it";
        problems.push(Problem::new(format!("{place}.circuit_breaker.share"), "config.missing", message));
    }
    let mut chain = vec![name];
    let mut next = fallback_of(calling);
    while let Some(name) = next {
        let place = || format!("{place}.fallback.service");
        let Some(calling) = services.get(name) else {
            // Who names it first is told; a service further on has a place of its own.
            if chain.len() == 1 {
                let message = format!("no service is named `{name}`");
                problems.push(Problem::new(place(), "config.unknown_name", message));
            }
            return;
        };
        if chain.contains(&name) {
            chain.push(name);
            let message = format!("the fallback comes back to where it began: {}", chain.join(" -> "));
            problems.push(Problem::new(place(), "config.bad_value", message));
            return;
        }
        chain.push(name);
        next = fallback_of(calling);
    }
}

fn fallback_of(calling: &Calling) -> Option<&str> {
    match &calling.fallback.as_ref()?.answer {
        FallbackAnswer::Service(name) => Some(name),
        FallbackAnswer::Fixed(_) | FallbackAnswer::Handler(_) => None,
    }
}
