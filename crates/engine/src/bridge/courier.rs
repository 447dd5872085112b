//! What stands in for the client of a call whose bodies are streams.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::bridge::call::{Call, CallBody};
use crate::clock::NEVER;
use crate::head::Head;
use crate::respond::Failure;
use crate::sides::{BodySize, Client, Filled, Sink, Source};

/// Brings the request of a call, and takes its answer: whole, or in pieces as fast as they are taken.
pub struct Courier {
    call: Arc<Call>,
    chunk: Bytes,
    /// The request's body is over, apart from `chunk`.
    ended: bool,
    sent: u64,
    received: u64,
}

impl Courier {
    pub fn new(call: &Arc<Call>) -> Self {
        let (chunk, ended) = match &call.request.body {
            CallBody::Whole(body) => (body.clone(), true),
            CallBody::Streamed => (Bytes::new(), false),
        };
        Self { call: call.clone(), chunk, ended, sent: 0, received: 0 }
    }

    pub fn size(&self) -> BodySize {
        match &self.call.request.body {
            CallBody::Whole(body) if body.is_empty() => BodySize::Empty,
            CallBody::Whole(body) => BodySize::Length(body.len() as u64),
            CallBody::Streamed => BodySize::Unknown,
        }
    }
}

impl Source for Courier {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        if !self.chunk.is_empty() {
            return Poll::Ready(Ok(Filled::Data));
        }
        if !self.ended {
            let filled = ready!(self.call.poll_body(cx, &mut self.chunk))?;
            self.ended = filled == Filled::End;
            return Poll::Ready(Ok(filled));
        }
        Poll::Ready(Ok(Filled::End))
    }

    fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    fn consume(&mut self, count: usize) {
        self.received += count as u64;
        let _ = self.chunk.split_to(count.min(self.chunk.len()));
    }

    fn take(&mut self, most: usize) -> Bytes {
        let taken = self.chunk.split_to(most.min(self.chunk.len()));
        self.received += taken.len() as u64;
        taken
    }

    fn is_last(&self) -> bool {
        self.ended
    }

    fn trailers(&self) -> Option<&Head> {
        None
    }
}

impl Sink for Courier {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        ready!(self.call.poll_room(cx));
        let chunk = source.take(usize::MAX);
        self.sent += chunk.len() as u64;
        self.call.push(chunk);
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, _trailers: Option<&Head>) {}

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

impl Client for Courier {
    fn send_interim(&mut self, _status: u16, _head: &Head) {}

    fn send_head(&mut self, _status: u16, _head: &Head, _size: BodySize, _length: Option<u64>) {}

    fn start_tunnel(&mut self) {}

    /// Whoever loses interest drops the call.
    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn limit_body(&mut self, _bytes: u64) {}

    /// The exchange bounds it.
    fn patience(&self) -> u64 {
        NEVER
    }

    fn close_after(&mut self) {}

    fn can_rewind(&self) -> bool {
        self.received == 0 || matches!(self.call.request.body, CallBody::Whole(_))
    }

    fn rewind(&mut self) -> bool {
        if let CallBody::Whole(body) = &self.call.request.body {
            self.chunk = body.clone();
            self.received = 0;
        }
        self.received == 0
    }

    fn head_sent(&self) -> bool {
        false
    }

    fn bytes_sent(&self) -> u64 {
        self.sent
    }

    fn bytes_received(&self) -> u64 {
        self.received
    }

    fn abort(&mut self) {}
}
