//! A client of whose request and answer a copy is kept as they pass.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::head::Head;
use crate::owned::Owned;
use crate::respond::Failure;
use crate::sides::{BodySize, Client, Filled, Sink, Source};

/// What passed, as long as it is not too much.
struct Kept {
    bytes: Vec<u8>,
    most: usize,
    too_long: bool,
}

impl Kept {
    fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, too_long: false }
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.too_long || self.bytes.len() + bytes.len() > self.most {
            self.too_long = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        (!self.too_long).then(|| std::mem::take(&mut self.bytes).into())
    }
}

pub type Send = Box<dyn FnOnce(Option<Bytes>)>;

pub struct Tee<'a, C> {
    inner: &'a mut C,
    request: Kept,
    /// Called once all of the request is there; with nothing when that was too much.
    send: Option<Send>,
    answer: Option<Kept>,
}

impl<'a, C: Client> Tee<'a, C> {
    pub fn new(inner: &'a mut C, most_of_request: usize, most_of_answer: Option<usize>, send: Send) -> Self {
        Self { inner, request: Kept::new(most_of_request), send: Some(send), answer: most_of_answer.map(Kept::new) }
    }

    pub fn request_is_whole(&mut self) {
        if let Some(send) = self.send.take() {
            send(self.request.take());
        }
    }

    /// The request did not come to its end.
    pub fn is_unsent(&self) -> bool {
        self.send.is_some()
    }

    /// The body of the answer, if it was not too long.
    pub fn answer_body(&mut self) -> Option<Bytes> {
        self.answer.as_mut().and_then(Kept::take)
    }
}

impl<C: Client> Source for Tee<'_, C> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        let filled = ready!(self.inner.poll_fill(cx));
        if matches!(filled, Ok(Filled::End)) {
            self.request_is_whole();
        }
        Poll::Ready(filled)
    }

    fn chunk(&self) -> &[u8] {
        self.inner.chunk()
    }

    fn consume(&mut self, count: usize) {
        if self.send.is_some() {
            let chunk = self.inner.chunk();
            self.request.add(&chunk[..count.min(chunk.len())]);
        }
        self.inner.consume(count);
    }

    fn take(&mut self, most: usize) -> Bytes {
        let taken = self.inner.take(most);
        if self.send.is_some() {
            self.request.add(&taken);
        }
        taken
    }

    fn is_last(&self) -> bool {
        self.inner.is_last()
    }

    fn trailers(&self) -> Option<&Head> {
        self.inner.trailers()
    }
}

/// A source of which a copy is kept as it is consumed.
struct Tapped<'a, S> {
    source: &'a mut S,
    kept: &'a mut Kept,
}

impl<S: Source> Source for Tapped<'_, S> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        self.source.poll_fill(cx)
    }

    fn chunk(&self) -> &[u8] {
        self.source.chunk()
    }

    fn consume(&mut self, count: usize) {
        let chunk = self.source.chunk();
        self.kept.add(&chunk[..count.min(chunk.len())]);
        self.source.consume(count);
    }

    fn take(&mut self, most: usize) -> Bytes {
        let taken = self.source.take(most);
        self.kept.add(&taken);
        taken
    }

    fn is_last(&self) -> bool {
        self.source.is_last()
    }

    fn trailers(&self) -> Option<&Head> {
        self.source.trailers()
    }
}

impl<C: Client> Sink for Tee<'_, C> {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        match &mut self.answer {
            Some(kept) => self.inner.poll_send(cx, &mut Tapped { source, kept }),
            None => self.inner.poll_send(cx, source),
        }
    }

    fn end(&mut self, trailers: Option<&Head>) {
        self.inner.end(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_flush(cx)
    }
}

impl<C: Client> Client for Tee<'_, C> {
    fn send_interim(&mut self, status: u16, head: &Head) {
        self.inner.send_interim(status, head);
    }

    fn send_head(&mut self, status: u16, head: &Head, size: BodySize, length: Option<u64>) {
        self.inner.send_head(status, head, size, length);
    }

    fn start_tunnel(&mut self) {
        self.inner.start_tunnel();
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_gone(cx)
    }

    fn limit_body(&mut self, bytes: u64) {
        self.inner.limit_body(bytes);
    }

    fn limit_trailers(&mut self, owned: &Arc<Owned>) {
        self.inner.limit_trailers(owned);
    }

    fn patience(&self) -> u64 {
        self.inner.patience()
    }

    fn close_after(&mut self) {
        self.inner.close_after();
    }

    fn keep_body(&mut self, bytes: u64) {
        self.inner.keep_body(bytes);
    }

    fn can_rewind(&self) -> bool {
        self.inner.can_rewind()
    }

    fn rewind(&mut self) -> bool {
        let rewound = self.inner.rewind();
        if rewound {
            self.request.bytes.clear();
            self.request.too_long = false;
        }
        rewound
    }

    fn head_sent(&self) -> bool {
        self.inner.head_sent()
    }

    fn recall(&mut self) -> bool {
        self.inner.recall()
    }

    fn bytes_sent(&self) -> u64 {
        self.inner.bytes_sent()
    }

    fn bytes_received(&self) -> u64 {
        self.inner.bytes_received()
    }

    fn abort(&mut self) {
        self.inner.abort();
    }
}
