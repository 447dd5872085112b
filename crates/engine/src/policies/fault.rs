//! Delays requests, or answers them with an error, to find out what becomes of it.
//!
//! Which requests are hit is drawn by number: the draws of a seed are the same each time, and their share is exact in the long
//! run.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Millis;
use crate::exchange::Exchange;
use crate::pipeline::{Context, Flow, Reply, Resume};
use crate::plan;
use crate::policies::Local;
use crate::policies::authorize::expression::Expression;
use crate::policies::random::mixed;
use crate::problem::Problem;
use crate::respond::{Code, write_problem_with};
use crate::routing::{Lookup, ValueRegex};
use crate::telemetry::metrics::{Family, Tally};
use crate::upstream::call;
use crate::worker::Worker;

pub static FAULTS: Family = Family {
    name: "tidegate_faults",
    help: "Faults that were injected on purpose, and delays that were left out since there were too many.",
    label: "scope",
    outcome: "fault",
    outcomes: &["delay", "abort", "spared"],
};
const DELAY: usize = 0;
const ABORT: usize = 1;
const SPARED: usize = 2;

pub struct Fault {
    delay: Option<plan::FaultDelay>,
    abort: Option<plan::FaultAbort>,
    headers: Box<[Header]>,
    when: Option<Expression>,
    most: Option<u64>,
    /// Delays that are under way.
    delayed: AtomicU64,
    seed: u64,
    /// Requests that were drawn for.
    drawn: AtomicU64,
    tally: Arc<Tally>,
}

/// A condition: its name, and values of which one must match; none: it must be there.
type Header = (Box<str>, Box<[Value]>);

enum Value {
    Exact(Box<[u8]>),
    Regex(ValueRegex),
}

/// All of them; shares are parts of it.
const WHOLE: u64 = 10_000;

impl Fault {
    pub fn compile(plan: &plan::Fault, context: &Context<'_>) -> Result<Self, Problem> {
        let headers = plan.headers.iter().map(compile_header).collect::<Result<_, _>>()?;
        let when = plan.when.as_deref().map(Expression::compile).transpose();
        Ok(Self {
            delay: plan.delay.clone(),
            abort: plan.abort.clone(),
            headers,
            when: when.map_err(|message| Problem::new("when", "config.bad_expression", message))?,
            most: plan.most,
            delayed: AtomicU64::new(0),
            seed: plan.seed.map_or_else(random_seed, Ok)?,
            drawn: AtomicU64::new(0),
            tally: context.registry.tally(&FAULTS, &plan.scope),
        })
    }

    pub fn on_request(self: &Arc<Self>, local: &Local, exchange: &mut Exchange) -> Flow {
        if !self.is_meant(exchange) {
            return Flow::Continue;
        }
        // One draw for each kind, so that the share of the one does not depend on the other's.
        let number = self.drawn.fetch_add(1, Relaxed).wrapping_mul(2);
        let aborts = self.abort.as_ref().is_some_and(|abort| self.hits(number, abort.share));
        match &self.delay {
            Some(delay) if self.hits(number + 1, delay.share) => self.hold(delay.time_ms, aborts, local, exchange),
            _ if aborts => self.abort(local, exchange),
            _ => Flow::Continue,
        }
    }

    fn is_meant(&self, exchange: &Exchange) -> bool {
        let holds = |(name, values): &Header| {
            exchange.any_header(name, &mut |found| values.is_empty() || values.iter().any(|value| value.takes(found)))
        };
        // An expression that cannot be evaluated for a request is not true for it.
        let true_for = |when: &Expression| when.holds(exchange).unwrap_or(false);
        self.headers.iter().all(holds) && self.when.as_ref().is_none_or(true_for)
    }

    fn hits(&self, number: u64, share: u32) -> bool {
        mixed(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))) % WHOLE < u64::from(share)
    }

    fn hold(self: &Arc<Self>, time_ms: Millis, aborts: bool, local: &Local, exchange: &mut Exchange) -> Flow {
        let Some(held) = Held::begin(self) else {
            self.tally.count(local.worker, SPARED);
            return if aborts { self.abort(local, exchange) } else { Flow::Continue };
        };
        // Not longer than there is time for the whole exchange: the call that follows finds that it is over.
        let timeout = exchange.route().and_then(|route| route.timeout_ms);
        let deadline = call::deadline(exchange.started_micros / 1000, timeout);
        let until = (local.now_micros() / 1000).saturating_add(time_ms).min(deadline);
        self.tally.count(local.worker, DELAY);
        exchange.notes.rule = Some("fault:delay".into());
        Flow::Wait(Box::new(move |worker: Rc<Worker>| {
            Box::pin(async move {
                worker.wheel.sleep_until(until).await;
                Box::new(
                    move |local: &Local, exchange: &mut Exchange| {
                        if aborts { held.0.abort(local, exchange) } else { Flow::Continue }
                    },
                ) as Resume
            })
        }))
    }

    fn abort(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        let Some(abort) = &self.abort else { return Flow::Continue };
        self.tally.count(local.worker, ABORT);
        exchange.notes.rule = Some("fault:abort".into());
        exchange.notes.code = Some(Code::FaultInjected);
        let mut body = Vec::with_capacity(160);
        write_problem_with(&mut body, Code::FaultInjected, abort.status, &exchange.id, b"");
        let content_type = (b"content-type".as_slice().into(), b"application/problem+json".as_slice().into());
        Flow::Answer(Box::new(Reply { status: abort.status, fields: vec![content_type], body: body.into() }))
    }
}

/// A delay that is under way; it ends when this is dropped, also when the client has left.
struct Held(Arc<Fault>);

impl Held {
    /// `None`: there are too many already.
    fn begin(fault: &Arc<Fault>) -> Option<Self> {
        let most = fault.most.unwrap_or(u64::MAX);
        let more = |delayed| (delayed < most).then_some(delayed + 1);
        fault.delayed.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Self(fault.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.delayed.fetch_sub(1, Relaxed);
    }
}

impl Value {
    fn takes(&self, found: &[u8]) -> bool {
        match self {
            Self::Exact(text) => **text == *found,
            Self::Regex(regex) => regex.is_match(found),
        }
    }
}

fn compile_header(condition: &plan::FieldMatch) -> Result<Header, Problem> {
    let value = |value: &plan::ValueMatch| match value {
        plan::ValueMatch::Exact(text) => Ok(Value::Exact(text.as_bytes().into())),
        plan::ValueMatch::Regex(pattern) => ValueRegex::compile(pattern)
            .map(Value::Regex)
            .map_err(|message| Problem::new(format!("headers.{}", condition.name), "routing.bad_regex", message)),
    };
    let values = condition.values.iter().map(value).collect::<Result<_, _>>()?;
    Ok((condition.name.as_str().into(), values))
}

fn random_seed() -> Result<u64, Problem> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| Problem::new("seed", "engine.io", error.to_string()))?;
    Ok(u64::from_le_bytes(seed))
}
