//! Budgets that several gateways share: counted in Redis, and while that does not answer, as the document says.

use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::limits::shared::{Answer, Question, is_exact};
use crate::limits::synced::Ledger;
use crate::limits::{Ask, MOST_LIMITS, Micros, Rule, Told};
use crate::pipeline::{Context, Flow, Resume};
use crate::plan::{self, StoreFailure};
use crate::policies::Local;
use crate::policies::limit_charge::Charge;
use crate::policies::rate_limit::{Meeting, Met, RateLimit};
use crate::problem::Problem;
use crate::redis::{Store, StoreError};
use crate::respond::{Code, Failure};
use crate::telemetry::metrics::Outcome;

pub struct Shared {
    pub store: Arc<Store>,
    /// Counted here, and settled with the store now and then.
    pub ledger: Option<Arc<Ledger>>,
    on_failure: StoreFailure,
}

/// Where the limits of a request were counted.
#[derive(Debug, Default)]
pub enum Counted {
    #[default]
    Here,
    /// Here, against this gateway's part of the budgets: so many gateways lived.
    Share(u32),
    There(Box<(Question, Answer)>),
    /// Here, to be settled with Redis.
    Synced,
}

impl Shared {
    pub fn compile(plan: &plan::RateLimit, context: &Context<'_>) -> Result<Option<Self>, Problem> {
        let Some(store) = context.shared(plan.store)? else { return Ok(None) };
        let sync = Duration::from_millis(plan.sync_ms);
        let ledger = (!sync.is_zero()).then(|| store.ledger(sync));
        Ok(Some(Self { store, ledger, on_failure: plan.on_store_failure }))
    }

    /// The scripts count in numbers of 53 bits.
    pub fn check(&self, rule: &Rule) -> Result<(), Problem> {
        let message = if self.ledger.is_some() && rule.keeps_log() {
            "a `sliding_log` never lets more than its limit pass, and with `sync` more may: take another algorithm, or no `sync`"
        } else if !is_exact(rule) {
            "the numbers of this limit are too large to be counted in Redis without rounding: a rounder amount or a smaller \
             burst will do"
        } else {
            return Ok(());
        };
        Err(Problem::new("budget".to_owned(), "config.bad_value", message))
    }
}

impl RateLimit {
    pub(super) fn ask_store(self: &Arc<Self>, shared: &Shared, question: Question) -> Flow {
        let (policy, store) = (self.clone(), shared.store.clone());
        Flow::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let answer = question.take(&worker.local.redis.of(&store)).await;
                Box::new(move |local: &Local, exchange: &mut Exchange| {
                    policy.answered(question, answer, local, exchange)
                }) as Resume
            })
        }))
    }

    fn answered(
        &self,
        question: Question,
        answer: Result<Answer, StoreError>,
        local: &Local,
        exchange: &mut Exchange,
    ) -> Flow {
        let Some(shared) = &self.shared else { return Flow::Continue };
        match answer {
            Ok(answer) => {
                let meeting = self.meeting(exchange);
                for (met, told) in meeting.met.iter_mut().zip(&answer.told) {
                    met.told = *told;
                }
                let goes = answer.goes;
                if self.limits.iter().any(|limit| !limit.charge.is_final()) {
                    meeting.counted = Counted::There(Box::new((question, answer)));
                }
                self.decide(goes, local.now_micros(), local, exchange)
            }
            Err(error) => self.unanswered(shared, format_args!("{error}"), local, exchange),
        }
    }

    /// The limits that were met are not counted in Redis.
    pub(super) fn unanswered(
        &self,
        shared: &Shared,
        why: std::fmt::Arguments<'_>,
        local: &Local,
        exchange: &mut Exchange,
    ) -> Flow {
        match shared.on_failure {
            StoreFailure::Deny => {
                self.meeting(exchange).clear();
                Flow::Respond(Failure::with(Code::LimitsUnavailable, format_args!("rate_limit: redis: {why}")))
            }
            StoreFailure::Allow => {
                self.meeting(exchange).clear();
                Flow::Continue
            }
            StoreFailure::LocalShare => {
                let live = shared.store.live_gateways();
                let engine_now = local.now_micros();
                let goes = self.take_share(self.state.limits.time(local, engine_now), live, exchange);
                self.meeting(exchange).counted = Counted::Share(live);
                self.decide(goes, engine_now, local, exchange)
            }
        }
    }

    /// Counts here, against the budgets divided by the gateways that live.
    fn take_share(&self, now: Micros, live: u32, exchange: &mut Exchange) -> bool {
        let met = &mut self.meeting(exchange).met;
        let rules: Vec<Rule> = met.iter().filter_map(|met| self.share_of(met, live)).collect();
        let ask = |(rule, met)| Ask { rule, key: Met::share_key(met, live), ..self.ask(met) };
        let asks: Vec<Ask<'_>> = rules.iter().zip(met.iter()).map(ask).collect();
        let mut told = [Told::default(); MOST_LIMITS];
        let goes = self.state.limits.table.take(now, &asks, &mut told[..asks.len()]);
        met.iter_mut().zip(told).for_each(|(met, told)| met.told = told);
        goes
    }

    fn share_of(&self, met: &Met, live: u32) -> Option<Rule> {
        self.budget(met).map(|budget| budget.rule.divided_by(live))
    }

    /// Tells the client what will be left once Redis has given back what does not count.
    pub(super) fn expect_back(&self, exchange: &mut Exchange, returns: impl Fn(&Charge) -> bool) {
        for met in &mut self.meeting(exchange).met {
            if met.told.charged && returns(&self.limits[met.limit].charge) {
                met.told.reading.remaining += met.cost;
                met.told.charged = false;
            }
        }
    }

    /// Has Redis give back what does not count; what may still come back stays with the request.
    pub(super) fn give_back_there(&self, local: &Local, exchange: &mut Exchange, returns: impl Fn(&Charge) -> bool) {
        let Some(shared) = &self.shared else { return };
        let Meeting { met, counted: Counted::There(counted) } = self.meeting(exchange) else { return };
        let (question, answer) = &mut **counted;
        let mut back = answer.clone();
        for ((back, told), met) in back.told.iter_mut().zip(&mut answer.told).zip(met) {
            let limit = &self.limits[met.limit];
            back.charged &= returns(&limit.charge);
            told.charged &= !back.charged;
            if back.charged {
                limit.series.count(met.worker, Outcome::Refunded);
            }
        }
        question.give_back(&local.redis.of(&shared.store), &back);
    }
}
