//! One HTTP/2 client connection: streams in, an exchange each, as local tasks of the worker.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::{Method, Request};

use crate::buffer::Buffer;
use crate::clock::NEVER;
use crate::exchange::Connection;
use crate::http2::intake;
use crate::listener::http2_stream::Http2;
use crate::listener::http2_tasks::{Job, Tasks};
use crate::listener::meter::{FrameLimits, Metered, PREFACE, Seen};
use crate::listener::socket::Socket;
use crate::network::client_text;
use crate::plan::ListenerLimits;
use crate::wheel::Alarm;
use crate::worker::{Drain, Worker};

/// Credit of one stream and of all together: how much of bodies may wait in memory, per stream and connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What a stream may have waiting to be written.
const SEND_BUFFER: usize = 128 * 1024;
const FRAME_BYTES: u32 = 16 * 1024;
/// What a field counts beside its name and value (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Whether the first bytes of a connection are those of HTTP/2; `None` when more must come.
pub fn is_preface(bytes: &[u8]) -> Option<bool> {
    let shared = bytes.len().min(PREFACE.len());
    match bytes[..shared] == PREFACE[..shared] {
        false => Some(false),
        true if shared == PREFACE.len() => Some(true),
        true => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// GOAWAY was sent; streams that are open go on.
    Leaving,
    /// GOAWAY with an error was sent; nothing goes on.
    Ending,
}

struct Http2Connection {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    limits: Rc<ListenerLimits>,
    h2: server::Connection<Metered<Socket>, Bytes>,
    pings: Option<PingPong>,
    /// A ping was sent and nothing came since.
    pinged: bool,
    seen: Rc<Seen>,
    streams: Rc<Streams>,
    /// Bounds the time of a header block.
    head_alarm: Alarm,
    head_began: bool,
    phase: Phase,
    /// Begins when the connection must take no new streams, as the worker's drain does.
    retired: Rc<Drain>,
    watches_drain: bool,
}

/// What a connection and its streams share.
struct Streams {
    open: Cell<usize>,
    /// GOAWAY was sent, and the alarm has another purpose.
    leaving: Cell<bool>,
    /// Rings when the connection was idle for too long.
    idle: Alarm,
}

/// Counts a stream for as long as its task lives.
pub struct OpenStream {
    worker: Rc<Worker>,
    streams: Rc<Streams>,
    idle_timeout_ms: u64,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let open = self.streams.open.get() - 1;
        self.streams.open.set(open);
        if open == 0 && !self.streams.leaving.get() {
            self.streams.idle.set(self.worker.now() + self.idle_timeout_ms);
        }
    }
}

/// Serves a connection to its end. `first` are bytes that were read already.
pub async fn run(
    worker: Rc<Worker>,
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<ListenerLimits>,
    retired: Rc<Drain>,
    first: Buffer,
) {
    let frame_limits = FrameLimits { resets: limits.http2_resets, control: limits.http2_control_frames };
    let (metered, seen) = Metered::new(socket, first, worker.clock.clone(), frame_limits);
    let head_alarm = worker.wheel.alarm();
    head_alarm.set(worker.now() + limits.head_timeout_ms);
    let mut handshake = pin!(builder(&limits).handshake(metered));
    let shaken = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(shaken) => Poll::Ready(shaken.ok()),
        Poll::Pending => head_alarm.poll(cx).map(|()| None),
    });
    let Some(mut h2) = shaken.await else { return };
    head_alarm.set(NEVER);
    let idle = worker.wheel.alarm();
    idle.set(worker.now() + limits.idle_timeout_ms);
    let mut http2 = Http2Connection {
        pings: h2.ping_pong(),
        pinged: false,
        h2,
        seen,
        streams: Rc::new(Streams { open: Cell::new(0), leaving: Cell::new(false), idle }),
        head_alarm,
        head_began: false,
        phase: Phase::Serving,
        retired: retired.clone(),
        watches_drain: false,
        connection,
        limits,
        worker: worker.clone(),
    };
    let mut closes = pin!(async {
        tokio::select! {
            () = worker.drain.begun() => {}
            () = retired.begun() => {}
        }
    });
    poll_fn(|cx| http2.poll(cx, closes.as_mut())).await;
}

fn builder(limits: &ListenerLimits) -> server::Builder {
    let mut builder = server::Builder::new();
    // Somewhat above our own limit, so that most heads that are too large get an answer that says so.
    let list = limits.head_bytes + limits.target_bytes + FIELD_OVERHEAD * (limits.head_fields + 8);
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.http2_streams)
        .max_pending_accept_reset_streams(limits.http2_resets as usize)
        .enable_connect_protocol();
    builder
}

impl Http2Connection {
    fn poll(&mut self, cx: &mut Context<'_>, drains: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        if self.phase != Phase::Ending
            && let Some(flood) = self.seen.flood.get()
        {
            let peer = client_text(self.connection.peer.ip().to_canonical());
            tracing::info!(peer, reason = flood.reason(), "http2 client cut off");
            self.end(Reason::ENHANCE_YOUR_CALM);
        }
        if self.phase == Phase::Serving && self.drains(cx, drains) {
            self.leave();
        }
        loop {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if self.poll_head_alarm(cx).is_ready() {
            self.end(Reason::ENHANCE_YOUR_CALM);
            cx.waker().wake_by_ref();
        }
        self.poll_idle(cx)
    }

    /// True once the worker drains, or the connection is retired. The future is there for the wake only, and asked once.
    fn drains(&mut self, cx: &mut Context<'_>, drains: Pin<&mut impl Future<Output = ()>>) -> bool {
        if std::mem::replace(&mut self.watches_drain, true) {
            return self.worker.drain.has_begun() || self.retired.has_begun();
        }
        drains.poll(cx).is_ready()
    }

    /// Starts the exchange of a new stream, be it to refuse its request.
    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        let wants_switch = parts.method == Method::CONNECT;
        let client = Http2::new(&self.worker, &self.limits, respond, body, wants_switch);
        let mut exchange = self.worker.begin_exchange(&self.connection);
        let refused = intake::fill(&mut exchange.request, &parts, has_body, &self.limits).err();
        self.streams.open.set(self.streams.open.get() + 1);
        let open = OpenStream {
            worker: self.worker.clone(),
            streams: self.streams.clone(),
            idle_timeout_ms: self.limits.idle_timeout_ms,
        };
        Tasks::serve(&self.worker, Job { client, exchange, open, refused });
    }

    /// Takes no new streams, finishes those that are open, then closes.
    fn leave(&mut self) {
        self.phase = Phase::Leaving;
        self.streams.leaving.set(true);
        self.h2.graceful_shutdown();
        self.streams.idle.set(self.worker.now() + self.limits.head_timeout_ms);
    }

    /// Closes as soon as the GOAWAY is written.
    fn end(&mut self, reason: Reason) {
        self.phase = Phase::Ending;
        self.streams.leaving.set(true);
        self.h2.abrupt_shutdown(reason);
        self.streams.idle.set(self.worker.now() + self.limits.head_timeout_ms);
    }

    /// Ready when a header block is taking too long.
    fn poll_head_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let open = self.seen.in_headers.get() && self.phase != Phase::Ending;
        if open != self.head_began {
            self.head_began = open;
            self.head_alarm.set(if open { self.worker.now() + self.limits.head_timeout_ms } else { NEVER });
        }
        if open { self.head_alarm.poll(cx) } else { Poll::Pending }
    }

    /// Ready when the connection is to be dropped.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.streams.idle.poll(cx).is_ready() {
            let heard = self.seen.heard.replace(false);
            // The last of an answer may wait in `h2`, and its client be fetching it.
            let busy = self.streams.open.get() > 0 || heard && self.h2.has_streams();
            let patience = self.limits.idle_timeout_ms;
            match self.phase {
                Phase::Ending => return Poll::Ready(()),
                Phase::Leaving if !busy => return Poll::Ready(()),
                Phase::Serving if !busy => {
                    self.leave();
                    cx.waker().wake_by_ref();
                    continue;
                }
                Phase::Serving | Phase::Leaving if heard => self.pinged = false,
                Phase::Serving | Phase::Leaving if self.pinged => return Poll::Ready(()),
                Phase::Serving | Phase::Leaving => self.ping(cx),
            }
            self.streams.idle.set(self.worker.now() + patience);
        }
        Poll::Pending
    }

    /// Asks a client that is silent while streams are open whether it is still there.
    fn ping(&mut self, cx: &mut Context<'_>) {
        self.pinged = true;
        if let Some(pings) = &mut self.pings {
            // Takes the answer to the last one, so that the next can go.
            let _: Poll<Result<h2::Pong, h2::Error>> = pings.poll_pong(cx);
            let _: Result<(), h2::Error> = pings.send_ping(Ping::opaque());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_told_from_requests() {
        assert_eq!(is_preface(b""), None);
        assert_eq!(is_preface(&PREFACE[..23]), None);
        assert_eq!(is_preface(PREFACE), Some(true));
        assert_eq!(is_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0"), Some(true));
        assert_eq!(is_preface(b"PROPFIND / HTTP/1.1"), Some(false));
        assert_eq!(is_preface(b"G"), Some(false));
    }
}
