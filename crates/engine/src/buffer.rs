//! Read buffers, lent by the worker for as long as there is something to read.
//!
//! A connection that is idle holds none. The bytes behind `end` are initialised once and then reused, so reading needs no
//! `unsafe` and no clearing.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a buffer as it is lent.
pub const BUFFER_BYTES: usize = 16 * 1024;

#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], start: 0, end: 0 }
    }

    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// What was read and not consumed.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.start == self.end {
            self.clear();
        }
    }

    /// Takes bytes that came by another way (behind a PROXY header, say).
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Makes room for `count` bytes: moves the data to the front, and grows when that is not enough.
    pub fn reserve(&mut self, count: usize) {
        if self.bytes.len() - self.end >= count {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let needed = self.end + count;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_multiple_of(BUFFER_BYTES), 0);
        }
    }

    /// Where the next byte goes, counted from the first that is not consumed.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    pub fn filled(&mut self, count: usize) {
        self.end += count.min(self.bytes.len() - self.end);
    }

    /// Reads once into the space that is left (at least one byte of it must be there). 0: the peer sends no more.
    pub fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<std::io::Result<usize>> {
        debug_assert!(self.end < self.bytes.len());
        let mut space = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(reader).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}
