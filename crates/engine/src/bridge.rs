//! The way to user code: what the engine asks of whoever runs it. The native crate answers with Python.
//!
//! A worker hands a [`Job`] over and never waits for it, and never takes the interpreter's lock. Everything the two sides
//! say to each other goes through the job: the request body in, the answer out, each with back-pressure. What the handler
//! may be waiting for is told through [`Bridge::notify`]; what the worker waits for is told by waking its task, by way of
//! the worker's [`Mailbox`], so that a worker which is busy is not called again and again.
//! A [`Call`] of a handler to a service goes the same ways: it is carried out on the worker that has the exchange.

mod call;
pub mod calls;
mod courier;
mod job;
mod mailbox;
mod pipe;
mod queue;
pub mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use call::{Call, CallAnswer, CallBody, CallFailure, CallRequest};
pub use job::{AnswerHead, Change, Changes, Given, Job, JobRequest, Read, Sent};
pub use mailbox::Mailbox;
pub use queue::{Drained, Queue};

/// A number that no other job or call of this process has.
pub fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Runs handlers. Called on a worker, so it must neither block nor take the interpreter's lock.
pub trait Bridge: Send + Sync {
    /// Takes a job in, or gives it back when too many wait already.
    fn submit(&self, job: Arc<Job>) -> Result<Ring, Overloaded>;

    /// Tells a handler about something that it waits for; `number` is that of its job, or of a call that it makes.
    fn notify(&self, number: u64, event: Event) -> Ring;

    /// Wakes the loop that sleeps; after a [`Ring::Later`].
    fn ring(&self);
}

/// Whether somebody sleeps who must be woken by [`Bridge::ring`], as soon as the caller has nothing more to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Ring {
    No,
    Later,
}

/// As many jobs wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded;

/// What a handler can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// More of the request body is there, or its end.
    Readable = 0,
    /// The client took enough of a streamed answer for more to be sent.
    Writable = 1,
    /// Nobody wants the answer any more: the client left, or the route's time is over.
    Gone = 2,
    /// A call came to its answer, or to nothing.
    Answered = 3,
}
