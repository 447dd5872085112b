//! What stands in for the client of a call that the gateway makes itself.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::clock::NEVER;
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled, Sink, Source};

/// Stands in for a client: its request is all there, it takes an answer as fast as it comes, and it never leaves by itself.
pub struct Collector {
    body: Bytes,
    /// What is left of it to be sent.
    left: Bytes,
    pub collected: Vec<u8>,
    most_bytes: usize,
    /// A longer answer is let pass, and what came of it is dropped.
    samples: bool,
    pub too_long: bool,
}

impl Collector {
    pub fn new(body: Bytes, most_bytes: usize) -> Self {
        Self { left: body.clone(), body, collected: Vec::new(), most_bytes, samples: false, too_long: false }
    }

    /// Lets a longer answer pass instead of failing; nothing of it is kept then.
    pub fn sampling(body: Bytes, most_bytes: usize) -> Self {
        Self { samples: true, ..Self::new(body, most_bytes) }
    }

    /// Of the request's body.
    pub fn length(&self) -> usize {
        self.body.len()
    }

    /// Makes room for a body whose length is known.
    pub fn expect(&mut self, length: u64) -> Result<(), Failure> {
        match usize::try_from(length) {
            Ok(length) if length <= self.most_bytes => {
                self.collected.reserve_exact(length);
                Ok(())
            }
            _ if self.samples => {
                self.too_long = true;
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
        if self.too_long || chunk.len() > self.most_bytes - self.collected.len() {
            if self.samples {
                self.too_long = true;
                self.collected = Vec::new();
                let count = chunk.len();
                source.consume(count);
                return Poll::Ready(Ok(()));
            }
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

    fn can_rewind(&self) -> bool {
        true
    }

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
