//! The half of an HTTP/1.1 connection that writes: a head and small pieces are gathered, so that they leave in one write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tidegate_http1::write_chunk_head;
use tokio::io::AsyncWrite;

use crate::head::Head;
use crate::sides::Source;

/// Pieces are gathered up to this; a larger one is written from where it lies.
const GATHER_BYTES: usize = 16 * 1024;

/// How the end of the body is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    #[default]
    None,
    /// Payload still to come.
    Length(u64),
    /// Bytes left of the chunk whose size line was written; 0 between chunks.
    Chunked(usize),
    /// By closing, or raw bytes after a switch of protocols.
    Raw,
}

#[derive(Debug, Default)]
pub struct Outbound {
    /// Not yet written: `out[at..]`.
    pub out: Vec<u8>,
    at: usize,
    pub framing: Framing,
    ended: bool,
    /// Some of it has been written since [`Outbound::renew`].
    touched: bool,
    /// Payload so far.
    pub bytes: u64,
}

impl Outbound {
    pub fn begin(&mut self, framing: Framing) {
        self.framing = framing;
        self.ended = false;
        self.bytes = 0;
    }

    /// What comes from here on belongs to another message than what came before.
    pub fn renew(&mut self) {
        self.touched = false;
    }

    /// Forgets what was taken since then, if none of it was written.
    pub fn recall(&mut self) -> bool {
        if !self.touched {
            self.out.clear();
            self.at = 0;
        }
        !self.touched
    }

    /// Everything was written that was taken.
    pub fn is_flushed(&self) -> bool {
        self.at == self.out.len()
    }

    /// The message is complete, as far as the peer can tell.
    pub fn is_complete(&self) -> bool {
        match self.framing {
            Framing::None | Framing::Length(0) => true,
            Framing::Length(_) => false,
            Framing::Chunked(_) | Framing::Raw => self.ended,
        }
    }

    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes some or all of the source's chunk.
    pub fn poll_send<W: AsyncWrite + Unpin, S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        source: &mut S,
    ) -> Poll<io::Result<()>> {
        let available = source.chunk().len();
        let most = match &mut self.framing {
            Framing::None | Framing::Length(0) => return Poll::Ready(Err(too_long())),
            Framing::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(available),
            Framing::Chunked(left) => {
                if *left == 0 {
                    *left = available;
                    write_chunk_head(&mut self.out, available);
                }
                available.min(*left)
            }
            Framing::Raw => available,
        };
        if self.at >= GATHER_BYTES {
            // A peer that never quite keeps up must not make the part that was written grow.
            self.out.drain(..self.at);
            self.at = 0;
        }
        let count = if self.out.len() - self.at + most <= GATHER_BYTES {
            self.out.extend_from_slice(&source.chunk()[..most]);
            most
        } else {
            ready!(self.poll_write_through(cx, writer, &source.chunk()[..most]))?
        };
        source.consume(count);
        self.sent(count);
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, count: usize) {
        self.bytes += count as u64;
        match &mut self.framing {
            Framing::Length(left) => *left -= count as u64,
            Framing::Chunked(left) => {
                *left -= count;
                if *left == 0 {
                    self.out.extend_from_slice(b"\r\n");
                }
            }
            Framing::None | Framing::Raw => {}
        }
    }

    /// Writes what was gathered and then the piece, without copying it; returns how much of the piece was taken.
    fn poll_write_through<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let pending = &self.out[self.at..];
            let slices = [IoSlice::new(pending), IoSlice::new(piece)];
            let written = if pending.is_empty() {
                ready!(Pin::new(&mut *writer).poll_write(cx, piece))?
            } else if writer.is_write_vectored() {
                ready!(Pin::new(&mut *writer).poll_write_vectored(cx, &slices))?
            } else {
                ready!(Pin::new(&mut *writer).poll_write(cx, pending))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_pending = written.min(pending.len());
            self.written(of_pending);
            if written > of_pending {
                return Poll::Ready(Ok(written - of_pending));
            }
        }
    }

    fn written(&mut self, count: usize) {
        self.touched = true;
        self.at += count;
        if self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
        }
    }

    /// Ends the body. A body that is shorter than its length says stays incomplete: the connection must be closed.
    pub fn end(&mut self, trailers: Option<&Head>) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Framing::Chunked(_) = self.framing {
            self.out.extend_from_slice(b"0\r\n");
            for (_, name, value) in trailers.iter().flat_map(|trailers| trailers.iter()) {
                tidegate_http1::write_field(&mut self.out, name, value);
            }
            self.out.extend_from_slice(b"\r\n");
        }
    }

    pub fn poll_flush<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let written = ready!(Pin::new(&mut *writer).poll_write(cx, &self.out[self.at..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written(written);
        }
        Pin::new(writer).poll_flush(cx)
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body is longer than its length says")
}
