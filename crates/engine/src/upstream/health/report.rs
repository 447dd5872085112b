//! What is known of targets, for operators: as JSON for the admin listener, and as metrics.

use serde::Serialize;

use crate::clock::Millis;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{Kind, Text};
use crate::upstream::health::outlier::Cause;
use crate::upstream::service::Service;
use crate::upstream::target::{Target, health};

#[derive(Serialize)]
pub struct ServiceReport {
    name: String,
    targets: Vec<TargetReport>,
}

#[derive(Serialize)]
struct TargetReport {
    address: String,
    weight: u32,
    priority: u32,
    /// `healthy`, or what keeps requests away: `unhealthy`, `ejected`, `draining`.
    state: &'static str,
    in_flight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<ProbeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ejection: Option<EjectionReport>,
}

#[derive(Serialize)]
struct ProbeReport {
    healthy: bool,
    passed: u64,
    failed: u64,
    /// Results in a row that speak against the state.
    against: u32,
    /// What the last probe found wrong.
    fault: Option<String>,
    /// How long ago that was.
    seconds_ago: Option<f64>,
}

#[derive(Serialize)]
struct EjectionReport {
    /// Until the target returns; `None`: it is not ejected.
    seconds_left: Option<f64>,
    probation: bool,
    ejections: u64,
}

/// Every service of a snapshot, in its order.
pub fn report(snapshot: &Snapshot, now: Millis) -> Vec<ServiceReport> {
    let of_service = |service: &std::sync::Arc<Service>| ServiceReport {
        name: service.name.to_string(),
        targets: service
            .targets
            .set()
            .members
            .iter()
            .map(|it| of_target(service, it.weight, it.priority, &it.target, now))
            .collect(),
    };
    snapshot.services.iter().map(of_service).collect()
}

fn of_target(service: &Service, weight: u32, priority: u32, target: &Target, now: Millis) -> TargetReport {
    let seconds = |millis: Millis| millis as f64 / 1000.0;
    let (passed, failed) = target.probed.counts();
    TargetReport {
        address: target.name.to_string(),
        weight,
        priority,
        state: state(target, now),
        in_flight: target.in_flight(),
        probe: target.probed.read().map(|reading| ProbeReport {
            healthy: reading.healthy,
            passed,
            failed,
            against: reading.against,
            fault: reading.fault.map(String::from),
            seconds_ago: reading.at.map(|at| seconds(now.saturating_sub(at))),
        }),
        ejection: service.passive().map(|_| EjectionReport {
            seconds_left: target.outlier.until().filter(|until| *until > now).map(|until| seconds(until - now)),
            probation: target.outlier.is_on_probation(),
            ejections: target.outlier.ejections().iter().sum(),
        }),
    }
}

/// The first that holds of what keeps requests away.
fn state(target: &Target, now: Millis) -> &'static str {
    let bits = target.health();
    match bits {
        _ if bits & health::DRAINING != 0 => "draining",
        _ if bits & health::UNHEALTHY != 0 => "unhealthy",
        // One whose time is over returns with the next request that looks.
        _ if bits & health::EJECTED != 0 && target.outlier.is_out(now) => "ejected",
        _ => "healthy",
    }
}

/// Adds the families of health to the metrics.
pub(crate) fn render(snapshot: &Snapshot, now: Millis, text: &mut Text) {
    let members: Vec<_> = snapshot
        .services
        .iter()
        .filter(|service| service.plan.health_check.is_some())
        .flat_map(|service| {
            service.targets.set().members.iter().map(|it| (service, it.target.clone())).collect::<Vec<_>>()
        })
        .collect();
    text.family("tidegate_target_healthy", Kind::Gauge, "1 while requests may go to the target.");
    for (service, target) in &members {
        let healthy = u64::from(state(target, now) == "healthy");
        text.sample(&[("service", &service.name), ("target", &target.name)], healthy);
    }
    text.family("tidegate_target_probes", Kind::Counter, "Probes of a target by active health checks.");
    for (service, target) in members.iter().filter(|(service, _)| service.active().is_some()) {
        let (passed, failed) = target.probed.counts();
        for (result, count) in [("passed", passed), ("failed", failed)] {
            text.sample(&[("service", &service.name), ("target", &target.name), ("result", result)], count);
        }
    }
    text.family("tidegate_target_ejections", Kind::Counter, "Ejections of a target by passive health checks.");
    for (service, target) in members.iter().filter(|(service, _)| service.passive().is_some()) {
        for (cause, count) in Cause::ALL.into_iter().zip(target.outlier.ejections()) {
            let labels = [("service", &*service.name), ("target", &*target.name), ("cause", cause.word())];
            text.sample(&labels, count);
        }
    }
}
