//! A service, compiled: where it is and how it is called.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::plan;
use crate::snapshot::Problem;
use crate::upstream::tls::ClientTls;

/// Numbers every service that was ever compiled, so that workers find their pools by index.
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

pub struct Service {
    pub name: Box<str>,
    /// What it was compiled from; an equal plan keeps the service, its addresses and its connections over a reload.
    pub plan: plan::Service,
    /// Index of this service's pools in every worker.
    pub slot: usize,
    pub targets: Vec<Target>,
    pub tls: Option<ClientTls>,
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
    Name { host: Box<str>, port: u16, addresses: ArcSwap<Vec<SocketAddr>> },
}

impl Service {
    pub fn compile(plan: &plan::Service) -> Result<Self, Problem> {
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
            slot: NEXT_SLOT.fetch_add(1, Ordering::Relaxed),
            targets,
            tls,
            turn: AtomicUsize::new(0),
        })
    }
}

impl Target {
    fn compile(address: &str, index: usize) -> Result<Self, Problem> {
        let place = if let Some(path) = address.strip_prefix("unix:") {
            Place::Unix(path.into())
        } else if let Ok(address) = address.parse() {
            Place::Address(address)
        } else {
            let fault = || Problem::new(format!("targets[{index}].address"), "config.bad_address", "expected `host:port`");
            let (host, port) = address.rsplit_once(':').ok_or_else(fault)?;
            let port = port.parse().map_err(|_| fault())?;
            Place::Name { host: host.into(), port, addresses: ArcSwap::default() }
        };
        Ok(Self { name: address.into(), place })
    }
}
