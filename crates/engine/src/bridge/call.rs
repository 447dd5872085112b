//! One call of user code to a service: what both sides share of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::bridge::pipe::{Pipe, wait};
use crate::bridge::{Event, Job, Read, Ring, Sent, next_number};
use crate::head::Head;
use crate::respond::Failure;
use crate::sides::Filled;

/// Bytes of a body that wait for whoever takes them, each way.
const CREDIT: usize = 256 * 1024;

/// What is asked of which service.
#[derive(Debug, Default)]
pub struct CallRequest {
    pub service: Box<str>,
    pub method: Box<[u8]>,
    /// Path and query, without the service's base path; see [`target`](crate::bridge::target).
    pub target: Vec<u8>,
    /// Fields of the call's own; they stand in the place of those that go along with every call.
    pub head: Head,
    /// Names of the client's headers that go along, in lower case.
    pub forward: Vec<Box<[u8]>>,
    pub body: CallBody,
    /// From now on; what is left to the exchange holds as well.
    pub timeout_ms: Option<u64>,
    /// The longest answer that is collected.
    pub most_bytes: usize,
    /// The answer is taken in pieces, instead of being collected.
    pub streams: bool,
}

#[derive(Debug)]
pub enum CallBody {
    Whole(Bytes),
    /// It comes by [`Call::send`].
    Streamed,
}

impl Default for CallBody {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

#[derive(Debug)]
pub struct CallAnswer {
    pub status: u16,
    /// End-to-end fields only.
    pub head: Head,
    /// Of a streamed answer: nothing; it comes by [`Call::read`].
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum CallFailure {
    Failed(Failure),
    /// The document has these.
    UnknownService(Vec<Box<str>>),
    /// The exchange is over, or its worker.
    Gone,
}

pub struct Call {
    /// Unique in the process, among jobs too.
    pub number: u64,
    pub job: Arc<Job>,
    pub request: CallRequest,
    state: Mutex<State>,
    /// Signalled at every event, for those who block a thread.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<CallAnswer, CallFailure>>,
    /// The outcome is there, or was.
    settled: bool,
    /// Somebody is to be told of it.
    awaited: bool,
    /// Nobody wants anything of it any more.
    cancelled: bool,
    body: Pipe,
    answer: Pipe,
    reader_waits: bool,
    sender_waits: bool,
    /// The worker's task, while it waits.
    worker: Option<Waker>,
    task: Option<AbortHandle>,
}

impl Call {
    /// Hands a call over to the worker that has the exchange.
    pub fn begin(job: &Arc<Job>, request: CallRequest) -> Arc<Self> {
        let call = Arc::new(Self {
            number: next_number(),
            job: job.clone(),
            request,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        job.mailbox.order(call.clone());
        call
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock is held for moves of a few words only; nothing under it can panic half way.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wake_worker(&self, mut state: MutexGuard<'_, State>) {
        let worker = state.worker.take();
        drop(state);
        if let Some(worker) = worker {
            self.job.mailbox.wake(worker);
        }
    }

    fn tell(&self, event: Event) {
        self.changed.notify_all();
        if self.job.bridge.notify(self.number, event) == Ring::Later {
            self.job.mailbox.ring_later(&self.job.bridge);
        }
    }

    // ---- the worker's side

    /// The task that carries it out; false: nobody wants it any more.
    pub(super) fn carried_by(&self, task: AbortHandle) -> bool {
        let mut state = self.state();
        let wanted = !state.cancelled;
        if wanted {
            state.task = Some(task);
        }
        wanted
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// The answer, or the head of one that is streamed. Later ones are ignored.
    pub(super) fn settle(&self, outcome: Result<CallAnswer, CallFailure>) {
        let mut state = self.state();
        if state.settled {
            return;
        }
        state.settled = true;
        state.outcome = Some(outcome);
        let tell = state.awaited && !state.cancelled;
        drop(state);
        if tell {
            self.tell(Event::Answered);
        } else {
            self.changed.notify_all();
        }
    }

    /// Nothing will come of it any more: the exchange is over, or its worker.
    pub fn give_up(&self) {
        self.settle(Err(CallFailure::Gone));
        let mut state = self.state();
        if !state.answer.ended && state.answer.failure.is_none() {
            state.answer.failure = Some(crate::respond::Code::Stopped.into());
        }
        let task = state.task.take();
        let waits = std::mem::take(&mut state.reader_waits) | std::mem::take(&mut state.sender_waits);
        drop(state);
        if let Some(task) = task {
            task.abort();
        }
        if waits {
            self.tell(Event::Readable);
            self.tell(Event::Writable);
        }
    }

    /// The next piece of a streamed request body, which is put into `chunk`.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<Result<Filled, Failure>> {
        let mut state = self.state();
        let State { body, worker, sender_waits, .. } = &mut *state;
        let polled = body.poll_next(cx, worker, chunk);
        let took = matches!(polled, Poll::Ready(Ok(Filled::Data)));
        let room = took && body.bytes <= CREDIT / 2 && std::mem::take(sender_waits);
        drop(state);
        if room {
            self.tell(Event::Writable);
        }
        polled
    }

    /// Ready when more of the answer may be pushed.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.answer.bytes < CREDIT {
            return Poll::Ready(());
        }
        wait(&mut state.worker, cx);
        Poll::Pending
    }

    pub(super) fn push(&self, chunk: Bytes) {
        let mut state = self.state();
        state.answer.push(chunk);
        let waits = std::mem::take(&mut state.reader_waits);
        drop(state);
        if waits {
            self.tell(Event::Readable);
        }
    }

    /// The streamed answer is over.
    pub(super) fn end_answer(&self, ended: Result<(), Failure>) {
        let mut state = self.state();
        match ended {
            Ok(()) => state.answer.ended = true,
            Err(failure) => state.answer.failure = Some(failure),
        }
        let reader = std::mem::take(&mut state.reader_waits);
        let sender = std::mem::take(&mut state.sender_waits);
        drop(state);
        if reader {
            self.tell(Event::Readable);
        }
        if sender {
            self.tell(Event::Writable);
        }
    }

    // ---- the side of user code

    pub fn is_settled(&self) -> bool {
        self.state().settled
    }

    /// What came of it; once.
    pub fn take(&self) -> Option<Result<CallAnswer, CallFailure>> {
        self.state().outcome.take()
    }

    /// Asks for [`Event::Answered`]; true: it is settled already, and no event follows.
    pub fn wants_event(&self) -> bool {
        let mut state = self.state();
        state.awaited = true;
        state.settled
    }

    /// Blocks the thread until the call is settled.
    pub fn block(&self) {
        self.block_while(|state| !state.settled);
    }

    /// Nobody wants anything of it any more: the request is cancelled.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        state.outcome = None;
        state.answer.clear();
        state.body.clear();
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.abort();
        }
    }

    /// The next piece of a streamed answer, without waiting for it; [`Event::Readable`] follows a `Wait`.
    pub fn read(&self) -> Result<Read, Failure> {
        let mut state = self.state();
        if let Some(chunk) = state.answer.pop() {
            if state.answer.bytes < CREDIT {
                self.wake_worker(state);
            }
            return Ok(Read::Chunk(chunk));
        }
        if let Some(failure) = &state.answer.failure {
            return Err(failure.clone());
        }
        if state.answer.ended {
            return Ok(Read::End);
        }
        if state.cancelled {
            return Ok(Read::Gone);
        }
        state.reader_waits = true;
        Ok(Read::Wait)
    }

    /// A piece of a streamed request body.
    pub fn send(&self, chunk: Bytes) -> Sent {
        let mut state = self.state();
        if state.cancelled || state.answer.failure.is_some() || state.answer.ended {
            return Sent::Gone;
        }
        if chunk.is_empty() {
            return Sent::More;
        }
        state.body.push(chunk);
        let full = state.body.bytes >= CREDIT;
        state.sender_waits = full;
        self.wake_worker(state);
        if full { Sent::Full } else { Sent::More }
    }

    /// Ends a streamed request body; `Err`: it will not be completed, and the service must be able to see that.
    pub fn end_body(&self, ended: Result<(), Failure>) {
        let mut state = self.state();
        match ended {
            Ok(()) => state.body.ended = true,
            Err(failure) => state.body.failure = Some(failure),
        }
        self.wake_worker(state);
    }

    fn block_while(&self, condition: impl Fn(&State) -> bool) {
        let mut state = self.state();
        while condition(&state) {
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}
