//! The half of an HTTP/1.1 connection that reads: a buffer, and where the body in it ends.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidegate_http1::{BodyLength, ChunkDecoder, ChunkError, Decoded};
use tokio::io::AsyncRead;

use crate::buffer::{BUFFER_BYTES, Buffer};
use crate::head::Head;
use crate::owned::Owned;
use crate::policies::trust::is_owned_in_trailers;
use crate::sides::Filled;

/// A body with more than this left is read in larger pieces.
const LARGE_BYTES: u64 = 32 * 1024;
const LARGE_BUFFER: usize = 128 * 1024;

/// A body of known length up to this is kept until the exchange is over, however it arrives, so that it can be sent again.
const KEPT_BYTES: u64 = BUFFER_BYTES as u64;

/// A chunked body as it was handed out: its bytes lie apart in the buffer, so they are copied.
#[derive(Debug, Default)]
struct Copies {
    bytes: Vec<u8>,
    /// Handed out since the body began, or began again.
    at: usize,
    most: usize,
}

impl Copies {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }
}

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    /// The peer stopped within the body.
    Cut,
    Chunk(ChunkError),
    /// More than the limit.
    TooLarge,
}

#[derive(Debug, Default)]
pub struct Inbound {
    pub buffer: Buffer,
    length: BodyLength,
    /// Payload still to come after what is `ready`; for [`BodyLength::Length`].
    left: u64,
    /// Payload bytes at `buffer.data()[kept..]`.
    ready: usize,
    /// Payload that was handed out but stays in the buffer, so that it can be sent again.
    kept: usize,
    /// The body is short: nothing of it is thrown away before [`Inbound::finish`].
    keeps: bool,
    /// What was handed out of a chunked body that is to be kept and was short enough so far.
    copies: Option<Copies>,
    done: bool,
    decoder: Option<Box<ChunkDecoder>>,
    trailers: Head,
    /// Names that no trailer may have, besides those that never may.
    owned: Option<Arc<Owned>>,
    /// Payload so far, and how much there may be.
    pub bytes: u64,
    pub limit: u64,
}

impl Inbound {
    /// Begins a body; the buffer starts with its first byte.
    pub fn begin(&mut self, length: BodyLength, limit: u64) {
        self.length = length;
        self.limit = limit;
        self.bytes = 0;
        self.ready = 0;
        self.kept = 0;
        self.left = 0;
        self.keeps = false;
        self.copies = None;
        self.done = false;
        self.trailers.clear();
        self.owned = None;
        match length {
            BodyLength::None | BodyLength::Length(0) => self.done = true,
            BodyLength::Length(length) => {
                self.left = length;
                self.keeps = length <= KEPT_BYTES.max(self.buffer.len() as u64);
            }
            BodyLength::Chunked => match &mut self.decoder {
                Some(decoder) => decoder.clear(),
                None => self.decoder = Some(Box::default()),
            },
            BodyLength::Close => {}
        }
    }

    /// Drops trailers with these names, where there can be trailers.
    pub fn limit_trailers(&mut self, owned: &Arc<Owned>) {
        if self.length == BodyLength::Chunked && !owned.is_empty() {
            self.owned = Some(owned.clone());
        }
    }

    /// Everything until the peer closes, from here on.
    pub fn begin_raw(&mut self) {
        self.begin(BodyLength::Close, u64::MAX);
    }

    /// Keeps a body of up to so many bytes, so that it can start again; before any of it is consumed.
    pub fn keep(&mut self, bytes: u64) {
        match self.length {
            BodyLength::Length(length) if self.kept == 0 => self.keeps |= length <= bytes,
            BodyLength::Chunked if bytes > 0 && self.bytes == self.ready as u64 => {
                self.copies = Some(Copies { most: bytes as usize, ..Copies::default() });
            }
            _ => {}
        }
    }

    pub fn is_done(&self) -> bool {
        self.done && self.ready == 0 && !self.has_copies()
    }

    fn has_copies(&self) -> bool {
        self.copies.as_ref().is_some_and(|copies| !copies.rest().is_empty())
    }

    pub fn chunk(&self) -> &[u8] {
        match &self.copies {
            Some(copies) if !copies.rest().is_empty() => copies.rest(),
            _ => self.buffered_chunk(),
        }
    }

    fn buffered_chunk(&self) -> &[u8] {
        &self.buffer.data()[self.kept..self.kept + self.ready]
    }

    pub fn consume(&mut self, count: usize) {
        if let Some(copies) = &mut self.copies
            && !copies.rest().is_empty()
        {
            copies.at += count.min(copies.rest().len());
            return;
        }
        let count = count.min(self.ready);
        self.copy(count);
        self.ready -= count;
        if self.keeps {
            self.kept += count;
        } else {
            self.buffer.consume(count);
        }
    }

    /// Copies what is about to be consumed, where it may be wanted again.
    fn copy(&mut self, count: usize) {
        let Some(mut copies) = self.copies.take() else { return };
        if copies.bytes.len() + count <= copies.most {
            copies.bytes.extend_from_slice(&self.buffered_chunk()[..count]);
            copies.at = copies.bytes.len();
            self.copies = Some(copies);
        }
    }

    /// All that was handed out is still here.
    pub fn can_rewind(&self) -> bool {
        self.keeps || self.copies.is_some() || self.bytes == self.ready as u64
    }

    /// Starts the body again from its first byte, when all that came is still here or none was taken.
    pub fn rewind(&mut self) -> bool {
        if self.keeps {
            self.ready += self.kept;
            self.kept = 0;
        }
        if let Some(copies) = &mut self.copies {
            copies.at = 0;
        }
        self.can_rewind()
    }

    /// Leaves the body; what follows it in the buffer is the next message.
    pub fn finish(&mut self) {
        self.buffer.consume(self.kept + self.ready);
        self.kept = 0;
        self.ready = 0;
        self.copies = None;
    }

    /// The chunk is all that is left, and no trailers can follow.
    pub fn is_last(&self) -> bool {
        self.done && matches!(self.length, BodyLength::Length(_))
    }

    pub fn trailers(&self) -> Option<&Head> {
        (self.done && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    pub fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<Result<Filled, ReadError>> {
        loop {
            if self.ready > 0 || self.has_copies() {
                return Poll::Ready(Ok(Filled::Data));
            }
            if self.done {
                return Poll::Ready(Ok(Filled::End));
            }
            if self.buffer.len() > self.kept {
                self.advance()?;
                if self.ready > 0 || self.done {
                    continue;
                }
            }
            self.make_room();
            let count = ready!(self.buffer.poll_read(cx, reader)).map_err(ReadError::Io)?;
            if count == 0 {
                if self.length != BodyLength::Close {
                    return Poll::Ready(Err(ReadError::Cut));
                }
                self.done = true;
            }
        }
    }

    /// Finds payload in what the buffer holds.
    fn advance(&mut self) -> Result<(), ReadError> {
        let available = self.buffer.len() - self.kept;
        match self.length {
            BodyLength::None => self.done = true,
            BodyLength::Close => self.gain(available)?,
            BodyLength::Length(_) => {
                let count = self.left.min(available as u64);
                self.left -= count;
                self.done = self.left == 0;
                self.gain(count as usize)?;
            }
            BodyLength::Chunked => self.decode()?,
        }
        Ok(())
    }

    fn decode(&mut self) -> Result<(), ReadError> {
        let Some(decoder) = &mut self.decoder else {
            self.done = true;
            return Ok(());
        };
        match decoder.decode(self.buffer.data()).map_err(ReadError::Chunk)? {
            Decoded::Data { skip, len } => {
                self.buffer.consume(skip);
                self.gain(len)?;
            }
            Decoded::Partial { consumed } => self.buffer.consume(consumed),
            Decoded::End { consumed } => {
                self.buffer.consume(consumed);
                self.done = true;
                for (name, value) in decoder.trailers().allowed() {
                    if !is_owned_in_trailers(name) {
                        self.trailers.add(name, value);
                    }
                }
                if let Some(owned) = self.owned.take() {
                    owned.strip(&mut self.trailers);
                }
            }
        }
        Ok(())
    }

    fn gain(&mut self, count: usize) -> Result<(), ReadError> {
        self.ready = count;
        self.bytes += count as u64;
        if self.bytes > self.limit { Err(ReadError::TooLarge) } else { Ok(()) }
    }

    /// Room for at least one read; more where much is known to come.
    fn make_room(&mut self) {
        let expected = match (self.length, &self.decoder) {
            (BodyLength::Length(_), _) => self.left,
            (BodyLength::Chunked, Some(decoder)) => decoder.chunk_left(),
            // Unknown: as large as the last read showed to be useful.
            _ if self.bytes >= LARGE_BYTES => LARGE_BYTES + 1,
            _ => 0,
        };
        if expected > LARGE_BYTES {
            self.buffer.reserve(LARGE_BUFFER - self.buffer.len().min(LARGE_BUFFER - 1));
        } else {
            self.buffer.reserve(1);
        }
    }
}
