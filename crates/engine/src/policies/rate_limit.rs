//! Limits how many requests share one budget in a time.
//!
//! All limits of a request are checked before any is charged. A request that passes is charged at once, so that those under
//! way count; what turns out not to count is given back when that is known: with the answer, or once the credentials are good.

mod shared;
mod synced;

use std::sync::Arc;

use crate::exchange::Exchange;
use crate::limits::shared::{Question, Scope, full_name};
use crate::limits::{Ask, Key, MOST_LIMITS, Micros, NEVER, Namespace, Parameters, Rule, Told};
use crate::pipeline::{Context, Flow, Resume};
use crate::plan;
use crate::policies::Local;
use crate::policies::limit_charge::{Charge, Cost, Ending};
use crate::policies::limit_fields::{self, Item};
use crate::policies::limit_key::{LimitKey, Tiers};
use crate::problem::{self, Problem};
use crate::respond::{Code, Failure};
use crate::state::State;
use crate::telemetry::metrics::{LimitSeries, Outcome};

pub use shared::Counted;
use shared::Shared;

pub struct RateLimit {
    stage: Stage,
    limits: Box<[Limit]>,
    headers: bool,
    /// `None`: this gateway counts for itself.
    shared: Option<Shared>,
    state: Arc<State>,
}

/// When a limit acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is known who calls.
    Known,
    /// Nobody has looked at the credentials.
    Early,
}

/// What a request has met of the limits of one stage.
#[derive(Debug, Default)]
pub struct Meeting {
    pub met: Vec<Met>,
    /// Where they were counted.
    pub counted: Counted,
}

impl Meeting {
    pub fn clear(&mut self) {
        self.met.clear();
        self.counted = Counted::Here;
    }
}

struct Limit {
    name: Box<str>,
    key: LimitKey,
    tiers: Tiers,
    /// The limit's own first, then one for each tier; `None`: unlimited.
    budgets: Box<[Option<Budget>]>,
    cost: Cost,
    charge: Charge,
    shadow: bool,
    series: Arc<LimitSeries>,
}

struct Budget {
    rule: Rule,
    namespace: Namespace,
    /// Its part of the keys in Redis.
    scope: Scope,
    item: Item,
}

/// A limit that a request has met, kept until its end.
#[derive(Debug, Clone, Copy)]
pub struct Met {
    limit: usize,
    tier: usize,
    key: Key,
    cost: u64,
    told: Told,
    worker: usize,
}

impl Met {
    /// The key of a gateway's own part of a shared budget: another part is another budget.
    fn share_key(&self, live: u32) -> Key {
        self.key.variant(live)
    }
}

impl RateLimit {
    pub fn compile(plan: &plan::RateLimit, stage: Stage, context: &Context<'_>) -> Result<Self, Vec<Problem>> {
        let limit = |(index, limit)| {
            Limit::compile(limit, context)
                .map_err(|problem| Problem { path: format!("limits[{index}].{}", problem.path), ..problem })
        };
        if plan.limits.len() > MOST_LIMITS {
            return Err(Problem::new("limits", "config.bad_value", "too many limits").into());
        }
        let limits: Box<[Limit]> = problem::all(plan.limits.iter().enumerate().map(limit))?;
        let shared = Shared::compile(plan, context)?;
        for (index, limit) in limits.iter().enumerate() {
            for budget in limit.budgets.iter().flatten() {
                shared
                    .as_ref()
                    .map_or(Ok(()), |shared| shared.check(&budget.rule))
                    .map_err(|problem| Problem { path: format!("limits[{index}].{}", problem.path), ..problem })?;
            }
        }
        Ok(Self { stage, limits, headers: plan.headers, shared, state: context.state.clone() })
    }

    pub fn on_request(self: &Arc<Self>, local: &Local, exchange: &mut Exchange) -> Flow {
        let engine_now = if exchange.waited { local.now_micros() } else { exchange.started_micros };
        if let Some(shared) = &self.shared {
            if let Some(ledger) = &shared.ledger {
                return self.take_synced(shared, ledger, engine_now, local, exchange);
            }
            let mut question = Question::default();
            self.meet(local.worker, exchange, |met, budget, text| {
                let shadow = self.limits[met.limit].shadow;
                question.ask(&shared.store.plan.prefix, &budget.scope, text, &budget.rule, met.cost, shadow);
            });
            return if self.meeting(exchange).met.is_empty() {
                Flow::Continue
            } else {
                self.ask_store(shared, question)
            };
        }
        let now = self.state.limits.time(local, engine_now);
        self.meet(local.worker, exchange, |_, _, _| {});
        let goes = self.take(now, exchange);
        self.decide(goes, engine_now, local, exchange)
    }

    /// Lets a request go, holds it or refuses it, and counts what became of it.
    fn decide(&self, goes: bool, engine_now: Micros, local: &Local, exchange: &mut Exchange) -> Flow {
        let mut delay = 0;
        for met in &exchange.limits[self.stage as usize].met {
            let limit = &self.limits[met.limit];
            limit.series.count(local.worker, limit.outcome(met));
            match met.told {
                Told { passed: false, .. } if exchange.notes.rule.is_none() || !limit.shadow => {
                    exchange.notes.rule = Some(limit.rule());
                }
                Told { charged: true, wait, .. } if !limit.shadow => delay = delay.max(wait),
                _ => {}
            }
        }
        match (goes, delay) {
            (true, 0) => Flow::Continue,
            (true, delay) => wait_until((engine_now + delay).div_ceil(1000)),
            (false, _) => self.refuse(local, exchange),
        }
    }

    /// Gives back what does not count, then tells what is left.
    pub fn on_response(&self, exchange: &mut Exchange) {
        let ending = Ending::of(exchange);
        match self.meeting(exchange).counted {
            Counted::There(_) => self.expect_back(exchange, |charge| !charge.counts(ending)),
            _ => self.give_back(exchange, |charge| !charge.counts(ending)),
        }
        self.tell(exchange);
    }

    /// As on the answer, for an exchange that ends without one; and tells Redis, which an answer does not wait for.
    pub fn on_complete(&self, local: &Local, exchange: &mut Exchange) {
        let ending = Ending::of(exchange);
        match self.meeting(exchange).counted {
            Counted::There(_) => self.give_back_there(local, exchange, |charge| !charge.counts(ending)),
            _ => self.give_back(exchange, |charge| !charge.counts(ending)),
        }
    }

    /// Some of its limits are charged for nothing but credentials that are no good.
    pub fn counts_refusals(&self) -> bool {
        self.limits.iter().any(|limit| limit.charge.is_of_refusals())
    }

    /// Gives back what is charged for credentials that are no good: behind all of them, nobody has refused the client's.
    ///
    /// It does not wait for the answer, which may take long: until then others would be refused for it.
    pub fn on_admitted(&self, local: &Local, exchange: &mut Exchange) {
        match self.meeting(exchange).counted {
            Counted::There(_) => {
                self.expect_back(exchange, Charge::is_of_refusals);
                self.give_back_there(local, exchange, Charge::is_of_refusals);
            }
            _ => self.give_back(exchange, Charge::is_of_refusals),
        }
    }

    fn meeting<'e>(&self, exchange: &'e mut Exchange) -> &'e mut Meeting {
        &mut exchange.limits[self.stage as usize]
    }

    /// Says in the answer what is left. A limit that only credentials that are no good are charged to is theirs to see.
    fn tell(&self, exchange: &mut Exchange) {
        let refused_credentials = exchange.refused_credentials;
        let is_shown = |met: &&Met| {
            let limit = &self.limits[met.limit];
            !limit.shadow && (!limit.charge.is_of_refusals() || refused_credentials || !met.told.passed)
        };
        if !self.headers || !self.meeting(exchange).met.iter().any(|met| is_shown(&met)) {
            return;
        }
        limit_fields::begin(exchange);
        let Exchange { limits, answer, .. } = exchange;
        let shown = limits[self.stage as usize].met.iter().filter(is_shown);
        let shown = shown.filter_map(|met| Some((&self.budget(met)?.item, met.told)));
        limit_fields::add_told(&mut answer.head, shown);
    }

    /// `returns`: whether what such a limit has charged goes back.
    fn give_back(&self, exchange: &mut Exchange, returns: impl Fn(&Charge) -> bool) {
        let started = exchange.started_micros;
        let now = self.state.limits.later(started);
        let Meeting { met, counted } = self.meeting(exchange);
        for met in met {
            let limit = &self.limits[met.limit];
            if !met.told.charged || !returns(&limit.charge) {
                continue;
            }
            let Some(budget) = self.budget(met) else { continue };
            let here = |rule: &Rule, key| self.state.limits.table.give_back(now, rule, key, met.told.at, met.cost);
            let left = match *counted {
                Counted::Synced => self.give_back_synced(met, started),
                Counted::Share(live) => here(&budget.rule.divided_by(live), met.share_key(live)),
                _ => here(&budget.rule, met.key),
            };
            met.told.reading = left.unwrap_or(met.told.reading);
            met.told.charged = false;
            limit.series.count(met.worker, Outcome::Refunded);
        }
    }

    /// Finds out which budgets the request meets; `each` is told of every one, with the text of its key.
    fn meet(&self, worker: usize, exchange: &mut Exchange, mut each: impl FnMut(&Met, &Budget, &[u8])) {
        let mut text = std::mem::take(&mut exchange.scratch);
        self.meeting(exchange).met.clear();
        for (index, limit) in self.limits.iter().enumerate() {
            let tier = limit.tiers.of(exchange, &mut text);
            let Some(budget) = &limit.budgets[tier] else { continue };
            let cost = limit.cost.of(exchange, &mut text);
            text.clear();
            limit.key.write(exchange, &mut text);
            let key = budget.namespace.key(&text);
            let met = Met { limit: index, tier, key, cost, told: Told::default(), worker };
            each(&met, budget, &text);
            self.meeting(exchange).met.push(met);
        }
        text.clear();
        exchange.scratch = text;
    }

    /// Checks them all, and charges all or none.
    fn take(&self, now: Micros, exchange: &mut Exchange) -> bool {
        let table = &self.state.limits.table;
        let met = &mut self.meeting(exchange).met;
        let Some(first) = met.first() else { return true };
        let first = self.ask(first);
        if met.len() == 1 {
            let mut told = [Told::default()];
            let goes = table.take(now, &[first], &mut told);
            met[0].told = told[0];
            return goes;
        }
        let (mut asks, mut told) = ([first; MOST_LIMITS], [Told::default(); MOST_LIMITS]);
        for (ask, met) in asks.iter_mut().zip(&*met) {
            *ask = self.ask(met);
        }
        let goes = table.take(now, &asks[..met.len()], &mut told);
        for (met, told) in met.iter_mut().zip(told) {
            met.told = told;
        }
        goes
    }

    fn ask(&self, met: &Met) -> Ask<'_> {
        let budget = self.budget(met).expect("only limited tiers are met");
        Ask { rule: &budget.rule, key: met.key, cost: met.cost, shadow: self.limits[met.limit].shadow }
    }

    fn budget(&self, met: &Met) -> Option<&Budget> {
        self.limits[met.limit].budgets[met.tier].as_ref()
    }

    /// The client may come back when the last of the limits that refuse it would let it pass.
    fn refuse(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        let refused = |met: &&Met| !met.told.passed && !self.limits[met.limit].shadow;
        let wait = self.meeting(exchange).met.iter().filter(refused).map(|met| met.told.wait).max().unwrap_or(0);
        if wait != NEVER {
            limit_fields::set_retry_after(&mut exchange.refusal, wait, local);
        }
        Flow::Respond(Failure::from(Code::RateLimited))
    }
}

impl Limit {
    fn compile(plan: &plan::Limit, context: &Context<'_>) -> Result<Self, Problem> {
        let own = std::iter::once(Some(&plan.budget));
        let budgets = own.chain(plan.tiers.iter().map(|tier| tier.budget.as_ref()));
        let budget = |(tier, budget): (usize, Option<&plan::Budget>)| {
            budget.map(|budget| Budget::compile(plan, tier, budget, context)).transpose()
        };
        Ok(Self {
            name: plan.name.as_str().into(),
            key: LimitKey::compile(&plan.key, plan.ipv6_prefix)?,
            tiers: Tiers::compile(&plan.tier, plan.tiers.iter().map(|tier| &tier.tier))?,
            budgets: budgets.enumerate().map(budget).collect::<Result<_, _>>()?,
            cost: Cost::compile(&plan.cost)?,
            charge: Charge::new(&plan.count, plan.refund_failures),
            shadow: plan.shadow,
            series: context.registry.limit("rate_limit", &plan.scope, &plan.name),
        })
    }

    fn outcome(&self, met: &Met) -> Outcome {
        match (met.told.passed, self.shadow) {
            (false, true) => Outcome::ShadowRefused,
            (false, false) => Outcome::Refused,
            (true, false) if met.told.charged && met.told.wait > 0 => Outcome::Delayed,
            (true, _) => Outcome::Allowed,
        }
    }

    /// As the log names it.
    fn rule(&self) -> Box<str> {
        if self.shadow { format!("shadow:{}", self.name).into() } else { self.name.clone() }
    }
}

impl Budget {
    fn compile(
        limit: &plan::Limit,
        tier: usize,
        budget: &plan::Budget,
        context: &Context<'_>,
    ) -> Result<Self, Problem> {
        let &plan::Budget { amount, window_us: window, burst, delay_us: delay } = budget;
        let rule = Rule::new(Parameters { algorithm: limit.algorithm, amount, window, burst, delay })
            .map_err(|message| Problem::new("budget".to_owned(), "config.bad_value", message))?;
        let tier = tier.checked_sub(1).map_or("", |tier| &limit.tiers[tier].tier);
        // Counts go on over a reload as long as they mean the same: not when the algorithm, the window or, for buckets, the
        // rate is another.
        let algorithm = format!("{:?} {window} {}", limit.algorithm, if rule.is_bucket() { amount } else { 0 });
        let parts = ["rate_limit", &limit.scope, &limit.name, tier, &algorithm].map(str::as_bytes);
        let namespace = context.state.limits.hasher.namespace(&parts);
        let scope = Scope::new(&format!("{}/{tier}", full_name(&limit.scope, "rate_limit", &limit.name)), &rule);
        Ok(Self { item: Item::new(&limit.name, &rule), rule, namespace, scope })
    }
}

/// Holds a request until a moment of the engine's clock, in milliseconds.
fn wait_until(due: u64) -> Flow {
    Flow::Wait(Box::new(move |worker| {
        Box::pin(async move {
            worker.wheel.sleep_until(due).await;
            Box::new(|_: &Local, _: &mut Exchange| Flow::Continue) as Resume
        })
    }))
}
