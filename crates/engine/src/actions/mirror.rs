//! Answers as another action does, and sends copies of some of the requests to another service.
//!
//! The client never notices: nothing waits for a copy, and none is made when too many are under way. A copy is a task of its own,
//! begun once all of the request is there; comparing answers and writing differences happens on other threads.

mod compare;
mod copy;
mod differences;
mod tee;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::oneshot;

use crate::actions::proxy::Proxy;
use crate::actions::split::Split;
use crate::exchange::{Exchange, Upgrade};
use crate::pipeline::Context;
use crate::plan;
use crate::problem::Problem;
use crate::respond::Failure;
use crate::sides::{BodySize, Client};
use crate::telemetry::metrics::{Family, Tally};
use crate::wheel::Alarm;
use crate::worker::Worker;
use compare::Compare;
use copy::Copy;
use differences::Differences;
use tee::Tee;

pub static COPIES: Family = Family {
    name: "tidegate_mirror",
    help: "Copies of requests for another service, by what became of them.",
    label: "route",
    outcome: "outcome",
    outcomes: &["sent", "failed", "dropped", "too_large", "incomplete"],
};

pub static COMPARED: Family = Family {
    name: "tidegate_mirror_compared",
    help: "Answers that were compared with those to copies, by what came of it.",
    label: "route",
    outcome: "outcome",
    outcomes: &["same", "status", "headers", "body", "skipped"],
};

/// Places in the outcomes of [`COPIES`].
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Sent,
    Failed,
    Dropped,
    TooLarge,
    Incomplete,
}

pub struct Mirror {
    pub action: Mirrored,
    copies: Arc<Copies>,
}

/// What is answered with.
pub enum Mirrored {
    Proxy(Proxy),
    Split(Arc<Split>),
}

/// All about the copies.
struct Copies {
    proxy: Proxy,
    share: u32,
    methods: Box<[Box<[u8]>]>,
    header: Box<[u8]>,
    body_bytes: usize,
    timeout_ms: u64,
    most: usize,
    under_way: AtomicUsize,
    compare: Option<Arc<Compare>>,
    differences: Option<Differences>,
    route: Box<str>,
    copied: Arc<Tally>,
    compared: Arc<Tally>,
}

/// All requests, as parts that shares are written in.
const WHOLE: u64 = 10_000;

impl Mirror {
    /// Problems have a path relative to the route.
    pub fn compile(plan: &plan::Mirror, route: &str, context: &Context<'_>) -> Result<Self, Problem> {
        let proxy = Proxy::compile(&plan.copy, context)
            .map_err(|problem| Problem { path: format!("mirror.{}", problem.path), ..problem })?;
        let compare = plan.compare.as_ref();
        let copies = Copies {
            proxy,
            share: plan.share,
            methods: plan.methods.iter().map(|method| method.as_bytes().into()).collect(),
            header: plan.header.as_bytes().into(),
            body_bytes: plan.body_bytes,
            timeout_ms: plan.timeout_ms,
            most: plan.most,
            under_way: AtomicUsize::new(0),
            differences: compare.and_then(|plan| Some(Differences::new(plan.file.as_deref()?, plan.share))),
            compare: compare.map(|plan| Arc::new(Compare::compile(plan))),
            route: route.into(),
            copied: context.registry.tally(&COPIES, route),
            compared: context.registry.tally(&COMPARED, route),
        };
        let action = match &plan.action {
            plan::Mirrored::Proxy(plan) => Mirrored::Proxy(Proxy::compile(plan, context)?),
            plan::Mirrored::Split(plan) => Mirrored::Split(Arc::new(Split::compile(plan, route, context)?)),
        };
        Ok(Self { action, copies: Arc::new(copies) })
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        match self.copies.begin(worker, exchange) {
            None => self.action.run(worker, client, exchange, alarm).await,
            // Apart, since its future is large and most requests are not copied.
            Some(copy) => Box::pin(self.run_with(copy, worker, client, exchange, alarm)).await,
        }
    }

    async fn run_with<C: Client>(
        &self,
        copy: Copy,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let compare = self.copies.compare.as_ref();
        let bodiless = exchange.request.body == BodySize::Empty;
        let (answer, original) = oneshot::channel();
        let of_worker = worker.clone();
        let send = Box::new(move |body| copy.send(&of_worker, body, original));
        let mut tee = Tee::new(client, self.copies.body_bytes, compare.map(|compare| compare.body_bytes), send);
        if bodiless {
            tee.request_is_whole();
        }
        // `idempotency` keeps the head, too; then both read the same.
        let kept = compare.map(|_| exchange.kept.get_or_insert_default().clone());
        let ran = self.action.run(worker, &mut tee, exchange, alarm).await;
        if tee.is_unsent() {
            self.copies.count(worker, Outcome::Incomplete);
        }
        if let (Some(kept), Ok(())) = (kept, &ran) {
            let _ = answer.send(compare::Answer::new(kept.status(), &kept.head(), tee.answer_body()));
        }
        ran
    }
}

impl Mirrored {
    async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        match self {
            Self::Proxy(proxy) => proxy.run(worker, client, exchange, alarm).await,
            Self::Split(split) => split.run(worker, client, exchange, alarm).await,
        }
    }
}

impl Copies {
    /// Begins a copy, if this request is to have one.
    fn begin(self: &Arc<Self>, worker: &Rc<Worker>, exchange: &Exchange) -> Option<Copy> {
        let request = &exchange.request;
        let meant = self.methods.is_empty() || self.methods.iter().any(|method| **method == *request.method_name());
        let copied_already = || request.head.contains(&self.header);
        if !meant || request.upgrade != Upgrade::None || copied_already() {
            return None;
        }
        if worker.local.random() % WHOLE >= u64::from(self.share) {
            return None;
        }
        if matches!(request.body, BodySize::Length(length) if length > self.body_bytes as u64) {
            self.count(worker, Outcome::TooLarge);
            return None;
        }
        let copy = Copy::begin(self, exchange);
        if copy.is_none() {
            self.count(worker, Outcome::Dropped);
        }
        copy
    }

    fn count(&self, worker: &Worker, outcome: Outcome) {
        self.copied.count(worker.index, outcome as usize);
    }
}
