//! A place in the read buffer.

/// A range of the buffer a message was parsed from, in half the size of a slice.
///
/// The buffer always begins at the first byte of the message; a span means nothing without that buffer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Span {
    /// Offset of the first byte from the start of the message.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span from `start` up to, but not with, `end`.
    #[inline]
    pub const fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, len: end.saturating_sub(start) as u32 }
    }

    /// The bytes it stands for; empty when `buf` is too short, so a wrong buffer never panics.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start as usize..self.end()).unwrap_or_default()
    }

    /// Offset of the first byte behind it.
    #[inline]
    pub const fn end(self) -> usize {
        self.start as usize + self.len as usize
    }

    /// Whether it holds no byte.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}
