//! One exchange from head to end: route, policies, action, policies, log.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::collect;
use crate::exchange::{Exchange, Method};
use crate::head::Head;
use crate::pipeline::{self, Flow, Pipeline, Reply};
use crate::plan;
use crate::policies::{idempotency, trust};
use crate::preflight;
use crate::respond::{Code, Failure, write_problem, write_problem_with};
use crate::routing::Found;
use crate::sides::{Answered, BodySize, Client, Filled, Source, Upstream};
use crate::snapshot::Snapshot;
use crate::transfer::Transfer;
use crate::upstream::call::unless_gone;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Answers a request, whatever happens, and tells the log and the metrics.
pub async fn serve<C: Client>(worker: &Rc<Worker>, client: &mut C, exchange: &mut Exchange, alarm: &Alarm) {
    worker.telemetry.begin(worker.index);
    let watched = &mut Watched { worker, client, exchange, over: false };
    trust::admit(watched.exchange);
    if let Err(failure) = answer(worker, watched.client, watched.exchange, alarm).await {
        fail(worker, watched.client, watched.exchange, alarm, failure).await;
    }
    watched.over = true;
}

/// Answers a request that is refused by its head alone, before a route is looked for.
///
/// Of the policies it meets the one that names it, so that client and log can speak of it, and those that act on answers.
pub async fn refuse<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    failure: Failure,
) {
    worker.telemetry.begin(worker.index);
    let watched = &mut Watched { worker, client, exchange, over: false };
    trust::admit(watched.exchange);
    let snapshot = watched.exchange.snapshot.clone();
    snapshot.unrouted.name(&worker.local, watched.exchange);
    if failure.code == Code::ConnectRefused {
        watched.exchange.notes.allow = Some(ALLOWED_BUT_TRACE.into());
    }
    watched.client.close_after();
    fail(worker, watched.client, watched.exchange, alarm, failure).await;
    watched.over = true;
}

/// Counts and logs an exchange at its end, also when its task is dropped or panics in the middle.
struct Watched<'a, C: Client> {
    worker: &'a Worker,
    client: &'a mut C,
    exchange: &'a mut Exchange,
    over: bool,
}

impl<C: Client> Drop for Watched<'_, C> {
    fn drop(&mut self) {
        let notes = &mut self.exchange.notes;
        if !self.over {
            notes.code = Some(if std::thread::panicking() { Code::InternalError } else { Code::Stopped });
        }
        notes.request_bytes = self.client.bytes_received();
        notes.answer_bytes = self.client.bytes_sent();
        let snapshot = self.exchange.snapshot.clone();
        pipeline_of(&snapshot, self.exchange).on_complete(&self.worker.local, self.exchange);
        if let Some(plugins) = self.exchange.plugins.take() {
            plugins.on_complete(self.worker, self.exchange);
        }
        self.worker.telemetry.complete(self.worker.index, self.exchange, self.worker.clock.now_micros());
    }
}

async fn answer<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
) -> Result<(), Failure> {
    let snapshot = exchange.snapshot.clone();
    let found = match preflight::route(&snapshot, exchange) {
        Some(found) => found,
        None => snapshot.router.find(&exchange.request, &mut exchange.captures),
    };
    let (index, route) = match found {
        Found::Route(index) => {
            exchange.route = Some(index);
            (index, &snapshot.routes[index])
        }
        Found::NotFound => return unrouted(worker, client, exchange, alarm, Code::NoRoute.into()).await,
        Found::MethodNotAllowed { allow } => {
            exchange.notes.allow = Some(allow.into());
            return unrouted(worker, client, exchange, alarm, Code::MethodNotAllowed.into()).await;
        }
    };
    if let Some(shed) = &route.shed {
        shed.check_early(&worker.local, exchange)?;
    }
    if let Some(reply) = admit(worker, client, exchange, alarm, &route.pipeline).await? {
        return say_reply(worker, client, exchange, alarm, *reply).await;
    }
    check_method(exchange, &snapshot.plan.routes[index])?;
    if let BodySize::Length(length) = exchange.request.body
        && length > route.body_bytes
    {
        return Err(Code::BodyTooLarge.into());
    }
    client.limit_body(route.body_bytes);
    client.limit_trailers(&snapshot.trailers);
    match exchange.idempotency.take() {
        None => route.action.run(worker, client, exchange, alarm).await,
        // Apart, since its future is large and few requests need it.
        Some(asked) => {
            let run = Box::pin(idempotency::run(worker, client, exchange, alarm, &route.action, *asked));
            match run.await? {
                Some(reply) => say_reply(worker, client, exchange, alarm, reply).await,
                None => Ok(()),
            }
        }
    }
}

/// What a route that names no methods takes, of the methods everyone knows.
const ALLOWED_BUT_TRACE: &str = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";

/// TRACE makes a service send the request back, with the credentials that policies put into it (RFC 9110 section 9.3.8): only
/// a route that asks for it by name gets it.
pub(crate) fn check_method(exchange: &mut Exchange, route: &plan::Route) -> Result<(), Failure> {
    if exchange.request.method != Method::Trace || route.methods.iter().any(|method| method == "TRACE") {
        return Ok(());
    }
    exchange.notes.allow = Some(ALLOWED_BUT_TRACE.into());
    Err(Failure::with(Code::MethodNotAllowed, "TRACE is for routes that name it in `methods`"))
}

/// The policies that act on requests without a route still do: the answer carries a request id.
async fn unrouted<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    failure: Failure,
) -> Result<(), Failure> {
    let snapshot = exchange.snapshot.clone();
    match admit(worker, client, exchange, alarm, &snapshot.unrouted).await? {
        Some(reply) => say_reply(worker, client, exchange, alarm, *reply).await,
        None => Err(failure),
    }
}

/// Runs the policies on the request; an answer that one of them gives itself comes back.
async fn admit<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    pipeline: &Pipeline,
) -> Result<Option<Box<Reply>>, Failure> {
    let mut from = 0;
    loop {
        let mut flow = pipeline.on_request(&mut from, &worker.local, exchange);
        loop {
            match flow {
                Flow::Continue => break,
                Flow::Respond(failure) => return Err(failure),
                Flow::Answer(reply) => return Ok(Some(reply)),
                Flow::Wait(wait) => {
                    let waited = wait(worker.clone());
                    let resume = unless_gone(client, async { Ok(waited.await) }).await?;
                    exchange.waited = true;
                    flow = resume(&worker.local, exchange);
                }
                Flow::Body(wanted) => {
                    let pipeline::Wanted { most, resume } = *wanted;
                    // Apart, since few requests need it.
                    let body = Box::pin(collect::peek(worker, client, exchange, alarm, most)).await?;
                    exchange.collected = Some(body);
                    exchange.waited = true;
                    flow = resume(&worker.local, exchange);
                }
            }
        }
        if from == pipeline::END {
            return Ok(None);
        }
    }
}

/// The policies that hold for an exchange.
fn pipeline_of<'a>(snapshot: &'a Snapshot, exchange: &Exchange) -> &'a Pipeline {
    exchange.route.map_or(&snapshot.unrouted, |index| &snapshot.routes[index].pipeline)
}

/// Answers with what a policy has to say.
async fn say_reply<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    reply: Reply,
) -> Result<(), Failure> {
    exchange.answer.head.clear();
    for (name, value) in &reply.fields {
        exchange.answer.head.add(name, value);
    }
    say(worker, client, exchange, alarm, reply.status, &reply.body).await
}

/// Sends the head of an answer and passes both bodies on to their ends.
pub async fn deliver<C: Client, U: Upstream>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    upstream: &mut U,
    transfer: &mut Transfer<'_>,
    answered: Answered,
) -> Result<(), Failure> {
    if exchange.notes.answered_micros == 0 {
        exchange.notes.answered_micros = worker.clock.now_micros();
    }
    if transfer.request_is_abandoned() {
        client.close_after();
    }
    match answered {
        Answered::Final { status, size, length } => {
            let status = ask_plugins(worker, client, exchange, status).await?;
            send_head(client, exchange, status, size, length);
            if size == BodySize::Empty {
                transfer.skip_answer();
                client.end(None);
            }
        }
        Answered::Interim(status) | Answered::Tunnel { status } => {
            send_head(client, exchange, status, BodySize::Empty, None);
            client.start_tunnel();
            transfer.start_tunnel();
        }
    }
    poll_fn(|cx| transfer.poll_bodies(cx, client, upstream)).await
}

/// What the plugins of the route make of the answer's head.
async fn ask_plugins<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    status: u16,
) -> Result<u16, Failure> {
    match exchange.plugins.clone() {
        None => Ok(status),
        // Apart, since few requests need it.
        Some(plugins) => Box::pin(plugins.on_response(worker, client, exchange, status)).await,
    }
}

fn send_head<C: Client>(client: &mut C, exchange: &mut Exchange, status: u16, size: BodySize, length: Option<u64>) {
    exchange.answer.status = status;
    if let Some(kept) = &exchange.kept {
        kept.keep(status, &exchange.answer.head);
    }
    let snapshot = exchange.snapshot.clone();
    pipeline_of(&snapshot, exchange).on_response(exchange);
    let Exchange { answer, answer_lines, .. } = exchange;
    for (name, value) in answer_lines.iter() {
        answer.head.add(name, value);
    }
    client.send_head(status, &exchange.answer.head, size, length);
}

/// Answers with what the gateway has to say itself; `exchange.answer.head` holds the fields.
pub async fn say<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    status: u16,
    body: &[u8],
) -> Result<(), Failure> {
    // What the gateway refuses is no answer of the route's.
    let status = match exchange.notes.code {
        None => ask_plugins(worker, client, exchange, status).await?,
        Some(_) => status,
    };
    let bodiless = exchange.request.method == crate::exchange::Method::Head || matches!(status, 204 | 304);
    let length = body.len() as u64;
    let mut text = Text { bytes: if bodiless { &[] } else { body } };
    if bodiless {
        let announced = (status != 204 && !body.is_empty()).then_some(length);
        send_head(client, exchange, status, BodySize::Empty, announced);
    } else {
        send_head(client, exchange, status, BodySize::Length(length), None);
    }
    alarm.set(worker.now().saturating_add(client.patience()));
    poll_fn(|cx| {
        let sent = poll_say(cx, client, &mut text);
        if sent.is_pending() && alarm.poll(cx).is_ready() {
            return Poll::Ready(Err(Failure::with(Code::ClientGone, "the client took no byte of the answer")));
        }
        sent
    })
    .await
}

fn poll_say<C: Client>(cx: &mut Context<'_>, client: &mut C, text: &mut Text<'_>) -> Poll<Result<(), Failure>> {
    while !text.bytes.is_empty() {
        std::task::ready!(client.poll_send(cx, text))?;
    }
    client.end(None);
    client.poll_flush(cx)
}

/// Turns a failure into its answer, or cuts an answer off that has begun.
async fn fail<C: Client>(
    worker: &Rc<Worker>,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    failure: Failure,
) {
    let code = failure.code;
    if code == Code::InternalError {
        tracing::error!(detail = failure.detail.as_deref(), "gateway failed");
    }
    exchange.notes.code = Some(code);
    exchange.notes.detail = failure.detail;
    // A service that breaks off right behind its head: the client need not hear of an answer that it will not get.
    if client.head_sent() {
        if !client.recall() {
            client.abort();
            return;
        }
        client.close_after();
    }
    if code == Code::ClientGone {
        exchange.answer.status = code.status();
        client.abort();
        return;
    }
    if matches!(code, Code::BodyTooLarge | Code::BadBody | Code::BodyTimeout) || exchange.request.expect_continue {
        client.close_after();
    }
    exchange.answer.protocol = None;
    let head = &mut exchange.answer.head;
    head.clear();
    head.add(b"content-type", b"application/problem+json");
    if let Some(allow) = &exchange.notes.allow {
        head.add(b"allow", allow.as_bytes());
    }
    if let Some(seconds) = exchange.notes.retry_after {
        head.add(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
    for (known, name, value) in exchange.refusal.iter() {
        head.add_known(known, name, value);
    }
    let mut body = std::mem::take(&mut exchange.scratch);
    body.clear();
    let status = match exchange.notes.told.take() {
        None => {
            write_problem(&mut body, code, &exchange.id);
            code.status()
        }
        Some(told) => {
            write_problem_with(&mut body, code, told.status, &exchange.id, &told.members);
            told.status
        }
    };
    if say(worker, client, exchange, alarm, status, &body).await.is_err() {
        client.abort();
    }
    exchange.scratch = body;
}

/// A body that is there already.
pub struct Text<'a> {
    bytes: &'a [u8],
}

impl<'a> Text<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl Source for Text<'_> {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        Poll::Ready(Ok(if self.bytes.is_empty() { Filled::End } else { Filled::Data }))
    }

    fn chunk(&self) -> &[u8] {
        self.bytes
    }

    fn consume(&mut self, count: usize) {
        self.bytes = &self.bytes[count.min(self.bytes.len())..];
    }

    fn is_last(&self) -> bool {
        true
    }

    fn trailers(&self) -> Option<&Head> {
        None
    }
}
