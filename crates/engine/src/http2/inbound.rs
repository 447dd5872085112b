//! A body that comes in on a stream. Credit goes back to the sender as the bytes are used, so a slow reader slows it down.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;

use crate::head::Head;
use crate::http2::fields;
use crate::owned::Owned;
use crate::sides::Filled;

/// A body of which no more than this was taken can start again, unless more is asked for.
const REPLAY_BYTES: u64 = 16 * 1024;

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub enum ReadError {
    Stream(h2::Error),
    /// White space around the value of a trailer.
    Trailers,
    /// More than the limit.
    TooLarge,
}

#[derive(Debug)]
pub struct Inbound {
    stream: Option<RecvStream>,
    chunk: Bytes,
    trailers: Head,
    /// Names that no trailer may have, besides those that never may.
    owned: Option<Arc<Owned>>,
    over: bool,
    /// What came so far, for [`Inbound::rewind`]; `None` when it was too much, or is not wanted.
    replay: Option<Vec<Bytes>>,
    replay_bytes: u64,
    /// How many of `replay` were handed out again after a rewind.
    replayed: usize,
    /// Bytes from the stream, how many of them were given back as credit, and how many were consumed (since the last rewind).
    received: u64,
    credited: u64,
    consumed: u64,
    pub limit: u64,
}

impl Inbound {
    pub fn new(stream: RecvStream, replay: bool) -> Self {
        Self {
            over: stream.is_end_stream(),
            stream: Some(stream),
            chunk: Bytes::new(),
            trailers: Head::default(),
            owned: None,
            replay: replay.then(Vec::new),
            replay_bytes: REPLAY_BYTES,
            replayed: 0,
            received: 0,
            credited: 0,
            consumed: 0,
            limit: u64::MAX,
        }
    }

    /// A body of which nothing is known yet; [`Inbound::poll_fill`] must not be called.
    pub fn absent() -> Self {
        Self {
            stream: None,
            chunk: Bytes::new(),
            trailers: Head::default(),
            owned: None,
            over: true,
            replay: None,
            replay_bytes: 0,
            replayed: 0,
            received: 0,
            credited: 0,
            consumed: 0,
            limit: u64::MAX,
        }
    }

    /// Drops trailers with these names, where there can be trailers.
    pub fn limit_trailers(&mut self, owned: &Arc<Owned>) {
        if !self.over && !owned.is_empty() {
            self.owned = Some(owned.clone());
        }
    }

    /// Payload so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.chunk.len());
        self.chunk.advance(count);
        self.credit(count);
    }

    pub fn take(&mut self, most: usize) -> Bytes {
        let taken = self.chunk.split_to(most.min(self.chunk.len()));
        self.credit(taken.len());
        taken
    }

    /// Gives credit back, once for every byte.
    fn credit(&mut self, count: usize) {
        self.consumed += count as u64;
        if self.consumed > self.credited
            && let Some(stream) = &mut self.stream
        {
            let due = (self.consumed - self.credited) as usize;
            self.credited = self.consumed;
            // Fails only when the stream has ended meanwhile, and then there is nobody to give credit to.
            let _: Result<(), h2::Error> = stream.flow_control().release_capacity(due);
        }
    }

    pub fn is_last(&self) -> bool {
        !self.has_replay() && (self.over || self.stream.as_ref().is_none_or(RecvStream::is_end_stream))
    }

    pub fn is_over(&self) -> bool {
        self.over && self.chunk.is_empty() && !self.has_replay()
    }

    pub fn trailers(&self) -> Option<&Head> {
        (self.over && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    /// Keeps up to so many bytes of the body, so that it can start again.
    pub fn keep(&mut self, bytes: u64) {
        self.replay_bytes = self.replay_bytes.max(bytes);
    }

    /// All that was handed out is still there.
    pub fn can_rewind(&self) -> bool {
        self.consumed == 0 || self.replay.is_some()
    }

    /// Starts the body again from its first byte, where all of it is still there.
    pub fn rewind(&mut self) -> bool {
        if self.consumed == 0 || self.replay.is_none() {
            return self.consumed == 0;
        }
        self.chunk = Bytes::new();
        self.replayed = 0;
        self.consumed = 0;
        true
    }

    /// From here on the body need not start again, and is not kept.
    pub fn forget(&mut self) {
        if let Some(replay) = &mut self.replay
            && self.replayed == replay.len()
        {
            self.replay = None;
        }
    }

    fn has_replay(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| self.replayed < replay.len())
    }

    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, ReadError>> {
        if !self.chunk.is_empty() {
            return Poll::Ready(Ok(Filled::Data));
        }
        if let Some(replay) = &self.replay
            && let Some(again) = replay.get(self.replayed)
        {
            self.replayed += 1;
            self.chunk = again.clone();
            return Poll::Ready(Ok(Filled::Data));
        }
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(Filled::End));
        };
        while !self.over {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => return Poll::Ready(self.arrived(data)),
                Some(Err(error)) => return Poll::Ready(Err(ReadError::Stream(error))),
                None => {
                    if let Some(trailers) = ready!(stream.poll_trailers(cx)).map_err(ReadError::Stream)? {
                        fields::from_trailers(&trailers, &mut self.trailers).map_err(|_| ReadError::Trailers)?;
                        if let Some(owned) = self.owned.take() {
                            owned.strip(&mut self.trailers);
                        }
                    }
                    self.over = true;
                }
            }
        }
        Poll::Ready(Ok(Filled::End))
    }

    fn arrived(&mut self, data: Bytes) -> Result<Filled, ReadError> {
        self.received += data.len() as u64;
        if self.received > self.limit {
            return Err(ReadError::TooLarge);
        }
        match &mut self.replay {
            Some(replay) if self.received <= self.replay_bytes => {
                replay.push(data.clone());
                self.replayed = replay.len();
            }
            replay => *replay = None,
        }
        self.chunk = data;
        Ok(Filled::Data)
    }
}
