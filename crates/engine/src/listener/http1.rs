//! One HTTP/1.1 client connection: heads in, exchanges one after another, answers out.

mod heads;
mod sides;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use tidegate_http1::{self as codec, BodyLength, Limits, RequestFraming, RequestParser, Version};
use tokio::io::AsyncWriteExt;

use crate::buffer::Buffer;
use crate::exchange::{Connection, Exchange, Protocol};
use crate::head::Head;
use crate::intake;
use crate::listener::socket::Socket;
use crate::plan::ListenerLimits;
use crate::respond::{Code, Failure, write_problem};
use crate::serve;
use crate::sides::{BodySize, Client, Filled};
use crate::wheel::Alarm;
use crate::wire::inbound::Inbound;
use crate::wire::outbound::Outbound;
use crate::worker::{Drain, Worker};
use heads::Quiet;

/// How much of an unwanted body is read off after the last answer, and for how long, so that the client reads that answer
/// instead of meeting a reset (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_MS: u64 = 2000;

/// How one connection is treated, as its listener says.
#[derive(Default)]
pub struct Kind {
    /// Begins when the connection must close after the answer it is at.
    pub retired: Rc<Drain>,
    pub half_close: bool,
    /// The first bytes may be the preface of HTTP/2.
    pub prior_knowledge: bool,
}

pub struct Http1 {
    worker: Rc<Worker>,
    socket: Socket,
    limits: Rc<ListenerLimits>,
    kind: Kind,
    parser: RequestParser,
    inbound: Inbound,
    outbound: Outbound,
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

/// Serves a connection to its end. With `prior_knowledge` a client may speak HTTP/2 at once (RFC 9113 section 3.3): then the
/// socket comes back with what was read.
pub async fn run(
    worker: Rc<Worker>,
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<ListenerLimits>,
    kind: Kind,
) -> Option<(Socket, Buffer)> {
    let alarm = worker.wheel.alarm();
    let mut http1 = Http1::new(worker, socket, limits, kind);
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
    let mut http1 = Http1::new(worker, socket, limits, Kind::default());
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
    fn new(worker: Rc<Worker>, socket: Socket, limits: Rc<ListenerLimits>, kind: Kind) -> Self {
        let of_head = Limits { head: limits.head_bytes, fields: limits.head_fields, target: limits.target_bytes };
        Self {
            worker,
            socket,
            limits,
            kind,
            parser: RequestParser::new(of_head),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            protocol: Protocol::Http11,
            keep_alive: true,
            is_upgrade: false,
            expects: false,
            head_sent: false,
            ended: false,
            aborted: false,
        }
    }

    /// No further request is taken.
    fn closes(&self) -> bool {
        self.worker.drain.has_begun() || self.kind.retired.has_begun()
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
        self.kind.prior_knowledge = false;
        self.expects = framing.expect_continue;
        self.head_sent = false;
        self.outbound.renew();
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
}
