//! The tasks that serve streams, kept for the streams to come.
//!
//! The future of an exchange is some kilobytes. Making it, moving it into a task and out again for each stream cost more than
//! an eighth of the processor time of a small request; a task that lives on makes it in place.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::clock::NEVER;
use crate::exchange::Exchange;
use crate::listener::http2::OpenStream;
use crate::listener::http2_stream::Http2;
use crate::respond::Failure;
use crate::serve;
use crate::worker::Worker;

/// Idle tasks that a worker keeps.
const KEPT: usize = 256;

/// A stream to be served.
pub struct Job {
    pub client: Http2,
    pub exchange: Box<Exchange>,
    pub open: OpenStream,
    /// Why its request cannot be served.
    pub refused: Option<Failure>,
}

/// The idle tasks of a worker.
#[derive(Default)]
pub struct Tasks {
    idle: RefCell<Vec<Rc<Slot>>>,
}

/// Where a task finds its next stream.
struct Slot {
    job: RefCell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Job> {
        match self.job.borrow_mut().take() {
            Some(job) => Poll::Ready(job),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Tasks {
    /// Serves a stream in a task that is idle, or in a new one.
    pub fn serve(worker: &Rc<Worker>, job: Job) {
        let idle = worker.tasks.idle.borrow_mut().pop();
        if let Some(slot) = idle {
            *slot.job.borrow_mut() = Some(job);
            if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
            return;
        }
        let slot = Rc::new(Slot { job: RefCell::new(Some(job)), waker: RefCell::default() });
        tokio::task::spawn_local(run(worker.clone(), slot));
    }
}

async fn run(worker: Rc<Worker>, slot: Rc<Slot>) {
    let alarm = worker.wheel.alarm();
    loop {
        let Job { mut client, mut exchange, open, refused } = poll_fn(|cx| slot.poll_next(cx)).await;
        match refused {
            None => serve::serve(&worker, &mut client, &mut exchange, &alarm).await,
            Some(failure) => serve::refuse(&worker, &mut client, &mut exchange, &alarm, failure).await,
        }
        worker.end_exchange(exchange);
        alarm.set(NEVER);
        drop((client, open));
        let mut idle = worker.tasks.idle.borrow_mut();
        if idle.len() >= KEPT {
            return;
        }
        idle.push(slot.clone());
    }
}
