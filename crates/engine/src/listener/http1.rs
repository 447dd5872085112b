//! One HTTP/1.1 client connection: heads in, exchanges one after another, answers out.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidegate_http1::{self as codec, BodyLength, Error, Known, Limits, Parse, RequestFraming, RequestParser, Version};
use tokio::io::AsyncWriteExt;

use crate::buffer::Buffer;
use crate::exchange::{Connection, Exchange, Protocol};
use crate::head::Head;
use crate::intake;
use crate::listener::socket::Socket;
use crate::owned::Owned;
use crate::plan::ListenerLimits;
use crate::respond::{Code, Failure, write_problem};
use crate::serve;
use crate::sides::{BodySize, Client, Filled, Sink, Source};
use crate::wheel::Alarm;
use crate::wire::inbound::{Inbound, ReadError};
use crate::wire::outbound::{Framing, Outbound};
use crate::worker::Worker;

/// Pipelined bytes taken ahead of the answer that is under way.
const READ_AHEAD: usize = 16 * 1024;
/// How much of an unwanted body is read off after the last answer, and for how long, so that the client reads that answer
/// instead of meeting a reset (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_MS: u64 = 2000;

/// How every HTTP/2 connection begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub struct Http1 {
    worker: Rc<Worker>,
    socket: Socket,
    limits: Rc<ListenerLimits>,
    half_close: bool,
    parser: RequestParser,
    inbound: Inbound,
    outbound: Outbound,
    /// The first bytes may be the preface of HTTP/2.
    prior_knowledge: bool,
    protocol: Protocol,
    keep_alive: bool,
    /// The head asked for another protocol.
    is_upgrade: bool,
    /// The client waits for a 100 before it sends its body.
    expects: bool,
    head_sent: bool,
    /// The client sends no more.
    ended: bool,
    aborted: bool,
}

/// Why the wait for a head ended without one.
enum Quiet {
    /// Closed, idle too long, or draining: nothing to say.
    Leave,
    Refuse(Code, &'static str),
    Http2,
}

/// Serves a connection to its end. With `prior_knowledge` a client may speak HTTP/2 at once (RFC 9113 section 3.3): then the
/// socket comes back with what was read.
pub async fn run(
    worker: Rc<Worker>,
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<ListenerLimits>,
    half_close: bool,
    prior_knowledge: bool,
) -> Option<(Socket, Buffer)> {
    let alarm = worker.wheel.alarm();
    let mut http1 = Http1::new(worker, socket, limits, half_close, prior_knowledge);
    match http1.exchanges(&connection, &alarm).await {
        Ending::Http2 => Some((http1.socket, http1.inbound.buffer)),
        ending => {
            http1.close(ending, &alarm).await;
            http1.recycle();
            None
        }
    }
}

/// Tells a client that speaks plain HTTP where TLS is spoken, in the language it understands, and closes.
pub async fn refuse_plain(worker: Rc<Worker>, socket: Socket, connection: Rc<Connection>, limits: Rc<ListenerLimits>) {
    let alarm = worker.wheel.alarm();
    let mut http1 = Http1::new(worker, socket, limits, false, false);
    let ending = http1.refuse(&connection, Code::PlainHttpOnTls, "").await;
    http1.close(ending, &alarm).await;
    http1.recycle();
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Clean,
    /// The client may still be sending, and must be able to read the last answer.
    Racing,
    /// Not at all: it speaks HTTP/2.
    Http2,
}

impl Http1 {
    fn new(
        worker: Rc<Worker>,
        socket: Socket,
        limits: Rc<ListenerLimits>,
        half_close: bool,
        prior_knowledge: bool,
    ) -> Self {
        let of_head = Limits { head: limits.head_bytes, fields: limits.head_fields, target: limits.target_bytes };
        Self {
            worker,
            socket,
            limits,
            half_close,
            parser: RequestParser::new(of_head),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            prior_knowledge,
            protocol: Protocol::Http11,
            keep_alive: true,
            is_upgrade: false,
            expects: false,
            head_sent: false,
            ended: false,
            aborted: false,
        }
    }

    /// Serves exchanges until the connection should close.
    async fn exchanges(&mut self, connection: &Rc<Connection>, alarm: &Alarm) -> Ending {
        let mut fresh = true;
        loop {
            match self.next_head(alarm, fresh).await {
                Ok(()) => {}
                Err(Quiet::Leave) => return Ending::Clean,
                Err(Quiet::Http2) => return Ending::Http2,
                Err(Quiet::Refuse(code, detail)) => return self.refuse(connection, code, detail).await,
            }
            fresh = false;
            let worker = self.worker.clone();
            let mut exchange = worker.begin_exchange(connection);
            if let Err(failure) = self.take_request(&mut exchange) {
                self.begin_refusal();
                serve::refuse(&worker, self, &mut exchange, alarm, failure).await;
                worker.end_exchange(exchange);
                return Ending::Racing;
            }
            serve::serve(&worker, self, &mut exchange, alarm).await;
            worker.end_exchange(exchange);
            let complete = self.discard_body(alarm).await;
            // A client that has said all may still wait for the answers to what it pipelined.
            let over = self.ended && self.inbound.buffer.is_empty();
            if !self.keep_alive || self.aborted || over || !complete {
                let clean = complete && self.inbound.buffer.is_empty();
                return if clean { Ending::Clean } else { Ending::Racing };
            }
        }
    }

    /// Reads off what an early answer left of the request body, within bounds; false when it did not end.
    async fn discard_body(&mut self, alarm: &Alarm) -> bool {
        if !self.inbound.is_done() && !self.aborted && self.keep_alive {
            self.inbound.limit = self.inbound.bytes + LINGER_BYTES as u64;
            alarm.set(self.worker.now() + LINGER_MS);
            poll_fn(|cx| {
                loop {
                    match self.inbound.poll_fill(cx, &mut self.socket) {
                        Poll::Ready(Ok(Filled::Data)) => self.inbound.consume(usize::MAX),
                        Poll::Ready(_) => return Poll::Ready(()),
                        Poll::Pending => return alarm.poll(cx),
                    }
                }
            })
            .await;
        }
        self.inbound.finish();
        self.inbound.is_done()
    }

    /// Waits for a whole head, which then stands in the parser and at the start of the buffer.
    async fn next_head(&mut self, alarm: &Alarm, fresh: bool) -> Result<(), Quiet> {
        self.parser.clear();
        let patience = if fresh { self.limits.head_timeout_ms } else { self.limits.idle_timeout_ms };
        let mut started = !self.inbound.buffer.is_empty();
        if started {
            match self.parse() {
                Ok(Parse::Complete) => return Ok(()),
                Ok(Parse::Partial) => alarm.set(self.worker.now() + self.limits.head_timeout_ms),
                Err(quiet) => return Err(quiet),
            }
        } else {
            alarm.set(self.worker.now() + patience);
        }
        poll_fn(|cx| {
            loop {
                match self.poll_more(cx) {
                    Poll::Ready(Ok(0)) if started => {
                        return Poll::Ready(Err(Quiet::Refuse(Code::MalformedRequest, "the head was cut off")));
                    }
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Quiet::Leave)),
                    Poll::Ready(Ok(_)) => match self.parse() {
                        Ok(Parse::Complete) => return Poll::Ready(Ok(())),
                        Ok(Parse::Partial) if !started => {
                            started = true;
                            alarm.set(self.worker.now() + self.limits.head_timeout_ms);
                        }
                        Ok(Parse::Partial) => {}
                        Err(quiet) => return Poll::Ready(Err(quiet)),
                    },
                    Poll::Pending => {
                        if !started && !fresh && self.worker.drain.has_begun() {
                            return Poll::Ready(Err(Quiet::Leave));
                        }
                        ready!(alarm.poll(cx));
                        return Poll::Ready(Err(if started {
                            Quiet::Refuse(Code::HeadTimeout, "")
                        } else {
                            Quiet::Leave
                        }));
                    }
                }
            }
        })
        .await
    }

    /// Reads once. While nothing has arrived the connection holds no buffer.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let empty = self.inbound.buffer.is_empty();
        if empty && self.inbound.buffer.capacity() == 0 {
            self.inbound.buffer = self.worker.lend_buffer();
        }
        self.inbound.buffer.reserve(1);
        let read = self.inbound.buffer.poll_read(cx, &mut self.socket);
        if empty && read.is_pending() {
            self.worker.return_buffer(std::mem::take(&mut self.inbound.buffer));
            self.worker.return_out(std::mem::take(&mut self.outbound.out));
        }
        read
    }

    fn parse(&mut self) -> Result<Parse, Quiet> {
        if self.prior_knowledge {
            let data = self.inbound.buffer.data();
            if data.starts_with(PREFACE) {
                return Err(Quiet::Http2);
            }
            if PREFACE.starts_with(data) {
                return Ok(Parse::Partial);
            }
        }
        let data = self.inbound.buffer.data();
        self.parser.parse(data).map_err(|error| {
            let code = match error {
                // A broken preface of HTTP/2, or no HTTP at all: there is no language to answer in (RFC 9113 section 3.4).
                Error::BadVersion if self.prior_knowledge && !is_like_http1(data) => return Quiet::Leave,
                Error::HeadTooLarge => Code::HeadTooLarge,
                Error::TooManyFields => Code::TooManyFields,
                Error::TargetTooLong => Code::TargetTooLong,
                Error::UnsupportedVersion => Code::UnsupportedVersion,
                _ => Code::MalformedRequest,
            };
            Quiet::Refuse(code, error.code())
        })
    }

    /// Checks the parsed head, moves it into the exchange and begins its body.
    fn take_request(&mut self, exchange: &mut Exchange) -> Result<(), Failure> {
        let head = self.parser.head();
        let data = self.inbound.buffer.data();
        let length = head.length;
        self.protocol = match head.version {
            Version::Http10 => Protocol::Http10,
            Version::Http11 => Protocol::Http11,
        };
        let framing = intake::fill_http1(&mut exchange.request, head, data)?;
        self.begin(length, &framing);
        Ok(())
    }

    /// Nobody can tell where the body of a head that is refused ends: nothing behind it is read as a message.
    fn begin_refusal(&mut self) {
        self.begin(
            0,
            &RequestFraming {
                body: BodyLength::None,
                keep_alive: false,
                expect_continue: false,
                upgrade: false,
                host: Default::default(),
                target: codec::Target::Asterisk,
            },
        );
    }

    fn begin(&mut self, head_length: usize, framing: &RequestFraming) {
        self.keep_alive = framing.keep_alive;
        self.is_upgrade = framing.upgrade;
        self.prior_knowledge = false;
        self.expects = framing.expect_continue;
        self.head_sent = false;
        self.inbound.buffer.consume(head_length);
        self.inbound.begin(framing.body, u64::MAX);
        if self.outbound.out.capacity() == 0 {
            self.outbound.out = self.worker.lend_out();
        }
    }

    /// Answers what is no message, and closes.
    async fn refuse(&mut self, connection: &Rc<Connection>, code: Code, detail: &str) -> Ending {
        self.worker.telemetry.refused(self.worker.index, connection, code, detail);
        self.keep_alive = false;
        self.protocol = Protocol::Http11;
        let mut body = Vec::with_capacity(160);
        write_problem(&mut body, code, b"");
        let mut head = Head::default();
        head.add(b"content-type", b"application/problem+json");
        self.send_head(code.status(), &head, BodySize::Length(body.len() as u64), None);
        self.outbound.out.extend_from_slice(&body);
        let alarm = self.worker.wheel.alarm();
        alarm.set(self.worker.now() + LINGER_MS);
        let flushed = poll_fn(|cx| match self.outbound.poll_flush(cx, &mut self.socket) {
            Poll::Pending => alarm.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            done => done,
        });
        let _: io::Result<()> = flushed.await;
        Ending::Racing
    }

    /// Closes, so that the client can read the last answer: sends the end, then reads off what it still sends, within bounds.
    async fn close(&mut self, ending: Ending, alarm: &Alarm) {
        if self.aborted {
            // Dropping a socket with a zero linger sends a reset: the client sees that the answer is not whole.
            self.socket.reset();
            return;
        }
        alarm.set(self.worker.now() + LINGER_MS);
        let mut shutdown = std::pin::pin!(self.socket.shutdown());
        let done = poll_fn(|cx| match shutdown.as_mut().poll(cx) {
            Poll::Pending => alarm.poll(cx).map(|()| false),
            Poll::Ready(result) => Poll::Ready(result.is_ok()),
        })
        .await;
        if !done || self.ended {
            return;
        }
        let mut buffer = self.worker.lend_buffer();
        let mut left = LINGER_BYTES;
        poll_fn(|cx| {
            loop {
                buffer.clear();
                match buffer.poll_read(cx, &mut self.socket) {
                    Poll::Ready(Ok(count)) if count > 0 && count < left => left -= count,
                    Poll::Ready(_) => return Poll::Ready(()),
                    // Nothing that is not read will turn the close into a reset.
                    Poll::Pending if ending == Ending::Clean => return Poll::Ready(()),
                    Poll::Pending => return alarm.poll(cx),
                }
            }
        })
        .await;
        self.worker.return_buffer(buffer);
    }

    fn recycle(&mut self) {
        self.worker.return_buffer(std::mem::take(&mut self.inbound.buffer));
        self.worker.return_out(std::mem::take(&mut self.outbound.out));
    }

    fn fail(&mut self, error: io::Error) -> Failure {
        self.aborted = true;
        Failure::with(Code::ClientGone, error)
    }
}

/// A request line that is wrong, but one: it names a path, or HTTP.
fn is_like_http1(data: &[u8]) -> bool {
    data.windows(2).any(|word| word == b" /") || data.windows(5).any(|word| word == b"HTTP/")
}

impl Source for Http1 {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        let filled = ready!(self.inbound.poll_fill(cx, &mut self.socket));
        Poll::Ready(filled.map_err(|error| {
            self.keep_alive = false;
            match error {
                ReadError::Io(error) => self.fail(error),
                ReadError::Cut => {
                    self.ended = true;
                    Failure::with(Code::ClientGone, "the body was cut off")
                }
                ReadError::Chunk(error) => Failure::with(Code::BadBody, error),
                ReadError::TooLarge => Code::BodyTooLarge.into(),
            }
        }))
    }

    fn chunk(&self) -> &[u8] {
        self.inbound.chunk()
    }

    fn consume(&mut self, count: usize) {
        self.inbound.consume(count);
    }

    fn is_last(&self) -> bool {
        self.inbound.is_last()
    }

    fn trailers(&self) -> Option<&Head> {
        self.inbound.trailers()
    }
}

impl Sink for Http1 {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        let sent = ready!(self.outbound.poll_send(cx, &mut self.socket, source));
        Poll::Ready(sent.map_err(|error| self.fail(error)))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        self.outbound.end(trailers);
        if !self.outbound.is_complete() {
            self.aborted = true;
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let flushed = ready!(self.outbound.poll_flush(cx, &mut self.socket));
        if self.outbound.framing == Framing::Raw && self.outbound.is_ended() && flushed.is_ok() {
            // The tunnel's other side is done: pass the half-close on.
            let _: io::Result<()> = ready!(self.socket.poll_shutdown_write(cx));
        }
        Poll::Ready(flushed.map_err(|error| self.fail(error)))
    }
}

impl Client for Http1 {
    fn send_interim(&mut self, status: u16, head: &Head) {
        if self.protocol == Protocol::Http10 {
            return; // RFC 9110 section 15.2: not to a 1.0 client
        }
        self.expects &= status != 100;
        let out = &mut self.outbound.out;
        codec::write_status_line(out, Version::Http11, status, codec::reason_phrase(status).as_bytes());
        for (_, name, value) in head.iter() {
            codec::write_field(out, name, value);
        }
        out.extend_from_slice(codec::HEAD_END);
    }

    fn send_head(&mut self, status: u16, head: &Head, size: BodySize, length: Option<u64>) {
        self.head_sent = true;
        self.keep_alive &= !self.worker.drain.has_begun();
        if self.expects && self.inbound.bytes == 0 {
            // RFC 9110 section 10.1.1: the body may come or not, so what follows cannot be told.
            self.keep_alive = false;
        }
        if self.is_upgrade && status != 101 && !self.inbound.buffer.is_empty() {
            // These bytes may be of the protocol that is refused here: they must not be read as a request.
            self.keep_alive = false;
        }
        let out = &mut self.outbound.out;
        codec::write_status_line(out, Version::Http11, status, codec::reason_phrase(status).as_bytes());
        let mut dated = false;
        for (known, name, value) in head.iter() {
            dated |= known == Known::Date;
            codec::write_field(out, name, value);
        }
        if !dated {
            out.extend_from_slice(b"date: ");
            self.worker.write_date(out);
            out.extend_from_slice(b"\r\n");
        }
        let framing = match size {
            BodySize::Empty => {
                // 204 and 1xx carry no length (RFC 9110 section 8.6); HEAD and 304 carry what a GET would have.
                match length {
                    Some(length) if status != 204 => codec::write_content_length(out, length),
                    _ => {}
                }
                Framing::None
            }
            BodySize::Length(length) => {
                codec::write_content_length(out, length);
                Framing::Length(length)
            }
            BodySize::Unknown if self.protocol == Protocol::Http10 => {
                self.keep_alive = false;
                Framing::Raw
            }
            BodySize::Unknown => {
                codec::write_chunked(out);
                Framing::Chunked(0)
            }
        };
        if status == 101 {
            out.extend_from_slice(b"connection: upgrade\r\n");
        } else if !self.keep_alive {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.protocol == Protocol::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(codec::HEAD_END);
        self.outbound.begin(framing);
    }

    fn start_tunnel(&mut self) {
        self.keep_alive = false;
        self.inbound.finish();
        self.inbound.begin_raw();
        self.outbound.begin(Framing::Raw);
    }

    fn limit_body(&mut self, bytes: u64) {
        self.inbound.limit = bytes;
    }

    fn limit_trailers(&mut self, owned: &Arc<Owned>) {
        self.inbound.limit_trailers(owned);
    }

    fn close_after(&mut self) {
        self.keep_alive = false;
    }

    fn patience(&self) -> u64 {
        self.limits.idle_timeout_ms
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && self.inbound.buffer.len() < READ_AHEAD {
            self.inbound.buffer.reserve(1);
            match ready!(self.inbound.buffer.poll_read(cx, &mut self.socket)) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(_) => {
                    self.aborted = true;
                    return Poll::Ready(());
                }
            }
        }
        if self.ended && !self.half_close {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn rewind(&mut self) -> bool {
        self.inbound.rewind()
    }

    fn head_sent(&self) -> bool {
        self.head_sent
    }

    fn bytes_sent(&self) -> u64 {
        self.outbound.bytes
    }

    fn bytes_received(&self) -> u64 {
        self.inbound.bytes
    }

    fn abort(&mut self) {
        self.aborted = true;
    }
}
