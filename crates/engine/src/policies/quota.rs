//! Limits how much a caller uses in a calendar hour, day, week or month.
//!
//! All quotas of a request are checked before any is charged. What was used outlives the process: in the store, written in
//! batches, or in Redis, where all gateways count together.

mod synced;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::exchange::{Exchange, Method};
use crate::limits::quota::{QuotaAsk, QuotaKey, QuotaTold, Quotas, Totals, Unit, Zone, calendar};
use crate::limits::shared::{Answer, Named, Question, full_name};
use crate::limits::synced::Ledger;
use crate::limits::{MOST_LIMITS, Micros};
use crate::pipeline::{Context, Flow, Reply, Resume};
use crate::plan::{self, StoreFailure};
use crate::policies::Local;
use crate::policies::limit_charge::{Charge, Cost, Ending};
use crate::policies::limit_fields::{self, Item};
use crate::policies::limit_key::{LimitKey, Tiers};
use crate::problem::Problem;
use crate::redis::{Store, StoreError};
use crate::respond::{Code, Failure};
use crate::state::State;
use crate::telemetry::metrics::{LimitSeries, Outcome};

const SECOND: Micros = 1_000_000;
/// Longest wait for a store that has not been read yet.
const FIRST_TOTALS: Duration = Duration::from_secs(3);

pub struct Quota {
    limits: Box<[Limit]>,
    headers: bool,
    /// Where callers are told what they have used.
    usage_path: Option<Box<[u8]>>,
    shared: Option<Arc<Store>>,
    /// Counted here, and settled with Redis now and then.
    ledger: Option<Arc<Ledger>>,
    on_store_failure: StoreFailure,
    state: Arc<State>,
}

struct Limit {
    name: Box<str>,
    /// Unique among all quotas of gateways that share a store.
    full_name: Box<str>,
    /// Its part of the keys in Redis.
    named: Arc<Named>,
    key: LimitKey,
    tiers: Tiers,
    /// The limit's own first, then one for each tier; `None`: unlimited.
    amounts: Box<[Option<u64>]>,
    unit: Unit,
    zone: Zone,
    zone_name: Box<str>,
    cost: Cost,
    charge: Charge,
    shadow: bool,
    series: Arc<LimitSeries>,
}

/// A quota that a request has met, kept until its end.
#[derive(Debug, Clone)]
pub struct MetQuota {
    limit: usize,
    ask: QuotaAsk,
    told: QuotaTold,
    /// Seconds until the period ends, when the request came.
    left: u64,
}

/// What an exchange keeps of its quotas.
#[derive(Debug, Default)]
pub struct MetQuotas {
    met: Vec<MetQuota>,
    /// Where they were charged in Redis, for a refund.
    shared: Option<Box<(Question, Answer)>>,
    /// Counted here although they are shared, because Redis did not answer.
    alone: bool,
    /// Counted here, to be settled with Redis.
    synced: bool,
}

impl MetQuotas {
    pub fn clear(&mut self) {
        self.met.clear();
        self.shared = None;
        self.alone = false;
        self.synced = false;
    }
}

impl Quota {
    pub fn compile(plan: &plan::Quota, context: &Context<'_>) -> Result<Self, Problem> {
        let limit = |(index, limit)| {
            Limit::compile(limit, context)
                .map_err(|problem| Problem { path: format!("limits[{index}].{}", problem.path), ..problem })
        };
        if plan.limits.len() > MOST_LIMITS {
            return Err(Problem::new("limits".to_owned(), "config.bad_value", "too many limits"));
        }
        let shared = context.shared(plan.store)?;
        if shared.is_none() {
            context.state.quotas.begin_use();
        }
        let sync = Duration::from_millis(plan.sync_ms);
        let ledger = shared.as_ref().filter(|_| !sync.is_zero()).map(|store| store.ledger(sync));
        Ok(Self {
            limits: plan.limits.iter().enumerate().map(limit).collect::<Result<_, _>>()?,
            headers: plan.headers,
            usage_path: plan.usage_path.as_ref().map(|path| path.as_bytes().into()),
            shared,
            ledger,
            on_store_failure: plan.on_store_failure,
            state: context.state.clone(),
        })
    }

    pub fn on_request(self: &Arc<Self>, local: &Local, exchange: &mut Exchange) -> Flow {
        let asks_for_use = self.asks_for_use(exchange);
        if let (Some(ledger), false) = (&self.ledger, asks_for_use) {
            return self.take_synced(ledger, local, exchange);
        }
        let mut question = Question::default();
        self.meet(local, exchange, |limit, ask, text| {
            if let Some(store) = &self.shared {
                question.ask_quota(&store.plan.prefix, &limit.named, text, ask);
            }
        });
        match &self.shared {
            _ if exchange.quotas.met.is_empty() && !asks_for_use => Flow::Continue,
            Some(store) => self.ask(store.clone(), question, asks_for_use),
            None => match self.state.quotas.totals() {
                Totals::Known => self.count_here(asks_for_use, local, exchange),
                Totals::Missing => self.without_totals(asks_for_use, local, exchange),
                Totals::Expected => self.wait_for_totals(asks_for_use),
            },
        }
    }

    pub fn on_response(&self, exchange: &mut Exchange) {
        let is_shown = |met: &&MetQuota| !self.limits[met.limit].shadow;
        if !self.headers || !exchange.quotas.met.iter().any(|met| is_shown(&met)) {
            return;
        }
        limit_fields::begin(exchange);
        let Exchange { quotas, answer, .. } = exchange;
        let shown = quotas.met.iter().filter(is_shown);
        let items = shown.map(|met| {
            let length = (met.ask.period.end - met.ask.period.start).max(0) as u64 * SECOND;
            let remaining = met.ask.amount.saturating_sub(met.told.used);
            (Item::of(&self.limits[met.limit].name, met.ask.amount, length), remaining, met.left)
        });
        limit_fields::add(&mut answer.head, items);
    }

    /// Gives back what does not count.
    pub fn on_complete(&self, local: &Local, exchange: &mut Exchange) {
        let ending = Ending::of(exchange);
        let refunds = |met: &MetQuota| met.told.charged && !self.limits[met.limit].charge.counts(ending);
        let quotas = &mut exchange.quotas;
        for met in quotas.met.iter().filter(|met| refunds(met)) {
            self.limits[met.limit].series.count(local.worker, Outcome::Refunded);
            match &self.ledger {
                Some(ledger) if quotas.synced => synced::give_back(ledger, met, exchange.started_micros),
                _ if quotas.shared.is_some() => {}
                _ => {
                    let here = if quotas.alone { &self.state.quota_shares } else { &self.state.quotas };
                    here.give_back(met.ask.key, met.ask.period, met.ask.cost);
                }
            }
        }
        if let (Some(store), Some(mut shared)) = (&self.shared, quotas.shared.take()) {
            let (question, answer) = &mut *shared;
            for (told, met) in answer.told.iter_mut().zip(&quotas.met) {
                told.charged &= refunds(met);
            }
            question.give_back(&local.redis.of(store), answer);
        }
    }

    fn asks_for_use(&self, exchange: &Exchange) -> bool {
        let asked = self.usage_path.as_deref().is_some_and(|path| *path == *exchange.request.path);
        asked && matches!(exchange.request.method, Method::Get | Method::Head)
    }

    /// Finds out which quotas the request meets; `each` is told of every one, with the text of its key.
    fn meet(&self, local: &Local, exchange: &mut Exchange, mut each: impl FnMut(&Limit, &QuotaAsk, &[u8])) {
        let now = local.epoch_seconds(exchange);
        let mut text = std::mem::take(&mut exchange.scratch);
        exchange.quotas.clear();
        for (index, limit) in self.limits.iter().enumerate() {
            let tier = limit.tiers.of(exchange, &mut text);
            let Some(amount) = limit.amounts[tier] else { continue };
            let cost = limit.cost.of(exchange, &mut text);
            text.clear();
            limit.key.write(exchange, &mut text);
            let period = limit.zone.period(limit.unit, now);
            let key = QuotaKey::new(&limit.full_name, &text);
            let ask = QuotaAsk { key, period, amount, cost, shadow: limit.shadow };
            each(limit, &ask, &text);
            let left = (period.end - now).max(0) as u64;
            exchange.quotas.met.push(MetQuota { limit: index, ask, told: QuotaTold::default(), left });
        }
        text.clear();
        exchange.scratch = text;
    }

    /// Counts in this process; `share`: how many gateways have a part of each quota.
    fn take(&self, quotas: &Quotas, share: u64, exchange: &mut Exchange) -> bool {
        let mut told = [QuotaTold::default(); MOST_LIMITS];
        let met = &mut exchange.quotas.met;
        let asks: Vec<QuotaAsk> =
            met.iter().map(|met| QuotaAsk { amount: (met.ask.amount / share).max(1), ..met.ask }).collect();
        let goes = quotas.take(&asks, &mut told[..asks.len()]);
        met.iter_mut().zip(told).for_each(|(met, told)| met.told = told);
        goes
    }

    /// Decides by what this process knows.
    fn count_here(&self, asks_for_use: bool, local: &Local, exchange: &mut Exchange) -> Flow {
        if asks_for_use {
            self.look(exchange);
            return self.tell_use(exchange);
        }
        let goes = self.take(&self.state.quotas, 1, exchange);
        self.decide(goes, local, exchange)
    }

    /// Waits until the store was read for the first time, but not for ever.
    fn wait_for_totals(self: &Arc<Self>, asks_for_use: bool) -> Flow {
        let policy = self.clone();
        Flow::Wait(Box::new(move |_| {
            Box::pin(async move {
                let quotas = &policy.state.quotas;
                if tokio::time::timeout(FIRST_TOTALS, quotas.until_tried()).await.is_err() {
                    // So that no other request waits for a store that hangs.
                    quotas.set_totals(Totals::Missing);
                }
                Box::new(move |local: &Local, exchange: &mut Exchange| match policy.state.quotas.totals() {
                    Totals::Known => policy.count_here(asks_for_use, local, exchange),
                    _ => policy.without_totals(asks_for_use, local, exchange),
                }) as Resume
            })
        }))
    }

    /// Nobody knows what was used before this process began.
    fn without_totals(&self, asks_for_use: bool, local: &Local, exchange: &mut Exchange) -> Flow {
        match self.on_store_failure {
            StoreFailure::LocalShare if !asks_for_use => self.count_here(false, local, exchange),
            StoreFailure::Allow if !asks_for_use => {
                exchange.quotas.clear();
                Flow::Continue
            }
            _ => {
                exchange.quotas.clear();
                Flow::Respond(Failure::with(Code::LimitsUnavailable, "quota: the store has not been read yet"))
            }
        }
    }

    fn look(&self, exchange: &mut Exchange) {
        for met in &mut exchange.quotas.met {
            met.told.used = self.state.quotas.used(met.ask.key, met.ask.period);
        }
    }

    fn ask(self: &Arc<Self>, store: Arc<Store>, mut question: Question, asks_for_use: bool) -> Flow {
        let policy = self.clone();
        if asks_for_use {
            question.only_look();
        }
        Flow::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let client = worker.local.redis.of(&store);
                let answer = question.take(&client).await;
                let live = store.live_gateways();
                Box::new(move |local: &Local, exchange: &mut Exchange| match asks_for_use {
                    true => policy.resume_use(answer, exchange),
                    false => policy.resume(question, answer, live, local, exchange),
                }) as Resume
            })
        }))
    }

    fn resume(
        &self,
        question: Question,
        answer: Result<Answer, StoreError>,
        live: u32,
        local: &Local,
        exchange: &mut Exchange,
    ) -> Flow {
        match answer {
            Ok(answer) => {
                let goes = answer.goes;
                for (met, told) in exchange.quotas.met.iter_mut().zip(&answer.told) {
                    let used = met.ask.amount.saturating_sub(told.reading.remaining);
                    met.told = QuotaTold { passed: told.passed, charged: told.charged, used };
                }
                if self.limits.iter().any(|limit| !limit.charge.is_final()) {
                    exchange.quotas.shared = Some(Box::new((question, answer)));
                }
                self.decide(goes, local, exchange)
            }
            Err(error) => self.unanswered(live, format_args!("{error}"), local, exchange),
        }
    }

    /// The quotas that were met are not counted in Redis; so many gateways lived.
    fn unanswered(&self, live: u32, why: fmt::Arguments<'_>, local: &Local, exchange: &mut Exchange) -> Flow {
        match self.on_store_failure {
            StoreFailure::Allow => {
                exchange.quotas.clear();
                Flow::Continue
            }
            StoreFailure::Deny => {
                exchange.quotas.clear();
                Flow::Respond(Failure::with(Code::LimitsUnavailable, format_args!("quota: redis: {why}")))
            }
            StoreFailure::LocalShare => {
                exchange.quotas.alone = true;
                let goes = self.take(&self.state.quota_shares, u64::from(live).max(1), exchange);
                self.decide(goes, local, exchange)
            }
        }
    }

    fn resume_use(&self, answer: Result<Answer, StoreError>, exchange: &mut Exchange) -> Flow {
        match answer {
            Ok(answer) => {
                for (met, told) in exchange.quotas.met.iter_mut().zip(&answer.told) {
                    met.told.used = met.ask.amount.saturating_sub(told.reading.remaining);
                }
                self.tell_use(exchange)
            }
            Err(error) => Flow::Respond(Failure::with(Code::LimitsUnavailable, format_args!("quota: redis: {error}"))),
        }
    }

    fn decide(&self, goes: bool, local: &Local, exchange: &mut Exchange) -> Flow {
        for met in &exchange.quotas.met {
            let limit = &self.limits[met.limit];
            limit.series.count(local.worker, outcome(met, limit.shadow));
            if !met.told.passed && (exchange.notes.rule.is_none() || !limit.shadow) {
                exchange.notes.rule = Some(limit.rule());
            }
        }
        if goes {
            return Flow::Continue;
        }
        let refused = |met: &&MetQuota| !met.told.passed && !self.limits[met.limit].shadow;
        let refused = exchange.quotas.met.iter().filter(refused);
        // A cost above the whole quota never passes, so no time is told.
        if let Some(left) = refused.filter(|met| met.ask.cost <= met.ask.amount).map(|met| met.left).max() {
            limit_fields::set_retry_after(&mut exchange.refusal, left * SECOND, local);
        }
        Flow::Respond(Failure::from(Code::QuotaExceeded))
    }

    /// Answers with what the caller has used.
    fn tell_use(&self, exchange: &mut Exchange) -> Flow {
        let quotas: Vec<serde_json::Value> = exchange.quotas.met.iter().map(|met| self.use_of(met)).collect();
        exchange.quotas.clear();
        let body = serde_json::json!({ "quotas": quotas }).to_string() + "\n";
        let field = |name: &[u8], value: &[u8]| (name.into(), value.into());
        Flow::Answer(Box::new(Reply {
            status: 200,
            fields: vec![field(b"content-type", b"application/json"), field(b"cache-control", b"no-store")],
            body: Bytes::from(body),
        }))
    }

    fn use_of(&self, met: &MetQuota) -> serde_json::Value {
        let limit = &self.limits[met.limit];
        let (mut starts, mut resets) = (String::new(), String::new());
        calendar::write_time(&mut starts, met.ask.period.start);
        calendar::write_time(&mut resets, met.ask.period.end);
        serde_json::json!({
            "name": &*limit.name,
            "period": limit.unit.word(),
            "timezone": &*limit.zone_name,
            "limit": met.ask.amount,
            "used": met.told.used,
            "remaining": met.ask.amount.saturating_sub(met.told.used),
            "starts": starts,
            "resets": resets,
        })
    }
}

fn outcome(met: &MetQuota, shadow: bool) -> Outcome {
    match (met.told.passed, shadow) {
        (false, true) => Outcome::ShadowRefused,
        (false, false) => Outcome::Refused,
        (true, _) => Outcome::Allowed,
    }
}

impl Limit {
    fn compile(plan: &plan::QuotaLimit, context: &Context<'_>) -> Result<Self, Problem> {
        let own = std::iter::once(Some(plan.amount));
        let full_name = format!("{}/{}", full_name(&plan.scope, "quota", &plan.name), plan.period.word());
        Ok(Self {
            name: plan.name.as_str().into(),
            named: Arc::new(Named::quota(&full_name)),
            full_name: full_name.into(),
            key: LimitKey::compile(&plan.key, plan.ipv6_prefix)?,
            tiers: Tiers::compile(&plan.tier, plan.tiers.iter().map(|tier| &tier.tier))?,
            amounts: own.chain(plan.tiers.iter().map(|tier| tier.most)).collect(),
            unit: plan.period,
            zone: Zone::new(plan.zone.first, plan.zone.changes.iter().copied()),
            zone_name: plan.timezone.as_str().into(),
            cost: Cost::compile(&plan.cost)?,
            charge: Charge::by_status(&plan.count, plan.refund_failures),
            shadow: plan.shadow,
            series: context.registry.limit("quota", &plan.scope, &plan.name),
        })
    }

    /// As the log names it.
    fn rule(&self) -> Box<str> {
        if self.shadow { format!("shadow:{}", self.name).into() } else { self.name.clone() }
    }
}
