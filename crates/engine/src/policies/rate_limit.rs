//! Limits how many requests share one budget in a time.
//!
//! All limits of a request are checked before any is charged. A request that passes is charged at once, so that those under
//! way count; what turns out not to count is given back when its answer is known.

use std::sync::Arc;

use crate::exchange::Exchange;
use crate::limits::{Ask, Key, MOST_LIMITS, Micros, NEVER, Namespace, Parameters, Rule, Told};
use crate::pipeline::{Context, Flow, Resume};
use crate::plan;
use crate::policies::Local;
use crate::policies::limit_fields::{self, Item};
use crate::policies::limit_key::{LimitKey, Tiers, value};
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::state::State;
use crate::telemetry::metrics::{LimitSeries, Outcome};
use crate::template::Template;

pub struct RateLimit {
    limits: Box<[Limit]>,
    headers: bool,
    state: Arc<State>,
}

struct Limit {
    name: Box<str>,
    key: LimitKey,
    tiers: Tiers,
    /// The limit's own first, then one for each tier; `None`: unlimited.
    budgets: Box<[Option<Budget>]>,
    cost: Cost,
    /// Statuses that are charged, from and to; empty: all.
    count: Box<[(u16, u16)]>,
    refund_failures: bool,
    shadow: bool,
    series: Arc<LimitSeries>,
}

struct Budget {
    rule: Rule,
    namespace: Namespace,
    item: Item,
}

enum Cost {
    Fixed(u64),
    Template(Template),
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

/// A cost that comes with the request may not be more.
const LARGEST_COST: u64 = 1_000_000;

impl RateLimit {
    pub fn compile(plan: &plan::RateLimit, context: &Context<'_>) -> Result<Self, Problem> {
        let limit = |(index, limit)| {
            Limit::compile(limit, context)
                .map_err(|problem| Problem { path: format!("limits[{index}].{}", problem.path), ..problem })
        };
        if plan.limits.len() > MOST_LIMITS {
            return Err(Problem::new("limits".to_owned(), "config.bad_value", "too many limits"));
        }
        let limits = plan.limits.iter().enumerate().map(limit).collect::<Result<_, _>>()?;
        Ok(Self { limits, headers: plan.headers, state: context.state.clone() })
    }

    pub fn on_request(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        let engine_now = if exchange.waited { local.now_micros() } else { exchange.started_micros };
        let now = self.state.limits.time(local, engine_now);
        self.meet(local.worker, exchange);
        let goes = self.take(now, exchange);
        let mut delay = 0;
        for met in &exchange.limits {
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
        self.give_back(exchange);
        if !self.headers {
            return;
        }
        let Exchange { limits, answer, .. } = exchange;
        let shown = limits.iter().filter(|met| !self.limits[met.limit].shadow);
        let shown = shown.filter_map(|met| Some((&self.budget(met)?.item, met.told)));
        limit_fields::set(&mut answer.head, shown);
    }

    /// As on the answer, for an exchange that ends without one.
    pub fn on_complete(&self, exchange: &mut Exchange) {
        self.give_back(exchange);
    }

    fn give_back(&self, exchange: &mut Exchange) {
        let status = if exchange.answer.status == 0 { Code::ClientGone.status() } else { exchange.answer.status };
        for met in &mut exchange.limits {
            let limit = &self.limits[met.limit];
            if !met.told.charged || limit.counts(status) {
                continue;
            }
            let Some(budget) = self.budget(met) else { continue };
            let now = self.state.limits.later(exchange.started_micros);
            let left = self.state.limits.table.give_back(now, &budget.rule, met.key, met.told.at, met.cost);
            met.told.reading = left.unwrap_or(met.told.reading);
            met.told.charged = false;
            limit.series.count(met.worker, Outcome::Refunded);
        }
    }

    /// Finds out which budgets the request meets.
    fn meet(&self, worker: usize, exchange: &mut Exchange) {
        let mut text = std::mem::take(&mut exchange.scratch);
        exchange.limits.clear();
        for (index, limit) in self.limits.iter().enumerate() {
            let tier = limit.tiers.of(exchange, &mut text);
            let Some(budget) = &limit.budgets[tier] else { continue };
            text.clear();
            limit.key.write(exchange, &mut text);
            let key = budget.namespace.key(&text);
            let cost = limit.cost.of(exchange, &mut text);
            exchange.limits.push(Met { limit: index, tier, key, cost, told: Told::default(), worker });
        }
        text.clear();
        exchange.scratch = text;
    }

    /// Checks them all, and charges all or none.
    fn take(&self, now: Micros, exchange: &mut Exchange) -> bool {
        let table = &self.state.limits.table;
        let met = &mut exchange.limits;
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
        let wait = exchange.limits.iter().filter(refused).map(|met| met.told.wait).max().unwrap_or(0);
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
            cost: match &plan.cost {
                plan::Cost::Fixed(cost) => Cost::Fixed(*cost),
                plan::Cost::Template(template) => Cost::Template(value(template, "cost")?),
            },
            count: plan.count.as_slice().into(),
            refund_failures: plan.refund_failures,
            shadow: plan.shadow,
            series: context.registry.limit("rate_limit", &plan.scope, &plan.name),
        })
    }

    fn counts(&self, status: u16) -> bool {
        let among = self.count.is_empty() || self.count.iter().any(|&(from, to)| (from..=to).contains(&status));
        among && !(self.refund_failures && status >= 500)
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
        Ok(Self { item: Item::new(&limit.name, &rule), rule, namespace })
    }
}

impl Cost {
    fn of(&self, exchange: &Exchange, text: &mut Vec<u8>) -> u64 {
        match self {
            Self::Fixed(cost) => *cost,
            Self::Template(template) => {
                text.clear();
                let rendered = template.render(exchange, text).is_ok();
                let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<u64>().ok());
                number.filter(|_| rendered).map_or(1, |cost| cost.clamp(1, LARGEST_COST))
            }
        }
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
