//! A client whose request is all there and whose answer is kept.
//!
//! The answer is taken as fast as the service gives it, up to a bound, and goes on to the client from there: whether the client reads,
//! or is there at all, does not matter for what becomes of the request. That is what a key is for.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::head::Head;
use crate::owned::Owned;
use crate::respond::Failure;
use crate::serve::Text;
use crate::sides::{BodySize, Client, Filled, Sink, Source};

/// The head of an answer as it was before the policies that act on answers.
#[derive(Debug, Default)]
pub struct Kept {
    status: Cell<u16>,
    head: RefCell<Head>,
}

impl Kept {
    pub fn keep(&self, status: u16, head: &Head) {
        self.status.set(status);
        *self.head.borrow_mut() = head.clone();
    }

    /// The status; 0: there was no answer.
    pub fn status(&self) -> u16 {
        self.status.get()
    }

    pub fn head(&self) -> Head {
        self.head.borrow().clone()
    }
}

pub struct Recording<'a, C> {
    inner: &'a mut C,
    body: Bytes,
    /// What is left of it to be sent.
    left: Bytes,
    /// The answer's body so far, and all of it at its end.
    kept: Vec<u8>,
    whole: Option<Bytes>,
    /// How much of it the client has.
    sent: usize,
    most: usize,
    /// It is longer than that: from here on it goes to the client as it comes.
    too_long: bool,
    /// Told the body at the end of the answer, before the client can have seen that; `None`: it is not kept whole.
    at_end: Option<AtEnd>,
    /// Not yet handed on.
    end_waits: bool,
    trailers: Option<Head>,
    /// The client has left.
    gone: bool,
}

pub type AtEnd = Box<dyn FnOnce(Option<Bytes>)>;

impl<'a, C: Client> Recording<'a, C> {
    pub fn new(inner: &'a mut C, body: Bytes, most: usize, at_end: AtEnd) -> Self {
        Self {
            inner,
            left: body.clone(),
            body,
            kept: Vec::new(),
            whole: None,
            sent: 0,
            most,
            too_long: false,
            at_end: Some(at_end),
            end_waits: false,
            trailers: None,
            gone: false,
        }
    }

    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn kept(&self) -> &[u8] {
        self.whole.as_deref().unwrap_or(&self.kept)
    }

    /// Hands on what is kept; ready when the client has all of it.
    fn poll_hand_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.gone && self.sent < self.kept().len() {
            let kept = self.whole.as_deref().unwrap_or(&self.kept);
            let mut rest = Text::new(&kept[self.sent..]);
            let before = rest.chunk().len();
            let sent = ready!(self.inner.poll_send(cx, &mut rest));
            self.sent += before - rest.chunk().len();
            self.gone = sent.is_err();
        }
        Poll::Ready(())
    }
}

impl<C: Client> Source for Recording<'_, C> {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        Poll::Ready(Ok(if self.left.is_empty() { Filled::End } else { Filled::Data }))
    }

    fn chunk(&self) -> &[u8] {
        &self.left
    }

    fn consume(&mut self, count: usize) {
        let _ = self.left.split_to(count.min(self.left.len()));
    }

    fn take(&mut self, most: usize) -> Bytes {
        self.left.split_to(most.min(self.left.len()))
    }

    fn is_last(&self) -> bool {
        self.inner.trailers().is_none()
    }

    fn trailers(&self) -> Option<&Head> {
        self.inner.trailers()
    }
}

impl<C: Client> Sink for Recording<'_, C> {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        let count = source.chunk().len();
        if !self.too_long && self.kept.len() + count <= self.most {
            self.kept.extend_from_slice(source.chunk());
            source.consume(count);
            return Poll::Ready(Ok(()));
        }
        self.too_long = true;
        ready!(self.poll_hand_on(cx));
        if !self.gone {
            self.gone = ready!(self.inner.poll_send(cx, source)).is_err();
        }
        if self.gone {
            source.consume(source.chunk().len());
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        self.end_waits = true;
        self.trailers = trailers.cloned();
        let whole = Bytes::from(std::mem::take(&mut self.kept));
        self.whole = Some(whole.clone());
        if let Some(at_end) = self.at_end.take() {
            at_end((!self.too_long && trailers.is_none()).then_some(whole));
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.poll_hand_on(cx));
        if !self.gone && std::mem::take(&mut self.end_waits) {
            self.inner.end(self.trailers.as_ref());
        }
        if !self.gone {
            self.gone = ready!(self.inner.poll_flush(cx)).is_err();
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: Client> Client for Recording<'_, C> {
    fn send_interim(&mut self, status: u16, head: &Head) {
        if !self.gone {
            self.inner.send_interim(status, head);
        }
    }

    fn send_head(&mut self, status: u16, head: &Head, size: BodySize, length: Option<u64>) {
        if !self.gone {
            self.inner.send_head(status, head, size, length);
        }
    }

    fn start_tunnel(&mut self) {}

    /// Never: the request goes on without its client.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.gone = self.gone || self.inner.poll_gone(cx).is_ready();
        Poll::Pending
    }

    fn limit_body(&mut self, _bytes: u64) {}

    fn limit_trailers(&mut self, owned: &Arc<Owned>) {
        self.inner.limit_trailers(owned);
    }

    fn patience(&self) -> u64 {
        self.inner.patience()
    }

    /// All of the request was read.
    fn close_after(&mut self) {}

    fn can_rewind(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> bool {
        self.left = self.body.clone();
        true
    }

    fn head_sent(&self) -> bool {
        self.inner.head_sent()
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
