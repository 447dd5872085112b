//! The two sides of an exchange, as the exchange sees them.
//!
//! A [`Client`] is an HTTP/1.1 connection or an HTTP/2 stream that asked; an [`Upstream`] is one that answers: a connection
//! to a service, a stream of one, or a Python handler. Both bring a body (a [`Source`]) and take one (a [`Sink`]). The
//! transfer between them knows no sockets, so it is tested without any.
//!
//! All methods are polls on one task: no spawned driver, no channel between the two.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::head::Head;
use crate::owned::Owned;
use crate::respond::Failure;

/// What is known of a body's length before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodySize {
    /// No body at all; the head ends the message.
    #[default]
    Empty,
    Length(u64),
    /// A stream: chunked, until close, or HTTP/2 without `content-length`.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// `chunk()` is not empty.
    Data,
    /// The body is over and complete; `trailers()` is final.
    End,
}

/// A body that comes in.
pub trait Source {
    /// Makes bytes ready in [`Source::chunk`]. Returns `Data` at once while the last chunk is not consumed.
    /// After `End` it keeps returning `End`.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>>;

    /// The bytes that are ready; empty before the first fill and at the end.
    fn chunk(&self) -> &[u8];

    /// Takes `count` bytes off the chunk; HTTP/2 gives the sender that much credit back.
    fn consume(&mut self, count: usize);

    /// Takes up to `most` bytes of the chunk and consumes them; protocols that hold `Bytes` give them without a copy.
    fn take(&mut self, most: usize) -> Bytes {
        let count = self.chunk().len().min(most);
        let taken = Bytes::copy_from_slice(&self.chunk()[..count]);
        self.consume(count);
        taken
    }

    /// True when the chunk is known to be all that is left (and no trailers follow), so the end can travel with it.
    fn is_last(&self) -> bool;

    fn trailers(&self) -> Option<&Head>;
}

/// A body that goes out.
pub trait Sink {
    /// Takes some or all of `source.chunk()`, which is not empty. `Pending`: the peer takes no more now.
    /// What was taken may still be held back: [`Sink::poll_flush`] when the source has nothing more at the moment.
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>>;

    /// Ends the body. Buffered: flush after it. Nothing may be sent after it.
    fn end(&mut self, trailers: Option<&Head>);

    /// Hands everything that was taken to the transport.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;
}

/// The side that asked.
pub trait Client: Source + Sink {
    /// Sends an interim answer (100, 103); buffered.
    fn send_interim(&mut self, status: u16, head: &Head);

    /// Sends the head of the final answer; buffered. Framing fields are not in `head`: they are made here from `size`.
    /// `size` is `Empty` for answers to HEAD, and for 204 and 304; `length` is then what `Content-Length` says, if anything.
    fn send_head(&mut self, status: u16, head: &Head, size: BodySize, length: Option<u64>);

    /// After the head of a 101 (HTTP/2: of a 200 to an extended CONNECT) both bodies are raw bytes until their ends.
    fn start_tunnel(&mut self);

    /// Ready when the client has left. Reads ahead what is there, within a bound.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// The most bytes of body that will be taken; more is [`Code::BodyTooLarge`](crate::respond::Code).
    fn limit_body(&mut self, bytes: u64);

    /// The names that trailers of the body may not have; such trailers are dropped. For clients that send trailers.
    fn limit_trailers(&mut self, _owned: &Arc<Owned>) {}

    /// How long the client may be silent, or take nothing, in the middle of a message; milliseconds.
    fn patience(&self) -> u64;

    /// Nothing more will be read of the request's body: the connection cannot be used again. Before `send_head`.
    fn close_after(&mut self);

    /// Keeps up to that many bytes of the body, so that it can start again; before any of it is taken.
    fn keep_body(&mut self, _bytes: u64) {}

    /// All of the body that was taken is still there.
    fn can_rewind(&self) -> bool;

    /// Makes the body start again from its first byte, where all of it is still there.
    fn rewind(&mut self) -> bool;

    /// True once the head of the final answer was handed to [`Client::send_head`].
    fn head_sent(&self) -> bool;

    /// Takes the answer back, where no byte of it has reached the transport yet: another may be given instead.
    fn recall(&mut self) -> bool {
        false
    }

    /// Payload of the answer so far.
    fn bytes_sent(&self) -> u64;

    /// Payload of the request so far.
    fn bytes_received(&self) -> u64;

    /// The answer cannot be completed: the client must be able to see that it is cut off (reset, or closed without an end).
    fn abort(&mut self);
}

/// What a service says before its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// 1xx other than 101; its fields are in the head given.
    Interim(u16),
    /// The final head; the size of the body that follows, and what `Content-Length` said where no body follows.
    Final { status: u16, size: BodySize, length: Option<u64> },
    /// 101, or a 2xx to an extended CONNECT: raw bytes from here on, both ways.
    Tunnel { status: u16 },
}

impl Answered {
    pub fn status(self) -> u16 {
        match self {
            Self::Interim(status) | Self::Final { status, .. } | Self::Tunnel { status } => status,
        }
    }
}

/// The side that answers.
pub trait Upstream: Source + Sink {
    /// Waits for the head of an answer and fills `head` with its end-to-end fields (hop-by-hop fields are gone).
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Answered, Failure>>;

    /// True while a failure may mean that a pooled connection had gone stale: it was used before and no byte of an answer came.
    fn is_stale(&self) -> bool;
}
