//! Plugins: Python of the user's before a request goes on, before its answer leaves, and when all is over.
//!
//! A hook is a job of the bridge, as a handler's is; only what has one pays for it. A hook that fails refuses the request, unless
//! the document says `on_error: open`.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use crate::bridge::calls::Desk;
use crate::bridge::{AnswerHead, Changes, Given, Job, JobRequest, Mailbox, next_number};
use crate::exchange::Exchange;
use crate::identity::Line;
use crate::pipeline::{Flow, Reply, Resume};
use crate::plan;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled};
use crate::snapshot::Pinned;
use crate::upstream::call::{self, unless_gone};
use crate::upstream::deadline::Deadline;
use crate::worker::Worker;

/// The plugins of a route, in their order.
pub struct Plugins {
    list: Box<[Plugin]>,
    /// Some have more than `on_request`.
    stay: bool,
}

struct Plugin {
    name: Box<str>,
    on_request: Option<u32>,
    on_response: Option<u32>,
    on_complete: Option<u32>,
    fail_open: bool,
    timeout_ms: u64,
}

/// What a hook wants.
enum Wish {
    GoOn(Changes),
    Answer(Box<Reply>),
}

impl Plugins {
    pub fn compile(plan: &[plan::Plugin]) -> Self {
        let number = |callback: &Option<plan::Callback>| callback.as_ref().map(|callback| callback.handler.id);
        let plugin = |plan: &plan::Plugin| Plugin {
            name: plan.name.as_str().into(),
            on_request: number(&plan.on_request),
            on_response: number(&plan.on_response),
            on_complete: number(&plan.on_complete),
            fail_open: plan.fail_open,
            timeout_ms: plan.timeout_ms,
        };
        let stays = |plan: &plan::Plugin| plan.on_response.is_some() || plan.on_complete.is_some();
        Self { list: plan.iter().map(plugin).collect(), stay: plan.iter().any(stays) }
    }

    pub fn on_request(self: &Arc<Self>, exchange: &mut Exchange) -> Flow {
        if self.stay {
            exchange.plugins = Some(self.clone());
        }
        self.ask_from(0, exchange)
    }

    fn ask_from(self: &Arc<Self>, from: usize, exchange: &mut Exchange) -> Flow {
        let asked = self.list.iter().enumerate().skip(from);
        let Some((index, hook)) = asked.filter_map(|(index, plugin)| Some((index, plugin.on_request?))).next() else {
            return Flow::Continue;
        };
        let errand = Errand::of(exchange, hook, self.list[index].timeout_ms, None);
        let plugins = self.clone();
        Flow::Wait(Box::new(move |worker: Rc<Worker>| {
            Box::pin(async move {
                let ended = errand.run(&worker).await;
                Box::new(move |_: &_, exchange: &mut Exchange| plugins.asked(index, ended, exchange)) as Resume
            })
        }))
    }

    fn asked(self: &Arc<Self>, index: usize, ended: Result<Wish, Failure>, exchange: &mut Exchange) -> Flow {
        match ended {
            Ok(Wish::GoOn(changes)) => changes.apply(&mut exchange.request.head),
            Ok(Wish::Answer(reply)) => return Flow::Answer(reply),
            Err(failure) => {
                if let Err(failure) = self.list[index].excuse(failure) {
                    return Flow::Respond(failure);
                }
            }
        }
        self.ask_from(index + 1, exchange)
    }

    /// Asks about the head of the answer; its status comes back, changed or not.
    pub async fn on_response<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        mut status: u16,
    ) -> Result<u16, Failure> {
        for plugin in &self.list {
            let Some(hook) = plugin.on_response else { continue };
            let given = Given { status, head: exchange.answer.head.clone(), ..Given::default() };
            let errand = Errand::of(exchange, hook, plugin.timeout_ms, Some(given));
            let ended = unless_gone(client, async { Ok(errand.run(worker).await) }).await?;
            match ended {
                Ok(Wish::GoOn(changes)) => {
                    changes.apply(&mut exchange.answer.head);
                    status = changes.status.unwrap_or(status);
                }
                Ok(Wish::Answer(_)) => plugin.excuse(Failure::with(Code::HandlerFailed, "an answer in on_response"))?,
                Err(failure) => plugin.excuse(failure)?,
            }
        }
        Ok(status)
    }

    /// Tells of the end of an exchange; nobody waits for it.
    pub fn on_complete(&self, worker: &Worker, exchange: &mut Exchange) {
        let Some(bridge) = &worker.bridge else { return };
        for hook in self.list.iter().filter_map(|plugin| plugin.on_complete) {
            let given = Given {
                status: exchange.answer.status,
                head: exchange.answer.head.clone(),
                duration_micros: worker.clock.now_micros().saturating_sub(exchange.started_micros),
                code: exchange.notes.code,
            };
            let job = Job::new(next_number(), hook, bodiless(exchange, Some(given)), Mailbox::here(), bridge.clone());
            if Arc::new(job).submit().is_err() {
                tracing::warn!("too many hooks wait: on_complete was left out");
            }
        }
    }
}

impl Plugin {
    /// Whether an error of its hook is one of the request's: `Err`, unless it fails open.
    fn excuse(&self, failure: Failure) -> Result<(), Failure> {
        if !self.fail_open {
            return Err(failure);
        }
        tracing::warn!(
            plugin = &*self.name,
            reason = failure.code.word(),
            detail = failure.detail.as_deref(),
            "plugin failed"
        );
        Ok(())
    }
}

/// The request as a hook sees it: its head.
fn bodiless(exchange: &mut Exchange, given: Option<Given>) -> JobRequest {
    let request = JobRequest::of(exchange);
    JobRequest { body: BodySize::Empty, expect_continue: false, given: given.map(Box::new), ..request }
}

/// One hook, about to be called.
struct Errand {
    hook: u32,
    timeout_ms: u64,
    request: JobRequest,
    snapshot: Pinned,
    route: Option<usize>,
    deadline: Deadline,
}

impl Errand {
    fn of(exchange: &mut Exchange, hook: u32, timeout_ms: u64, given: Option<Given>) -> Self {
        let timeout = exchange.route().and_then(|route| route.timeout_ms);
        Self {
            hook,
            timeout_ms,
            snapshot: exchange.snapshot.clone(),
            route: exchange.route,
            deadline: Deadline::at(call::deadline(exchange.started_micros / 1000, timeout)),
            request: bodiless(exchange, given),
        }
    }

    async fn run(self, worker: &Rc<Worker>) -> Result<Wish, Failure> {
        let Some(bridge) = &worker.bridge else {
            return Err(Failure::with(Code::HandlerFailed, "this engine was started without a way to run plugins"));
        };
        let until = worker.now().saturating_add(self.timeout_ms);
        let job = Arc::new(Job::new(next_number(), self.hook, self.request, Mailbox::here(), bridge.clone()));
        let _desk = Desk::open(worker, &self.snapshot, self.route, self.deadline, &job);
        let running = Running(job);
        running.0.submit().map_err(|_| Failure::from(Code::HandlerOverloaded))?;
        let alarm = worker.wheel.alarm();
        alarm.set(until);
        poll_fn(|cx| match running.poll(cx) {
            Poll::Pending => alarm.poll(cx).map(|()| Err(Failure::with(Code::HandlerFailed, "the hook took too long"))),
            ended => ended,
        })
        .await
    }
}

/// A hook at work; dropping it cancels it.
struct Running(Arc<Job>);

impl Running {
    fn poll(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<Wish, Failure>> {
        let head = match std::task::ready!(self.0.poll_head(cx))? {
            Some(head) => head,
            // It asks for a body, which hooks do not have.
            None => return Poll::Ready(Err(Failure::with(Code::HandlerFailed, "a hook has no body to read"))),
        };
        let AnswerHead { status, head, length, changes, .. } = head;
        if let Some(changes) = changes {
            return Poll::Ready(Ok(Wish::GoOn(*changes)));
        }
        if length.is_none() {
            return Poll::Ready(Err(Failure::with(Code::HandlerFailed, "a hook answers at once, not in pieces")));
        }
        let mut body = Bytes::new();
        if let Poll::Ready(Ok(Filled::End)) | Poll::Pending = self.0.poll_chunk(cx, &mut body) {
            body = Bytes::new();
        }
        let line = |(_, name, value): (_, &[u8], &[u8])| -> Line { (name.into(), value.into()) };
        let fields = head.iter().map(line).collect();
        Poll::Ready(Ok(Wish::Answer(Box::new(Reply { status, fields, body }))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
