//! A body that goes out on a stream, as fast as the peer gives credit.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use crate::head::Head;
use crate::http2::fields;
use crate::sides::Source;

/// No more credit than this is asked for at once, so that streams share the connection's.
const RESERVED_BYTES: usize = 64 * 1024;
/// A last piece up to this is handed over whole: it waits for credit in the connection instead of here.
const LAST_BYTES: usize = 16 * 1024;

/// Why a body cannot be sent on.
#[derive(Debug)]
pub enum SendError {
    Stream(h2::Error),
    /// The peer wants no more: the stream is closed in this direction.
    Closed,
    /// A trailer cannot be sent.
    Trailers,
}

#[derive(Debug)]
pub struct Outbound {
    stream: SendStream<Bytes>,
    ended: bool,
    /// Payload so far.
    bytes: u64,
}

/// As [`Outbound::poll_send`], of a stream that may not be there: not yet, or not any more.
pub fn poll_send<S: Source>(
    outbound: &mut Option<Outbound>,
    cx: &mut Context<'_>,
    source: &mut S,
) -> Poll<Result<(), SendError>> {
    match outbound {
        Some(outbound) => outbound.poll_send(cx, source),
        None => Poll::Ready(Err(SendError::Closed)),
    }
}

/// As [`Outbound::end`]; resets the stream for `fault` when it cannot end as it should: trailers that cannot be sent must not
/// look like trailers that were not there.
pub fn end(outbound: &mut Option<Outbound>, trailers: Option<&Head>, fault: Reason) {
    if let Some(outbound) = outbound
        && outbound.end(trailers).is_err()
    {
        outbound.reset(fault);
    }
}

impl Outbound {
    pub fn new(stream: SendStream<Bytes>, ended: bool) -> Self {
        Self { stream, ended, bytes: 0 }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn is_ended(&self) -> bool {
        self.ended
    }

    pub fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), SendError>> {
        let length = source.chunk().len();
        if self.ended {
            return Poll::Ready(Err(SendError::Closed));
        }
        if length <= LAST_BYTES && source.is_last() {
            return Poll::Ready(self.send(source.take(length), true));
        }
        let wanted = length.min(RESERVED_BYTES);
        let capacity = match self.stream.capacity() {
            0 => {
                self.stream.reserve_capacity(wanted);
                ready!(self.poll_capacity(cx))?
            }
            capacity => capacity,
        };
        let last = capacity >= length && source.is_last();
        Poll::Ready(self.send(source.take(capacity), last))
    }

    fn send(&mut self, piece: Bytes, last: bool) -> Result<(), SendError> {
        self.ended = last;
        self.bytes += piece.len() as u64;
        self.stream.send_data(piece, last).map_err(SendError::Stream)
    }

    fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, SendError>> {
        loop {
            match self.stream.capacity() {
                0 => match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(SendError::Stream(error))),
                    None => return Poll::Ready(Err(SendError::Closed)),
                },
                capacity => return Poll::Ready(Ok(capacity)),
            }
        }
    }

    /// Ends the body, with trailers where there are some.
    pub fn end(&mut self, trailers: Option<&Head>) -> Result<(), SendError> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        match trailers {
            Some(trailers) => {
                let map = fields::to_map(trailers, 0).map_err(|_| SendError::Trailers)?;
                self.stream.send_trailers(map).map_err(SendError::Stream)
            }
            None => self.stream.send_data(Bytes::new(), true).map_err(SendError::Stream),
        }
    }

    pub fn reset(&mut self, reason: Reason) {
        self.ended = true;
        self.stream.send_reset(reason);
    }

    /// Ready when the peer broke the stream off.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.stream.poll_reset(cx)
    }
}
