//! `fetch`: a call that the gateway makes itself, with a body that is there and an answer that is collected.
//!
//! It goes through [`call`](crate::upstream::call), as every request of a client does: the same pools, protocols, retries and
//! timeouts. There is no client connection; a [`Collector`] stands in for it. Whoever loses interest drops the future, which
//! cancels the request: its connection is closed, its HTTP/2 stream reset.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::clock::{Millis, NEVER};
use crate::exchange::{Answer, Method, Notes, Request};
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{Answered, BodySize, Client, Filled, Sink, Source};
use crate::snapshot::Pinned;
use crate::upstream::call::{self, Asked, Begun, Order};
use crate::worker::Worker;

/// What is asked of which service.
pub struct Errand<'a> {
    /// Index of the service in the snapshot.
    pub service: usize,
    pub method: &'a [u8],
    /// Path and query as they go upstream, the service's base path included.
    pub target: &'a [u8],
    pub host: &'a [u8],
    /// End-to-end fields only; `Host` and framing are made from the rest.
    pub head: Head,
    pub body: Bytes,
    /// When the answer must be whole, on the worker's clock; [`NEVER`] without a limit.
    pub deadline: Millis,
    /// The longest body that is taken; a longer one is [`Code::UpstreamBodyTooLarge`].
    pub most_bytes: usize,
}

/// A whole answer.
#[derive(Debug)]
pub struct Fetched {
    pub status: u16,
    /// End-to-end fields only.
    pub head: Head,
    pub body: Vec<u8>,
}

/// Asks a service and collects its answer. Statuses are answers, whatever they say; failures are what kept one from coming.
pub async fn fetch(worker: &Rc<Worker>, snapshot: &Pinned, errand: Errand<'_>) -> Result<Fetched, Failure> {
    let Errand { service, method, target, host, mut head, body, deadline, most_bytes } = errand;
    let request = Request {
        method: Method::of(method),
        method_name: head.keep(method),
        head,
        body: if body.is_empty() { BodySize::Empty } else { BodySize::Length(body.len() as u64) },
        ..Request::default()
    };
    let mut answer = Answer::default();
    let mut notes = Notes::default();
    let mut collector = Collector::new(body, most_bytes);
    let alarm = worker.wheel.alarm();
    let order = Order { service, target, host, hash: None, deadline };
    let mut asked = Asked { snapshot, request: &request, answer: &mut answer, notes: &mut notes };
    let begun = call::call(worker, &mut collector, &mut asked, &alarm, &order).await?;
    let Begun { mut upstream, mut transfer, answered } = begun;
    let Answered::Final { status, size, .. } = answered else {
        return Err(Failure::with(Code::UpstreamMalformed, "a switch of protocols that nobody asked for"));
    };
    match size {
        BodySize::Empty => transfer.skip_answer(),
        BodySize::Length(length) => collector.expect(length)?,
        BodySize::Unknown => {}
    }
    poll_fn(|cx| transfer.poll_bodies(cx, &mut collector, &mut upstream)).await?;
    Ok(Fetched { status, head: answer.head, body: collector.collected })
}

/// Stands in for a client: its request is all there, it takes an answer as fast as it comes, and it never leaves by itself.
struct Collector {
    body: Bytes,
    /// What is left of it to be sent.
    left: Bytes,
    collected: Vec<u8>,
    most_bytes: usize,
}

impl Collector {
    fn new(body: Bytes, most_bytes: usize) -> Self {
        Self { left: body.clone(), body, collected: Vec::new(), most_bytes }
    }

    /// Makes room for a body whose length is known.
    fn expect(&mut self, length: u64) -> Result<(), Failure> {
        match usize::try_from(length) {
            Ok(length) if length <= self.most_bytes => {
                self.collected.reserve_exact(length);
                Ok(())
            }
            _ => Err(self.too_large()),
        }
    }

    fn too_large(&self) -> Failure {
        Failure::with(
            Code::UpstreamBodyTooLarge,
            format_args!("more than the {} bytes that are taken", self.most_bytes),
        )
    }
}

impl Source for Collector {
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
        true
    }

    fn trailers(&self) -> Option<&Head> {
        None
    }
}

impl Sink for Collector {
    fn poll_send<S: Source>(&mut self, _cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        let chunk = source.chunk();
        if chunk.len() > self.most_bytes - self.collected.len() {
            return Poll::Ready(Err(self.too_large()));
        }
        self.collected.extend_from_slice(chunk);
        let count = chunk.len();
        source.consume(count);
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, _trailers: Option<&Head>) {}

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

impl Client for Collector {
    fn send_interim(&mut self, _status: u16, _head: &Head) {}

    fn send_head(&mut self, _status: u16, _head: &Head, _size: BodySize, _length: Option<u64>) {}

    fn start_tunnel(&mut self) {}

    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn limit_body(&mut self, _bytes: u64) {}

    fn patience(&self) -> u64 {
        NEVER
    }

    fn close_after(&mut self) {}

    fn rewind(&mut self) -> bool {
        self.left = self.body.clone();
        true
    }

    fn head_sent(&self) -> bool {
        false
    }

    fn bytes_sent(&self) -> u64 {
        self.collected.len() as u64
    }

    fn bytes_received(&self) -> u64 {
        (self.body.len() - self.left.len()) as u64
    }

    fn abort(&mut self) {}
}
