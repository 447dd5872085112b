//! One request on its way through a handler.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::bridge::pipe::{Pipe, wait};
use crate::bridge::{Bridge, Event, Mailbox, Overloaded, Ring};
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Filled};

/// Bytes of a request body that wait for the handler before the client is held back.
const BODY_CREDIT: usize = 256 * 1024;
/// Bytes of a streamed answer that wait for the client before the handler is held back.
const ANSWER_CREDIT: usize = 256 * 1024;

/// The request as the handler sees it: a copy, as the exchange stays with the worker.
#[derive(Debug, Default)]
pub struct JobRequest {
    pub method: Box<[u8]>,
    /// The normal form.
    pub path: Box<[u8]>,
    pub query: Option<Box<[u8]>>,
    /// As sent.
    pub authority: Box<[u8]>,
    pub head: Head,
    /// Names and values (still percent-encoded) that the route took from the path.
    pub captures: Vec<(Box<str>, Box<[u8]>)>,
    pub client_ip: Option<IpAddr>,
    /// 0 where the client is behind a proxy.
    pub peer_port: u16,
    /// Where the connection was accepted.
    pub local: Option<SocketAddr>,
    pub tls: bool,
    /// The client came by TLS, to us or to the trusted proxy in front of us.
    pub secure: bool,
    /// As in `Via`: `1.1`, `2`.
    pub version: &'static str,
    pub id: Box<[u8]>,
    pub route: Box<str>,
    /// `Empty`: there is no body, so its end is known at once.
    pub body: BodySize,
    /// The client waits for a 100 before it sends the body.
    pub expect_continue: bool,
    /// As a fallback: what happened to the call.
    pub instead_of: Option<&'static str>,
    /// For a plugin: the answer, as far as it has come.
    pub given: Option<Box<Given>>,
    /// How much of the path is where an application begins.
    pub root: usize,
    /// It asks to switch to WebSocket.
    pub websocket: bool,
}

/// The answer that a plugin is asked about.
#[derive(Debug, Default)]
pub struct Given {
    pub status: u16,
    pub head: Head,
    /// At the end of the exchange: how long it took.
    pub duration_micros: u64,
    /// At the end of the exchange: why it is none of the service's.
    pub code: Option<Code>,
}

/// What a plugin wants changed before the exchange goes on.
#[derive(Debug, Default)]
pub struct Changes {
    pub status: Option<u16>,
    pub fields: Vec<Change>,
}

/// One change of a head; names are in lower case.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    Set(Box<[u8]>, Box<[u8]>),
    Add(Box<[u8]>, Box<[u8]>),
    Remove(Box<[u8]>),
}

impl Changes {
    /// Makes the changes of fields.
    pub fn apply(&self, head: &mut Head) {
        for change in &self.fields {
            match change {
                Change::Set(name, value) => head.set(name, value),
                Change::Add(name, value) => head.add(name, value),
                Change::Remove(name) => head.remove(name),
            }
        }
    }
}

/// The head of a handler's answer.
#[derive(Debug, Default)]
pub struct AnswerHead {
    pub status: u16,
    pub head: Head,
    /// `None`: streamed.
    pub length: Option<u64>,
    /// It is no answer: the exchange goes on.
    pub changes: Option<Box<Changes>>,
    /// From here on both bodies are raw bytes of the protocol that was asked for.
    pub switches: bool,
}

/// What [`Job::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Chunk(Bytes),
    End,
    /// Nothing yet; [`Event::Readable`] follows.
    Wait,
    /// The body will not be completed.
    Gone,
}

/// What became of a piece that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    More,
    /// It was taken, but the next should wait for [`Event::Writable`].
    Full,
    Gone,
}

pub struct Job {
    /// Unique in the process, so that events find their job.
    pub number: u64,
    pub handler: u32,
    pub request: JobRequest,
    state: Mutex<State>,
    /// Signalled at every event, for handlers that block a thread.
    changed: Condvar,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) bridge: Arc<dyn Bridge>,
}

#[derive(Default)]
struct State {
    body: Pipe,
    answer: Pipe,
    head: Option<AnswerHead>,
    /// For the problem document of a refusal.
    members: Option<Box<[u8]>>,
    /// The handler asked for a body that a 100 must invite first.
    invite: bool,
    /// The handler will not read on.
    deaf: bool,
    /// The worker dropped its side.
    gone: bool,
    /// The handler is done: its answer is complete or it failed.
    done: bool,
    /// The worker's task, while it waits.
    worker: Option<Waker>,
    reader_waits: bool,
    sender_waits: bool,
}

impl Job {
    pub fn new(number: u64, handler: u32, request: JobRequest, mailbox: Arc<Mailbox>, bridge: Arc<dyn Bridge>) -> Self {
        let mut state = State::default();
        state.body.ended = request.body == BodySize::Empty;
        Self { number, handler, request, state: Mutex::new(state), changed: Condvar::new(), mailbox, bridge }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock is held for moves of a few words only; nothing under it can panic half way.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wake_worker(&self, mut state: MutexGuard<'_, State>) {
        let worker = state.worker.take();
        drop(state);
        if let Some(worker) = worker {
            self.mailbox.wake(worker);
        }
    }

    fn tell_handler(&self, event: Event) {
        self.changed.notify_all();
        let ring = self.bridge.notify(self.number, event);
        self.ring(ring);
    }

    fn ring(&self, ring: Ring) {
        if ring == Ring::Later {
            self.mailbox.ring_later(&self.bridge);
        }
    }

    // ---- the worker's side

    pub fn submit(self: &Arc<Self>) -> Result<(), Overloaded> {
        let ring = self.bridge.submit(self.clone())?;
        self.ring(ring);
        Ok(())
    }

    /// Ready when the body may grow. A body that nobody will read is always ready, and thrown away by [`Job::push_body`].
    pub fn poll_body_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.body.bytes < BODY_CREDIT || state.deaf {
            return Poll::Ready(());
        }
        wait(&mut state.worker, cx);
        Poll::Pending
    }

    pub fn push_body(self: &Arc<Self>, chunk: Bytes) {
        let mut state = self.state();
        if state.deaf {
            return;
        }
        state.body.push(chunk);
        let waits = std::mem::take(&mut state.reader_waits);
        drop(state);
        if waits {
            self.tell_handler(Event::Readable);
        }
    }

    pub fn end_body(self: &Arc<Self>) {
        let mut state = self.state();
        state.body.ended = true;
        let waits = std::mem::take(&mut state.reader_waits);
        drop(state);
        if waits {
            self.tell_handler(Event::Readable);
        }
    }

    /// The head of the answer, or `None` for a 100 that invites the body.
    pub fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<Option<AnswerHead>, Failure>> {
        let mut state = self.state();
        if let Some(head) = state.head.take() {
            return Poll::Ready(Ok(Some(head)));
        }
        if let Some(failure) = state.answer.failure.take() {
            return Poll::Ready(Err(failure));
        }
        if std::mem::take(&mut state.invite) {
            return Poll::Ready(Ok(None));
        }
        wait(&mut state.worker, cx);
        Poll::Pending
    }

    /// What a refusal says beside the usual.
    pub fn take_members(&self) -> Option<Box<[u8]>> {
        self.state().members.take()
    }

    /// Puts the next piece of the answer into `chunk`, which is empty.
    pub fn poll_chunk(self: &Arc<Self>, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<Result<Filled, Failure>> {
        let mut state = self.state();
        let State { answer, worker, sender_waits, .. } = &mut *state;
        let polled = answer.poll_next(cx, worker, chunk);
        let took = matches!(polled, Poll::Ready(Ok(Filled::Data)));
        let room = took && answer.bytes <= ANSWER_CREDIT / 2 && std::mem::take(sender_waits);
        drop(state);
        if room {
            self.tell_handler(Event::Writable);
        }
        polled
    }

    /// True when nothing follows the piece that was taken last.
    pub fn answer_is_over(&self) -> bool {
        let state = self.state();
        state.answer.ended && state.answer.chunks.is_empty()
    }

    /// The worker leaves; a handler that still runs is told.
    pub fn abandon(self: &Arc<Self>) {
        let mut state = self.state();
        state.gone = true;
        state.worker = None;
        // What is lost can no longer be read to its end.
        state.body.ended = false;
        state.body.clear();
        state.answer.clear();
        let done = state.done;
        drop(state);
        if !done {
            self.tell_handler(Event::Gone);
        }
    }

    // ---- the handler's side

    pub fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// The next piece of the request body, without waiting for it.
    pub fn read(&self) -> Read {
        let mut state = self.state();
        if let Some(chunk) = state.body.pop() {
            if state.body.bytes < BODY_CREDIT {
                self.wake_worker(state);
            }
            return Read::Chunk(chunk);
        }
        if state.body.ended {
            return Read::End;
        }
        if state.gone {
            return Read::Gone;
        }
        state.reader_waits = true;
        if self.request.expect_continue && state.head.is_none() {
            state.invite = true;
            self.wake_worker(state);
        }
        Read::Wait
    }

    /// The whole body in one piece, when all of it is there; the usual case for small ones.
    pub fn take_body(&self) -> Option<Bytes> {
        let mut state = self.state();
        if !state.body.ended {
            return None;
        }
        if state.body.chunks.len() < 2 {
            return Some(state.body.pop().unwrap_or_default());
        }
        let mut whole = Vec::with_capacity(state.body.bytes);
        while let Some(chunk) = state.body.pop() {
            whole.extend_from_slice(&chunk);
        }
        Some(whole.into())
    }

    /// As [`Job::read`], but blocks the thread instead of returning `Wait`.
    pub fn read_blocking(&self) -> Read {
        loop {
            match self.read() {
                Read::Wait => self.block_while(|state| state.reader_waits && !state.gone),
                found => return found,
            }
        }
    }

    /// The whole answer at once. `false`: nobody wants it any more.
    pub fn answer(&self, head: AnswerHead, body: Bytes) -> bool {
        let mut state = self.state();
        if state.gone || state.done {
            return false;
        }
        if !body.is_empty() {
            state.answer.push(body);
        }
        state.answer.ended = true;
        state.head = Some(head);
        state.finish();
        self.wake_worker(state);
        true
    }

    /// The head of a streamed answer.
    pub fn start(&self, head: AnswerHead) -> bool {
        let mut state = self.state();
        if state.gone || state.done {
            return false;
        }
        state.body.ended &= !head.switches;
        state.head = Some(head);
        self.wake_worker(state);
        true
    }

    pub fn send(&self, chunk: Bytes) -> Sent {
        let mut state = self.state();
        if state.gone || state.done {
            return Sent::Gone;
        }
        if chunk.is_empty() {
            return Sent::More;
        }
        state.answer.push(chunk);
        let full = state.answer.bytes >= ANSWER_CREDIT;
        state.sender_waits = full;
        self.wake_worker(state);
        if full { Sent::Full } else { Sent::More }
    }

    /// As [`Job::send`], but blocks the thread instead of returning `Full`.
    pub fn send_blocking(&self, chunk: Bytes) -> Sent {
        match self.send(chunk) {
            Sent::Full => {
                self.block_while(|state| state.sender_waits && !state.gone);
                if self.is_gone() { Sent::Gone } else { Sent::More }
            }
            sent => sent,
        }
    }

    /// Ends a streamed answer.
    pub fn end(&self) {
        let mut state = self.state();
        state.answer.ended = true;
        state.finish();
        self.wake_worker(state);
    }

    /// The handler failed; what was sent already is cut off so that the client can see it. `detail` is for the log.
    pub fn fail(&self, code: Code, detail: &str) {
        self.refuse(code, detail, None);
    }

    /// As [`Job::fail`], with members that the problem document has beside the usual ones; each has a comma before it.
    pub fn refuse(&self, code: Code, detail: &str, members: Option<Box<[u8]>>) {
        let mut state = self.state();
        if state.done {
            return;
        }
        state.members = members;
        state.answer.failure = Some(Failure::with(code, detail));
        state.finish();
        self.wake_worker(state);
    }

    fn block_while(&self, condition: impl Fn(&State) -> bool) {
        let mut state = self.state();
        while condition(&state) {
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl State {
    /// The handler will neither read nor send on.
    fn finish(&mut self) {
        self.done = true;
        self.deaf = true;
        self.body.clear();
    }
}
