//! A service, compiled: where it is and how it is called.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::plan;
use crate::problem::Problem;
use crate::telemetry::metrics::{Registry, ServiceSeries};
use crate::upstream::tls::ClientTls;

/// Numbers every service that was ever compiled: workers know their pools by it, and none is given twice.
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

pub struct Service {
    pub name: Box<str>,
    /// What it was compiled from; an equal plan keeps the service, its addresses and its connections over a reload.
    pub plan: plan::Service,
    /// What `Host` says when the client's is not preserved; shared with the routes.
    pub host: Arc<[u8]>,
    /// The key of this service's connections in every worker.
    pub slot: usize,
    pub targets: Vec<Target>,
    pub tls: Option<ClientTls>,
    pub series: Arc<ServiceSeries>,
    /// Targets by turn, each as often as its weight says, spread out.
    pub schedule: Box<[u16]>,
    /// Counts calls, for round robin.
    pub turn: AtomicUsize,
}

pub struct Target {
    /// As written: `host:port` or `unix:/path`; for logs only.
    pub name: Arc<str>,
    pub place: Place,
}

pub enum Place {
    Unix(PathBuf),
    Address(SocketAddr),
    /// A name; the resolver keeps `addresses` fresh, empty until it resolved once.
    Name {
        host: Box<str>,
        port: u16,
        addresses: ArcSwap<Vec<SocketAddr>>,
        /// Held by the one call that looks the name up for all that wait.
        lookup: tokio::sync::Mutex<()>,
    },
}

impl Service {
    pub fn compile(plan: &plan::Service, registry: &Registry) -> Result<Self, Problem> {
        let targets = plan
            .targets
            .iter()
            .enumerate()
            .map(|(index, target)| Target::compile(&target.address, index))
            .collect::<Result<Vec<_>, _>>()?;
        let tls = plan.tls.as_ref().map(|tls| ClientTls::compile(tls, plan.protocol)).transpose()?;
        Ok(Self {
            name: plan.name.as_str().into(),
            plan: plan.clone(),
            host: plan.host.as_bytes().into(),
            slot: NEXT_SLOT.fetch_add(1, Ordering::Relaxed),
            schedule: schedule(&plan.targets),
            targets,
            tls,
            series: registry.service(&plan.name),
            turn: AtomicUsize::new(0),
        })
    }
}

/// Spreads targets by weight: smooth weighted round robin, as nginx does it, written out for one turn.
fn schedule(targets: &[plan::Target]) -> Box<[u16]> {
    let divisor = targets.iter().fold(0, |divisor, target| gcd(divisor, target.weight)).max(1);
    let weights: Vec<i64> = targets.iter().map(|target| i64::from(target.weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut current = vec![0; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total.min(MOST_TURNS) {
        for (value, weight) in current.iter_mut().zip(&weights) {
            *value += weight;
        }
        let Some((chosen, _)) = current.iter().enumerate().max_by_key(|(index, value)| (**value, -(*index as i64)))
        else {
            break;
        };
        current[chosen] -= total;
        turns.push(chosen as u16);
    }
    turns.into()
}

/// Weights whose sum is larger are followed this far, which is close enough.
const MOST_TURNS: i64 = 10_000;

fn gcd(left: u32, right: u32) -> u32 {
    if right == 0 { left } else { gcd(right, left % right) }
}

impl Target {
    fn compile(address: &str, index: usize) -> Result<Self, Problem> {
        let place = if let Some(path) = address.strip_prefix("unix:") {
            Place::Unix(path.into())
        } else if let Ok(address) = address.parse() {
            Place::Address(address)
        } else {
            let fault =
                || Problem::new(format!("targets[{index}].address"), "config.bad_address", "expected `host:port`");
            let (host, port) = address.rsplit_once(':').ok_or_else(fault)?;
            let port = port.parse().map_err(|_| fault())?;
            Place::Name {
                host: host.into(),
                port,
                addresses: ArcSwap::default(),
                lookup: tokio::sync::Mutex::default(),
            }
        };
        Ok(Self { name: address.into(), place })
    }
}
