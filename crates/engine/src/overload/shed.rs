//! Whether a request goes on while the gateway is overloaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustc_hash::FxHashMap;

use crate::exchange::Exchange;
use crate::overload::memory::Memory;
use crate::overload::pressure::NOTCHES;
use crate::overload::priority::Priority;
use crate::plan;
use crate::policies::Local;
use crate::policies::authorize::expression::Expression;
use crate::policies::limit_fields::set_retry_after;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::state::State;
use crate::telemetry::metrics::{OverloadSeries, Registry};

/// The document's `overload`, compiled; shared by all routes.
pub struct Overload {
    pub plan: plan::Overload,
    pub memory: Arc<Memory>,
    pub series: Arc<OverloadSeries>,
    rules: Box<[Rule]>,
    tiers: FxHashMap<Box<str>, Priority>,
    /// Added to every delay that is measured; for tests.
    injected: Arc<AtomicU64>,
}

struct Rule {
    when: Expression,
    priority: Priority,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Delay,
    Memory,
}

impl Reason {
    pub const ALL: [Self; 2] = [Self::Delay, Self::Memory];

    pub fn word(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Memory => "memory",
        }
    }
}

impl Overload {
    /// Problems have a path relative to the document.
    pub fn compile(plan: &plan::Overload, registry: &Registry, state: &State) -> Result<Self, Problem> {
        let compile = |(index, rule): (usize, &plan::OverloadRule)| {
            let when = Expression::compile(&rule.when).map_err(|message| {
                Problem::new(format!("overload.rules[{index}].when"), "config.bad_expression", message)
            })?;
            Ok(Rule { when, priority: rule.priority })
        };
        Ok(Self {
            rules: plan.rules.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
            tiers: plan.tiers.iter().map(|(tier, priority)| (tier.as_str().into(), *priority)).collect(),
            plan: plan.clone(),
            memory: state.memory.clone(),
            series: registry.overload(),
            injected: state.injected_delay.clone(),
        })
    }

    /// Microseconds that a test adds to the delay.
    pub fn injected(&self) -> u64 {
        self.injected.load(Relaxed)
    }

    fn is_about_identity(&self) -> bool {
        self.rules.iter().any(|rule| rule.when.is_about_identity())
    }
}

/// What of it holds for one route.
pub struct Shed {
    overload: Arc<Overload>,
    /// Of the route's own.
    priority: Option<Priority>,
    /// The highest that a request of the route can have.
    best: Priority,
    /// It takes a policy to know who calls before the priority is known.
    pub late: bool,
}

impl Shed {
    pub fn of(overload: &Arc<Overload>, priority: Option<Priority>) -> Self {
        let by_tier = priority.is_none() && !overload.tiers.is_empty();
        let rules = overload.rules.iter().map(|rule| rule.priority);
        let tiers = overload.tiers.values().copied().filter(|_| by_tier);
        let best = rules.chain(tiers).chain([priority.unwrap_or(Priority::Normal)]).max().unwrap_or(Priority::Normal);
        Self { late: by_tier || overload.is_about_identity(), best, priority, overload: overload.clone() }
    }

    /// Those of one document that have the same number decide alike.
    pub fn kind(&self) -> u32 {
        self.priority.map_or(0, |priority| priority as u32 + 1)
    }

    /// Before any policy: refuses what is refused whoever calls, and leaves the rest to [`Shed::check`] where that must know.
    pub fn check_early(&self, local: &Local, exchange: &mut Exchange) -> Result<(), Failure> {
        local.guard.hear();
        let notches = self.pressure(local);
        if notches == 0 {
            return Ok(());
        }
        if !self.late {
            return self.check(local, exchange);
        }
        if self.best < Priority::Critical && notches >= (self.best as u32 + 1) * NOTCHES {
            return Err(self.refuse(local, exchange, self.best));
        }
        Ok(())
    }

    /// Refuses a request when its turn has come under the pressure there is.
    pub fn check(&self, local: &Local, exchange: &mut Exchange) -> Result<(), Failure> {
        let notches = self.pressure(local);
        if notches == 0 {
            return Ok(());
        }
        let priority = self.priority(exchange);
        match local.guard.turns.refuses(priority, notches) {
            true => Err(self.refuse(local, exchange, priority)),
            false => Ok(()),
        }
    }

    fn pressure(&self, local: &Local) -> u32 {
        local.guard.notches().max(self.overload.memory.notches())
    }

    /// The first that has something to say: a rule, the route, the caller's tier.
    fn priority(&self, exchange: &Exchange) -> Priority {
        // A rule that asks for what is not there (a claim of nobody) does not hold.
        let holds = |rule: &&Rule| rule.when.holds(exchange).unwrap_or(false);
        if let Some(rule) = self.overload.rules.iter().find(holds) {
            return rule.priority;
        }
        let of_tier = || {
            let consumer = exchange.identity.as_ref()?.consumer.as_ref()?;
            self.overload.tiers.get(consumer.tier.as_deref()?).copied()
        };
        self.priority.or_else(of_tier).unwrap_or(Priority::Normal)
    }

    #[cold]
    fn refuse(&self, local: &Local, exchange: &mut Exchange, priority: Priority) -> Failure {
        let reason = match local.guard.notches() >= self.overload.memory.notches() {
            true => Reason::Delay,
            false => Reason::Memory,
        };
        self.overload.series.shed(local.worker, priority, reason);
        set_retry_after(&mut exchange.refusal, self.overload.plan.retry_after_ms * 1000, local);
        exchange.notes.rule = Some(priority.word().into());
        Failure::with(Code::Overloaded, format_args!("priority {}, by {}", priority.word(), reason.word()))
    }
}
