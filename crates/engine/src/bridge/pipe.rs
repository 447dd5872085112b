//! Bytes on their way between a worker and user code.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::respond::Failure;
use crate::sides::Filled;

#[derive(Default)]
pub struct Pipe {
    pub chunks: VecDeque<Bytes>,
    pub bytes: usize,
    pub ended: bool,
    pub failure: Option<Failure>,
}

impl Pipe {
    pub fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    pub fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// For the worker, whose task waits in `worker`: puts the next piece into `chunk`, which is empty.
    pub fn poll_next(
        &mut self,
        cx: &Context<'_>,
        worker: &mut Option<Waker>,
        chunk: &mut Bytes,
    ) -> Poll<Result<Filled, Failure>> {
        if let Some(next) = self.pop() {
            *chunk = next;
            return Poll::Ready(Ok(Filled::Data));
        }
        if let Some(failure) = &self.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        if self.ended {
            return Poll::Ready(Ok(Filled::End));
        }
        wait(worker, cx);
        Poll::Pending
    }

    pub fn clear(&mut self) {
        self.chunks.clear();
        self.bytes = 0;
    }
}

/// Remembers whom to wake.
pub fn wait(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}
