//! The engine as Python starts, changes and stops it. Calls that wait do so without the interpreter's lock.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::import_exception;
use pyo3::prelude::*;
use tidegate_engine::bridge as engine_bridge;
use tidegate_engine::canary::Command;
use tidegate_engine::engine::{self, Options, StartError};
use tidegate_engine::explain::{ExplainError, Question, explain as explain_request};
use tidegate_engine::limits::quota::Totals;
use tidegate_engine::listener::bind::Sharing;
use tidegate_engine::network::UNIX;
use tidegate_engine::plan::{Plan, Resolve, Target};
use tidegate_engine::problem::Problem;
use tidegate_engine::routing::{self, Router};
use tidegate_engine::telemetry::metrics::Format;
use tidegate_engine::upstream::breaker::BreakerNews;
use tidegate_engine::worker::NO_ADDRESS;

use crate::bridge::Bridge;
use crate::keys;
use crate::quotas::{self, QuotaUse};
use crate::signing;

import_exception!(tidegate.errors, CompileError);
import_exception!(tidegate.errors, ListenError);
import_exception!(tidegate.errors, PlanError);

/// Path in the plan, code and message.
type Found = (String, String, String);

/// Name, address as the plan has it, whether it speaks TLS, and the host and port it is bound to (UNIX sockets: none).
type Listening = (String, String, bool, Option<(String, u16)>);

/// Address, weight, priority and what the name stands for.
type PlannedTarget = (String, u32, u32, &'static str);

/// Number of a function, breaker, state before, state, reason, and for how many milliseconds it is open.
type News = (u32, String, &'static str, &'static str, &'static str, u64);

#[pyclass(frozen, module = "tidegate._native")]
pub struct Engine(engine::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (plan, *, workers, bridge=None, handlers=Vec::new(), exclusive=false, signing_keys=Vec::new()))]
    fn new(
        py: Python<'_>,
        plan: &[u8],
        workers: usize,
        bridge: Option<&Bridge>,
        handlers: Vec<u32>,
        exclusive: bool,
        signing_keys: Vec<(String, Vec<signing::Key>)>,
    ) -> PyResult<Self> {
        let plan = decode(plan, &handlers)?;
        let ring = |(name, keys)| Ok((name, signing::ring(keys)?));
        let signing = signing_keys.into_iter().map(ring).collect::<PyResult<_>>()?;
        let bridge = bridge.map(|bridge| -> Arc<dyn engine_bridge::Bridge> { bridge.queue.clone() });
        let sharing = if exclusive { Sharing::Exclusive } else { Sharing::Shared };
        py.detach(|| engine::Engine::start(plan, Options { workers, bridge, sharing, signing }))
            .map(Self)
            .map_err(raised)
    }

    #[pyo3(signature = (plan, handlers=Vec::new()))]
    fn reload(&self, py: Python<'_>, plan: &[u8], handlers: Vec<u32>) -> PyResult<()> {
        let plan = decode(plan, &handlers)?;
        py.detach(|| self.0.reload(plan)).map_err(raised)
    }

    fn listeners(&self, py: Python<'_>) -> Vec<Listening> {
        // A reload holds the list for as long as it takes.
        let open = py.detach(|| self.0.listeners()).into_iter();
        open.map(|(plan, bound)| {
            let bound = bound.map(|address| (address.ip().to_string(), address.port()));
            (plan.name, plan.address, plan.tls.is_some(), bound)
        })
        .collect()
    }

    fn drain(&self, py: Python<'_>, timeout_ms: u64) -> bool {
        py.detach(|| self.0.drain(Duration::from_millis(timeout_ms)))
    }

    fn put_signing_keys(&self, name: &str, keys: Vec<signing::Key>) -> PyResult<()> {
        self.0.state().signing.put(name, signing::ring(keys)?);
        Ok(())
    }

    fn refused(&self) {
        self.0.refused();
    }

    #[pyo3(signature = (entries, *, whole))]
    fn put_keys(&self, py: Python<'_>, entries: Vec<keys::Row>, whole: bool) -> PyResult<()> {
        let entries = keys::entries(entries)?;
        let keys = &self.0.state().keys;
        py.detach(|| if whole { keys.put_whole(entries) } else { keys.put(entries) });
        Ok(())
    }

    fn begin_whole_load(&self, py: Python<'_>) {
        py.detach(|| self.0.state().keys.begin_whole());
    }

    fn end_whole_load(&self, py: Python<'_>) {
        py.detach(|| self.0.state().keys.end_whole());
    }

    fn forget_keys(&self, py: Python<'_>) {
        py.detach(|| self.0.state().keys.forget());
    }

    fn count_keys(&self) -> usize {
        self.0.state().keys.count()
    }

    fn key_store_answers(&self, answers: bool) {
        self.0.state().keys.set_answers(answers);
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    #[pyo3(signature = (accept=""))]
    fn metrics(&self, py: Python<'_>, accept: &str) -> (&'static str, String) {
        let format = Format::of_accept(accept.as_bytes());
        (format.content_type(), py.detach(|| self.0.metrics(format)))
    }

    /// Number and settings (JSON) of every place that keys are fetched from.
    fn key_sources(&self) -> PyResult<Vec<(u64, String)>> {
        let sources = self.0.key_sets().sources();
        sources.iter().map(|set| Ok((set.id, json(&set.source)?))).collect()
    }

    /// Readable while requests wait for keys.
    fn key_wishes_descriptor(&self) -> PyResult<i32> {
        Ok(self.0.key_sets().wishes.descriptor()?)
    }

    /// The sources whose keys requests wait for.
    fn key_wishes(&self) -> Vec<u64> {
        self.0.key_sets().wishes.take()
    }

    /// Gives a source its keys; how many can be used, and why the others cannot.
    fn keys_arrived(&self, py: Python<'_>, source: u64, jwks: &[u8]) -> PyResult<(usize, Vec<String>)> {
        py.detach(|| self.0.keys_arrived(source, jwks)).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Gives a source the discovery document that its keys were found by.
    fn provider_described(&self, source: u64, document: &[u8]) {
        self.0.provider_described(source, document);
    }

    /// Says that a source could not be fetched.
    fn keys_failed(&self, source: u64) {
        self.0.keys_failed(source);
    }

    /// URLs of the sources without which the gateway is not ready.
    fn keys_missing(&self) -> Vec<String> {
        self.0.keys_missing()
    }

    fn breakers(&self, py: Python<'_>) -> Vec<(String, &'static str, u64)> {
        py.detach(|| self.0.breakers()).into_iter().map(|(name, state, left)| (name, state.word(), left)).collect()
    }

    fn force_breaker(&self, py: Python<'_>, name: &str, open: Option<bool>) -> bool {
        py.detach(|| self.0.force_breaker(name, open))
    }

    fn breaker_news_descriptor(&self) -> PyResult<i32> {
        Ok(self.0.state().breaker_news.descriptor()?)
    }

    fn breaker_news(&self) -> Vec<News> {
        let news = self.0.state().breaker_news.take().into_iter();
        news.map(|BreakerNews { breaker, change, handler }| {
            (handler, breaker.into(), change.from.word(), change.to.word(), change.why.word(), change.for_ms)
        })
        .collect()
    }

    fn counts_quotas(&self) -> bool {
        self.0.state().quotas.is_used()
    }

    fn take_quota_changes(&self, py: Python<'_>) -> Vec<QuotaUse> {
        py.detach(|| quotas::take_changes(self.0.state()))
    }

    fn put_back_quota_changes(&self, py: Python<'_>, changes: Vec<QuotaUse>) -> PyResult<()> {
        let changes = quotas::parse(&changes)?;
        py.detach(|| self.0.state().quotas.put_back(&changes));
        Ok(())
    }

    fn settle_quotas(&self, py: Python<'_>, totals: Vec<QuotaUse>) -> PyResult<()> {
        let totals = quotas::parse(&totals)?;
        py.detach(|| self.0.state().quotas.settle(&totals));
        Ok(())
    }

    fn health(&self, py: Python<'_>) -> PyResult<String> {
        json(&py.detach(|| self.0.report()))
    }

    fn inject_delay(&self, milliseconds: u64) {
        self.0.inject_delay(milliseconds);
    }

    /// `known`: the store was read; else it could not be.
    fn quota_totals_came(&self, known: bool) {
        self.0.state().quotas.set_totals(if known { Totals::Known } else { Totals::Missing });
    }

    /// Another store is to be read.
    fn expect_quota_totals(&self) {
        self.0.state().quotas.set_totals(Totals::Expected);
    }

    fn awaits_quota_totals(&self) -> bool {
        let quotas = &self.0.state().quotas;
        quotas.is_used() && quotas.totals() == Totals::Expected
    }

    fn sweep_quotas(&self, py: Python<'_>) {
        py.detach(|| self.0.sweep_quotas());
    }

    /// Where the canaries are, as JSON.
    fn canaries(&self, py: Python<'_>) -> PyResult<String> {
        json(&py.detach(|| self.0.canaries()))
    }

    /// Does something to the canary of a route; `None`: it has none. False: that means nothing now.
    fn command_canary(&self, py: Python<'_>, route: &str, command: &str) -> PyResult<Option<bool>> {
        let command = match command {
            "pause" => Command::Pause,
            "resume" => Command::Resume,
            "promote" => Command::Promote,
            "roll_back" => Command::RollBack,
            "restart" => Command::Restart,
            other => return Err(PyValueError::new_err(format!("`{other}` is no command"))),
        };
        Ok(py.detach(|| self.0.command_canary(route, command)))
    }

    /// Puts others (JSON) in place of the targets of a service; `None`: what the document says. False: no such service.
    #[pyo3(signature = (service, targets))]
    fn set_targets(&self, py: Python<'_>, service: &str, targets: Option<&[u8]>) -> PyResult<bool> {
        let parse = |json| serde_json::from_slice::<Vec<Target>>(json);
        let targets = targets.map(parse).transpose().map_err(|error| PlanError::new_err(error.to_string()))?;
        let set = py.detach(|| self.0.set_targets(service, targets.as_deref()));
        set.map_err(|problem| raised(StartError::Problems(vec![problem])))
    }

    /// Name, whether it is spoken to over TLS, and targets of every service.
    fn services(&self, py: Python<'_>) -> Vec<(String, bool, Vec<PlannedTarget>)> {
        let planned = |target: Target| {
            let resolve = match target.resolve {
                Resolve::One => "one",
                Resolve::Each => "each",
                Resolve::Srv => "srv",
            };
            (target.address, target.weight, target.priority, resolve)
        };
        let services = py.detach(|| self.0.services()).into_iter();
        services.map(|(name, tls, targets)| (name, tls, targets.into_iter().map(planned).collect())).collect()
    }

    fn advance(&self, py: Python<'_>, milliseconds: u64) {
        py.detach(|| self.0.advance(milliseconds));
    }
}

/// Compiles a plan, serves nothing, and returns what is wrong with it.
#[pyfunction]
pub fn compile_plan(py: Python<'_>, plan: &[u8]) -> PyResult<Vec<Found>> {
    let plan = decode(plan, &[])?;
    Ok(py.detach(|| engine::check(plan)).err().unwrap_or_default().into_iter().map(found).collect())
}

/// What would happen to one request, as JSON.
#[pyfunction]
pub fn explain(
    py: Python<'_>,
    plan: &[u8],
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
    client: &str,
) -> PyResult<String> {
    let plan = decode(plan, &[])?;
    let client = match client {
        UNIX => NO_ADDRESS,
        client => client.parse().map_err(|_| PyValueError::new_err(format!("`{client}` is no IP address")))?,
    };
    let question = Question { method, url, headers: &headers, client };
    match py.detach(|| explain_request(plan, &question)) {
        Ok(explained) => json(&explained),
        Err(ExplainError::Problems(problems)) => Err(raised(StartError::Problems(problems))),
        Err(ExplainError::Question(message)) => Err(PyValueError::new_err(message)),
    }
}

/// The routes in the order of precedence, as JSON.
#[pyfunction]
pub fn route_table(py: Python<'_>, plan: &[u8]) -> PyResult<String> {
    let plan = decode(plan, &[])?;
    let lines = py.detach(|| Router::compile(&plan.routes, None).map(|router| routing::table(&router, &plan.routes)));
    json(&lines.map_err(|problems| raised(StartError::Problems(problems)))?)
}

fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// `handlers` gives each handler number of the plan the number it has in this process.
pub fn decode(plan: &[u8], handlers: &[u32]) -> PyResult<Plan> {
    let mut plan: Plan = serde_json::from_slice(plan).map_err(|error| PlanError::new_err(error.to_string()))?;
    plan.each_handler(|handler| handler.id = handlers.get(handler.id as usize).copied().unwrap_or(handler.id));
    Ok(plan)
}

fn found(problem: Problem) -> Found {
    (problem.path, problem.code.to_owned(), problem.message)
}

fn raised(error: StartError) -> PyErr {
    match error {
        StartError::Problems(problems) => CompileError::new_err((problems.into_iter().map(found).collect::<Vec<_>>(),)),
        StartError::Bind { listener, address, error } => {
            ListenError::new_err((listener, address, error.raw_os_error().unwrap_or_default(), error.to_string()))
        }
        StartError::Io(error) => error.into(),
    }
}
