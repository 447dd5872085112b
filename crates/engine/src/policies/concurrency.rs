//! Limits how many requests of a key are under way at once.
//!
//! Each holds a lease that ends with it, however it ends. Those that come too many may wait for their turn, in order.

mod shared;

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::exchange::Exchange;
use crate::limits::leases::Claim;
use crate::limits::{Key, Lease, Namespace};
use crate::pipeline::{Context, Flow, Resume};
use crate::plan;
use crate::policies::Local;
use crate::policies::limit_fields;
use crate::policies::limit_key::{LimitKey, Tiers};
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::state::State;
use crate::telemetry::metrics::{LimitSeries, Outcome};

use shared::Shared;

pub struct Concurrency {
    name: Box<str>,
    key: LimitKey,
    tiers: Tiers,
    /// The limit's own first, then one for each tier; `None`: unlimited.
    most: Box<[Option<u64>]>,
    queue: usize,
    queue_timeout_ms: u64,
    shadow: bool,
    namespace: Namespace,
    series: Arc<LimitSeries>,
    /// `None`: this gateway counts for itself.
    shared: Option<Shared>,
    state: Arc<State>,
}

impl Concurrency {
    pub fn compile(plan: &plan::Concurrency, context: &Context<'_>) -> Result<Self, Problem> {
        let parts = ["concurrency", &plan.scope, &plan.name].map(str::as_bytes);
        Ok(Self {
            name: plan.name.as_str().into(),
            key: LimitKey::compile(&plan.key, plan.ipv6_prefix)?,
            tiers: Tiers::compile(&plan.tier, plan.tiers.iter().map(|tier| &tier.tier))?,
            most: std::iter::once(Some(plan.most)).chain(plan.tiers.iter().map(|tier| tier.most)).collect(),
            queue: plan.queue,
            queue_timeout_ms: plan.queue_timeout_ms,
            shadow: plan.shadow,
            namespace: context.state.limits.hasher.namespace(&parts),
            series: context.registry.limit("concurrency", &plan.scope, &plan.name),
            shared: Shared::compile(plan, context)?,
            state: context.state.clone(),
        })
    }

    pub fn on_request(self: &Arc<Self>, local: &Local, exchange: &mut Exchange) -> Flow {
        let mut text = std::mem::take(&mut exchange.scratch);
        let most = self.most[self.tiers.of(exchange, &mut text)];
        text.clear();
        self.key.write(exchange, &mut text);
        let key = self.namespace.key(&text);
        let asked = match (&self.shared, most) {
            (Some(shared), Some(most)) => Some(self.ask_store(shared, &text, key, most)),
            _ => None,
        };
        text.clear();
        exchange.scratch = text;
        match (asked, most) {
            (Some(flow), _) => flow,
            (None, Some(most)) => self.claim_here(key, most, local, exchange),
            (None, None) => Flow::Continue,
        }
    }

    fn claim_here(self: &Arc<Self>, key: Key, most: u64, local: &Local, exchange: &mut Exchange) -> Flow {
        let queue = if self.shadow { 0 } else { self.queue };
        match self.state.limits.leases.claim(key, most, queue) {
            Claim::Granted { lease, .. } => self.grant(local, exchange, lease, Outcome::Allowed),
            Claim::Refused => self.refuse(local, exchange),
            Claim::Queued(turn) => self.wait(turn, local.now_micros() / 1000 + self.queue_timeout_ms),
        }
    }

    /// Ends the lease before the exchange's memory is used for the next request.
    pub fn on_complete(&self, exchange: &mut Exchange) {
        exchange.leases.clear();
        exchange.shared_leases.clear();
    }

    fn grant(&self, local: &Local, exchange: &mut Exchange, lease: Lease, outcome: Outcome) -> Flow {
        self.series.count(local.worker, outcome);
        exchange.leases.push(lease);
        Flow::Continue
    }

    fn wait(self: &Arc<Self>, turn: oneshot::Receiver<Lease>, until: Millis) -> Flow {
        let policy = self.clone();
        Flow::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let lease = tokio::select! {
                    biased;
                    lease = turn => lease.ok(),
                    () = worker.wheel.sleep_until(until) => None,
                };
                Box::new(move |local: &Local, exchange: &mut Exchange| match lease {
                    Some(lease) => policy.grant(local, exchange, lease, Outcome::Delayed),
                    None => policy.refuse(local, exchange),
                }) as Resume
            })
        }))
    }

    fn refuse(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        if self.shadow {
            self.series.count(local.worker, Outcome::ShadowRefused);
            exchange.notes.rule.get_or_insert_with(|| format!("shadow:{}", self.name).into());
            return Flow::Continue;
        }
        self.series.count(local.worker, Outcome::Refused);
        exchange.notes.rule = Some(self.name.clone());
        // Nobody knows when another request will end.
        limit_fields::set_retry_after(&mut exchange.refusal, 0, local);
        Flow::Respond(Failure::from(Code::TooManyConcurrent))
    }
}
