//! A service, compiled: where it is and how it is called.

use std::sync::Arc;

use crate::dns::Resolver;
use crate::plan::{self, Balance, HashTable, Spread};
use crate::problem::Problem;
use crate::state::State;
use crate::telemetry::metrics::{Registry, ServiceSeries};
use crate::upstream::affinity::Affinity;
use crate::upstream::balance::level::Algorithm;
use crate::upstream::bulkhead::Connections;
use crate::upstream::health::Passive;
use crate::upstream::health::probe::Question;
use crate::upstream::target::Target;
use crate::upstream::targets::{Before, Parts, Pick, Settings, Targets};
use crate::upstream::tls::ClientTls;
use crate::worker::Worker;

pub struct Service {
    pub name: Box<str>,
    /// What it was compiled from; an equal plan keeps the service over a reload.
    pub plan: plan::Service,
    /// What `Host` says when the client's is not preserved; shared with the routes.
    pub host: Arc<[u8]>,
    pub targets: Targets,
    pub affinity: Affinity,
    pub tls: Option<ClientTls>,
    /// What targets are asked by active health checks.
    pub question: Option<Question>,
    pub series: Arc<ServiceSeries>,
    /// Where there may be only so many.
    pub connections: Option<Connections>,
}

impl Service {
    /// `previous`: the service of this name before a reload.
    pub fn compile(
        plan: &plan::Service,
        previous: Option<&Service>,
        resolver: &Arc<Resolver>,
        registry: &Registry,
        state: &State,
    ) -> Result<Self, Vec<Problem>> {
        let tls = plan.tls.as_ref().map(|tls| ClientTls::compile(tls, plan.protocol)).transpose();
        let affinity = Affinity::compile(&plan.balance, &plan.name, &state.sticky_key);
        let (affinity, tls, question) = match (affinity, tls, question(plan)) {
            (Ok(affinity), Ok(tls), Ok(question)) => (affinity, tls, question),
            (affinity, tls, question) => {
                return Err([affinity.err(), tls.err(), question.err()].into_iter().flatten().collect());
            }
        };
        // Connections that were made another way must not serve; they belong to the targets.
        let before = previous.map(|previous| Before {
            targets: &previous.targets,
            is_alike: previous.plan.tls == plan.tls && previous.plan.protocol == plan.protocol,
        });
        let settings = Settings {
            algorithm: algorithm(&plan.balance),
            slow_start_ms: plan.slow_start_ms,
            panic_percent: plan.panic_percent,
            begins_unhealthy: begins_unhealthy(plan),
            seals: match &affinity {
                Affinity::Cookie(sticky) => Some(sticky.seals.clone()),
                Affinity::None | Affinity::Key(_) => None,
            },
        };
        let parts =
            Parts { service: &plan.name, plan: &plan.targets, settings, resolver, registry, now: registry.now() };
        Ok(Self {
            name: plan.name.as_str().into(),
            plan: plan.clone(),
            host: plan.host.as_bytes().into(),
            targets: Targets::compile(parts, before.as_ref())?,
            affinity,
            tls,
            question,
            series: registry.service(&plan.name),
            connections: plan
                .calling
                .bulkhead
                .as_ref()
                .and_then(|bulkhead| Connections::compile(bulkhead, registry, state)),
        })
    }

    /// How targets are asked whether they are well.
    pub fn active(&self) -> Option<&plan::ActiveCheck> {
        self.plan.health_check.as_ref()?.active.as_ref()
    }

    /// How targets are judged by their calls.
    pub fn passive(&self) -> Option<&plan::PassiveCheck> {
        self.plan.health_check.as_ref()?.passive.as_ref()
    }

    /// The document that has it is the one that holds.
    pub fn take_effect(self: &Arc<Self>) {
        self.targets.judge(self.passive().map(|check| Passive::new(self, check)));
    }

    /// A target for one attempt; `None` when none may be used.
    pub fn pick(&self, worker: &Worker, pick: &Pick<'_>) -> Option<Arc<Target>> {
        self.targets.pick(&worker.dice, pick)
    }
}

fn begins_unhealthy(plan: &plan::Service) -> bool {
    let active = plan.health_check.as_ref().and_then(|check| check.active.as_ref());
    active.is_some_and(|check| !check.initially_healthy)
}

fn question(plan: &plan::Service) -> Result<Option<Question>, Problem> {
    let active = plan.health_check.as_ref().and_then(|check| check.active.as_ref());
    let question = active.map(|check| Question::compile(&check.probe)).transpose();
    question.map_err(|problem| Problem { path: format!("upstream.health_check.active.{}", problem.path), ..problem })
}

fn algorithm(balance: &Balance) -> Algorithm {
    match balance {
        Balance::RoundRobin => Algorithm::RoundRobin,
        Balance::LeastRequests => Algorithm::LeastRequests,
        Balance::PeakEwma => Algorithm::PeakEwma,
        Balance::Random => Algorithm::Random,
        Balance::ConsistentHash(plan) => {
            let most_percent = u64::from(plan.most_percent.unwrap_or(0));
            match plan.table {
                HashTable::Maglev => Algorithm::Maglev { most_percent },
                HashTable::Ring => Algorithm::Ring { most_percent },
            }
        }
        Balance::StickyCookie(plan) => match plan.otherwise {
            Spread::RoundRobin => Algorithm::RoundRobin,
            Spread::LeastRequests => Algorithm::LeastRequests,
            Spread::PeakEwma => Algorithm::PeakEwma,
            Spread::Random => Algorithm::Random,
        },
    }
}
