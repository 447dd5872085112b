//! Counts the HTTP/2 frames of a client as they pass, and stops reading when there are too many that ask for work and bring none.
//!
//! Floods cost the sender almost nothing and a server much: streams opened and reset (CVE-2023-44487), endless header blocks
//! (CVE-2024-27316), PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA (CVE-2019-9511 to -9518). Honest clients send control
//! frames too, in proportion to what they transfer: so requests, data and what we send pay for some of them.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::Buffer;
use crate::clock::{Clock, Millis};

/// What a client's connection begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const WINDOW_MS: Millis = 10_000;
/// Control frames that a request pays for: a priority update, window updates, a ping.
const PAID_BY_HEADERS: u32 = 4;
const PAID_BY_DATA: u32 = 2;
/// A window update for so many bytes that we sent, which is far more than any client needs.
const BYTES_PER_UPDATE: u64 = 8;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CONTINUATION: u8 = 9;

/// What a client may do within ten seconds.
#[derive(Debug, Clone, Copy)]
pub struct FrameLimits {
    pub resets: u32,
    pub control: u32,
}

/// What the meter has seen, for the connection that reads through it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Too much: the connection must end.
    pub flood: Cell<Option<Flood>>,
    /// A header block began and did not end yet.
    pub in_headers: Cell<bool>,
    /// Bytes came since somebody last cleared this.
    pub heard: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    Resets,
    Control,
}

impl Flood {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Resets => "too many streams were reset",
            Self::Control => "too many control frames",
        }
    }
}

/// Finds the frames in a stream of bytes.
#[derive(Debug)]
struct Frames {
    /// Bytes of the preface that are still to come.
    preface: usize,
    head: [u8; 9],
    have: usize,
    payload: usize,
}

impl Frames {
    fn new() -> Self {
        Self { preface: PREFACE.len(), head: [0; 9], have: 0, payload: 0 }
    }

    /// Calls `found(kind, flags, length)` for every frame head that is complete with these bytes.
    fn observe(&mut self, mut bytes: &[u8], mut found: impl FnMut(u8, u8, usize)) {
        let skip = self.preface.min(bytes.len());
        self.preface -= skip;
        bytes = &bytes[skip..];
        loop {
            let skip = self.payload.min(bytes.len());
            self.payload -= skip;
            bytes = &bytes[skip..];
            if bytes.is_empty() {
                return;
            }
            let count = (9 - self.have).min(bytes.len());
            self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
            self.have += count;
            bytes = &bytes[count..];
            if self.have < 9 {
                return;
            }
            self.have = 0;
            self.payload = usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
            found(self.head[3], self.head[4], self.payload);
        }
    }
}

/// Two windows of ten seconds, the older one fading out: no bursts at the seam, no list of times.
#[derive(Debug, Default)]
struct Rate {
    since: Millis,
    before: u32,
    now: u32,
}

impl Rate {
    /// Counts one more and returns the estimate for the last ten seconds.
    fn add(&mut self, now: Millis) -> u32 {
        let passed = now.saturating_sub(self.since);
        if passed >= WINDOW_MS {
            self.before = if passed < 2 * WINDOW_MS { self.now } else { 0 };
            self.now = 0;
            self.since = now - passed % WINDOW_MS;
        }
        self.now += 1;
        let left = WINDOW_MS - now.saturating_sub(self.since).min(WINDOW_MS);
        let fading = u64::from(self.before) * left / WINDOW_MS;
        self.now + fading as u32
    }
}

#[derive(Debug)]
struct Counts {
    clock: Clock,
    limits: FrameLimits,
    resets: Rate,
    control: Rate,
    /// Control frames that honest traffic has paid for.
    paid: u32,
    /// Bytes that went to the client and no window update has answered yet.
    sent: u64,
    seen: Rc<Seen>,
}

impl Counts {
    fn frame(&mut self, kind: u8, flags: u8, length: usize) {
        match kind {
            HEADERS => {
                self.pay(PAID_BY_HEADERS);
                self.seen.in_headers.set(flags & END_HEADERS == 0);
            }
            DATA if length > 0 => self.pay(PAID_BY_DATA),
            // An empty end of a body is how many clients end it.
            DATA if flags & END_STREAM != 0 => {}
            WINDOW_UPDATE if self.sent >= BYTES_PER_UPDATE => self.sent -= BYTES_PER_UPDATE,
            RST_STREAM => {
                if self.resets.add(self.clock.now()) > self.limits.resets {
                    self.seen.flood.set(Some(Flood::Resets));
                }
            }
            CONTINUATION => {
                self.seen.in_headers.set(flags & END_HEADERS == 0);
                self.control();
            }
            // PING, SETTINGS, PRIORITY, empty DATA, and every kind that we ignore.
            _ => self.control(),
        }
    }

    /// Savings are bounded, so that an honest past does not pay for a flood.
    fn pay(&mut self, frames: u32) {
        self.paid = (self.paid + frames).min(self.limits.control);
    }

    fn control(&mut self) {
        if self.paid > 0 {
            self.paid -= 1;
        } else if self.control.add(self.clock.now()) > self.limits.control {
            self.seen.flood.set(Some(Flood::Control));
        }
    }
}

/// A client's socket, with the bytes that were read of it before.
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    first: Buffer,
    frames: Frames,
    counts: Counts,
    /// The connection was told of a flood.
    woken: bool,
}

impl<S> Metered<S> {
    pub fn new(inner: S, first: Buffer, clock: Clock, limits: FrameLimits) -> (Self, Rc<Seen>) {
        let seen = Rc::new(Seen::default());
        let counts = Counts {
            clock,
            limits,
            resets: Rate::default(),
            control: Rate::default(),
            paid: 0,
            sent: 0,
            seen: seen.clone(),
        };
        (Self { inner, first, frames: Frames::new(), counts, woken: false }, seen)
    }

    /// Gives back the buffer of the bytes that came first, once they are used up.
    pub fn take_first(&mut self) -> Option<Buffer> {
        (self.first.is_empty() && self.first.capacity() > 0).then(|| std::mem::take(&mut self.first))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.counts.seen.flood.get().is_some() {
            // Nothing more is taken from this client; its connection looks at the flag when it is polled again.
            if !std::mem::replace(&mut this.woken, true) {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if this.first.is_empty() {
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        } else {
            let count = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first.data()[..count]);
            this.first.consume(count);
        }
        let counts = &mut this.counts;
        counts.seen.heard.set(true);
        this.frames.observe(&buf.filled()[before..], |kind, flags, length| counts.frame(kind, flags, length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        this.counts.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs))?;
        this.counts.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits { resets: 5, control: 5 };
    const PING: u8 = 6;
    const SETTINGS: u8 = 4;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![(length >> 16) as u8, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + length, 0xff);
        bytes
    }

    fn counts(clock: &Clock) -> Counts {
        let seen = Rc::new(Seen::default());
        let (resets, control) = Default::default();
        Counts { clock: clock.clone(), limits: LIMITS, resets, control, paid: 0, sent: 0, seen }
    }

    fn flood(frames: &[(u8, u8, usize)]) -> Option<Flood> {
        let mut counts = counts(&Clock::default());
        frames.iter().for_each(|&(kind, flags, length)| counts.frame(kind, flags, length));
        counts.seen.flood.get()
    }

    #[test]
    fn frames_are_found_however_their_bytes_arrive() {
        let expected = [(SETTINGS, 0, 6), (HEADERS, 5, 300), (DATA, 1, 0), (PING, 0, 8)];
        let mut bytes = PREFACE.to_vec();
        for (kind, flags, length) in expected {
            bytes.extend(frame(kind, flags, length));
        }
        for size in 1..bytes.len() {
            let mut frames = Frames::new();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.observe(piece, |kind, flags, length| found.push((kind, flags, length)));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn floods_are_seen() {
        for (kind, flags, length) in
            [(PING, 0, 8), (SETTINGS, 0, 0), (2, 0, 5), (DATA, 0, 0), (WINDOW_UPDATE, 0, 4), (99, 0, 0)]
        {
            assert_eq!(flood(&[(kind, flags, length); 5]), None, "{kind}");
            assert_eq!(flood(&[(kind, flags, length); 6]), Some(Flood::Control), "{kind}");
        }
        assert_eq!(flood(&[(RST_STREAM, 0, 4); 5]), None);
        assert_eq!(flood(&[(RST_STREAM, 0, 4); 6]), Some(Flood::Resets));
    }

    #[test]
    fn traffic_pays_for_its_control_frames() {
        let request = [(HEADERS, 4, 30), (DATA, 0, 100), (DATA, 1, 0), (PING, 0, 8), (PING, 0, 8), (16, 0, 9)];
        assert_eq!(flood(&request.repeat(1000)), None);
        assert_eq!(flood(&[&request.repeat(1000)[..], &[(PING, 0, 8); 30]].concat()), Some(Flood::Control));
    }

    #[test]
    fn what_we_send_pays_for_window_updates() {
        let mut counts = counts(&Clock::default());
        for _ in 0..1000 {
            counts.sent += 16 * 1024;
            (0..4).for_each(|_| counts.frame(WINDOW_UPDATE, 0, 4));
        }
        assert_eq!(counts.seen.flood.get(), None);
    }

    #[test]
    fn old_frames_are_forgotten() {
        let clock = Clock::default();
        let mut counts = counts(&clock);
        for _ in 0..20 {
            (0..2).for_each(|_| counts.frame(PING, 0, 8));
            clock.advance(WINDOW_MS);
        }
        assert_eq!(counts.seen.flood.get(), None);
    }

    #[test]
    fn an_open_header_block_is_seen() {
        let mut counts = counts(&Clock::default());
        counts.frame(HEADERS, 0, 10);
        assert!(counts.seen.in_headers.get());
        counts.frame(CONTINUATION, END_HEADERS, 10);
        assert!(!counts.seen.in_headers.get());
    }
}
