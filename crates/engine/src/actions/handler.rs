//! Answers with a function of the user's, through the bridge.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::bridge::calls::{Desk, Opened};
use crate::bridge::{AnswerHead, Bridge, Job, JobRequest, Mailbox, next_number};
use crate::clock::NEVER;
use crate::exchange::{Connection, Exchange, Method, Protocol, Request, Told, Upgrade};
use crate::head::Head;
use crate::http2::websocket;
use crate::plan;
use crate::respond::{Code, Failure};
use crate::serve::deliver;
use crate::sides::{Answered, BodySize, Client, Filled, Sink, Source, Upstream};
use crate::snapshot::{Pinned, Snapshot};
use crate::transfer::{Begin, Patience, Transfer};
use crate::upstream::call::{self, Asked, Caller};
use crate::upstream::deadline::Deadline;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// A function of the user's, by its number.
pub struct Handler {
    id: u32,
}

impl Handler {
    pub fn compile(plan: &plan::Handler) -> Self {
        Self { id: plan.id }
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        self.run_below(0, worker, client, exchange, alarm).await
    }

    /// As `run`; so many bytes of the path are where the handler begins.
    pub async fn run_below<C: Client>(
        &self,
        root: usize,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let Some(bridge) = &worker.bridge else {
            return Err(Failure::with(Code::HandlerFailed, "this engine was started without a way to run handlers"));
        };
        let timeout = exchange.route().and_then(|route| route.timeout_ms);
        let deadline = Deadline::at(call::deadline(exchange.started_micros / 1000, timeout));
        let patience = Patience {
            read: NEVER,
            write: NEVER,
            client: client.patience(),
            deadline,
            first_byte: NEVER,
            attempt: NEVER,
            began: 0,
        };
        let request = JobRequest { root, secure: exchange.secure, ..JobRequest::of(exchange) };
        let begin = match exchange.request.body {
            BodySize::Empty if request.websocket => Begin::AwaitSwitch,
            BodySize::Empty => Begin::Nothing,
            _ if exchange.request.expect_continue => Begin::AwaitHandler,
            _ => Begin::Send,
        };
        let (snapshot, route) = (exchange.snapshot.clone(), exchange.route);
        let place = Place { worker, bridge, snapshot: &snapshot, route, deadline };
        let mut upstream = HandlerUpstream::new(self.id, request, &place);
        let mut transfer = Transfer::new(&worker.clock, alarm, patience, worker.now(), begin);
        let head = &mut exchange.answer.head;
        let answered = poll_fn(|cx| transfer.poll_until_answer(cx, client, &mut upstream, head)).await;
        let answered = answered.inspect_err(|failure| {
            exchange.notes.told =
                upstream.job.take_members().map(|members| Box::new(Told { status: failure.code.status(), members }));
        })?;
        deliver(worker, client, exchange, &mut upstream, &mut transfer, answered).await
    }
}

/// Where a handler works, and until when.
pub struct Place<'a> {
    pub worker: &'a Rc<Worker>,
    pub bridge: &'a Arc<dyn Bridge>,
    pub snapshot: &'a Pinned,
    pub route: Option<usize>,
    pub deadline: Deadline,
}

/// A handler at work on one exchange, as an upstream. Dropping it cancels the handler, and the calls that it makes.
pub struct HandlerUpstream {
    job: Arc<Job>,
    /// Where its calls are made.
    _desk: Opened,
    /// The job goes out with the first piece of its body where that came with the head: most handlers then never wait.
    submitted: bool,
    chunk: Bytes,
    /// The answer has no body, whatever the handler gives.
    bodiless: bool,
    ended: bool,
}

impl HandlerUpstream {
    pub fn new(handler: u32, request: JobRequest, place: &Place<'_>) -> Self {
        let Place { worker, bridge, snapshot, route, deadline } = *place;
        let job = Arc::new(Job::new(next_number(), handler, request, Mailbox::here(), bridge.clone()));
        Self {
            _desk: Desk::open(worker, snapshot, route, deadline, &job),
            job,
            submitted: false,
            chunk: Bytes::new(),
            bodiless: false,
            ended: false,
        }
    }

    fn submit(&mut self) -> Result<(), Failure> {
        if !self.submitted {
            self.job.submit().map_err(|_| Failure::from(Code::HandlerOverloaded))?;
            self.submitted = true;
        }
        Ok(())
    }

    fn begin(&mut self, answer: AnswerHead, head: &mut Head) -> Answered {
        let AnswerHead { status, head: fields, length, switches, .. } = answer;
        *head = fields;
        if switches {
            return self.job.request.switched(head);
        }
        let asked_for_head = &*self.job.request.method == b"HEAD";
        self.bodiless = asked_for_head || matches!(status, 204 | 304);
        let (size, length) = match length {
            _ if self.bodiless => (BodySize::Empty, length.filter(|_| asked_for_head)),
            Some(length) => (BodySize::Length(length), None),
            None => (BodySize::Unknown, None),
        };
        Answered::Final { status, size, length }
    }
}

impl JobRequest {
    /// The request of an exchange, once its policies have run.
    pub fn of(exchange: &mut Exchange) -> Self {
        let Asked { snapshot, request, caller, .. } = Asked::by(exchange);
        let caller = caller.expect("an exchange has a caller");
        Self::new(request, snapshot, &caller)
    }

    pub fn new(request: &Request, snapshot: &Snapshot, caller: &Caller<'_>) -> Self {
        let Connection { peer, local, .. } = *caller.connection;
        let captures = caller.captures.iter(&snapshot.router, &request.path);
        Self {
            method: request.method_name().into(),
            path: request.path.as_slice().into(),
            query: request.query().map(Into::into),
            authority: request.authority().into(),
            head: request.head.clone(),
            captures: captures.map(|(name, value)| (name.into(), value.into())).collect(),
            client_ip: Some(caller.client_ip),
            peer_port: if peer.ip() == caller.client_ip { peer.port() } else { 0 },
            local: Some(local),
            tls: caller.connection.tls,
            secure: caller.connection.tls,
            version: request.protocol.version(),
            id: caller.id.into(),
            route: caller.route.map(|index| snapshot.routes[index].name.clone()).unwrap_or_default(),
            body: request.body,
            expect_continue: request.expect_continue,
            instead_of: None,
            given: None,
            root: 0,
            websocket: asks_for_websocket(request),
        }
    }

    /// The client's side of the switch: over HTTP/1.1 with the proof that its key was read (RFC 6455 section 4.2.2), over
    /// HTTP/2 without (RFC 8441 section 5).
    fn switched(&self, head: &mut Head) -> Answered {
        if self.version == Protocol::Http2.version() {
            return Answered::Tunnel { status: 200 };
        }
        head.set(b"upgrade", b"websocket");
        if let Some(key) = self.head.get(b"sec-websocket-key") {
            head.set(b"sec-websocket-accept", &websocket::accept(key));
        }
        Answered::Tunnel { status: 101 }
    }
}

fn asks_for_websocket(request: &Request) -> bool {
    match request.upgrade {
        Upgrade::None => false,
        Upgrade::Http1 => {
            request.method == Method::Get
                && request.head.get(b"upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        }
        Upgrade::Connect(protocol) => protocol.of(request.head.bytes()).eq_ignore_ascii_case(b"websocket"),
    }
}

impl Upstream for HandlerUpstream {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Answered, Failure>> {
        self.submit()?;
        Poll::Ready(Ok(match ready!(self.job.poll_head(cx))? {
            Some(answer) => self.begin(answer, head),
            None => {
                head.clear();
                Answered::Interim(100)
            }
        }))
    }

    fn is_stale(&self) -> bool {
        false
    }
}

impl Source for HandlerUpstream {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        if self.bodiless || self.ended {
            return Poll::Ready(Ok(Filled::End));
        }
        if self.chunk.is_empty() {
            let filled = ready!(self.job.poll_chunk(cx, &mut self.chunk))?;
            self.ended = filled == Filled::End;
            return Poll::Ready(Ok(filled));
        }
        Poll::Ready(Ok(Filled::Data))
    }

    fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    fn consume(&mut self, count: usize) {
        let _ = self.chunk.split_to(count);
    }

    fn take(&mut self, most: usize) -> Bytes {
        self.chunk.split_to(most.min(self.chunk.len()))
    }

    fn is_last(&self) -> bool {
        self.job.answer_is_over()
    }

    fn trailers(&self) -> Option<&Head> {
        None
    }
}

impl Sink for HandlerUpstream {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        if self.job.poll_body_room(cx).is_pending() {
            self.submit()?;
            return Poll::Pending;
        }
        self.job.push_body(source.take(usize::MAX));
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, _trailers: Option<&Head>) {
        self.job.end_body();
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(self.submit())
    }
}

impl Drop for HandlerUpstream {
    fn drop(&mut self) {
        if self.submitted {
            self.job.abandon();
        }
    }
}
