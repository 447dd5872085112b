//! One HTTP/1.1 exchange with a service, on a connection of the pool.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidegate_http1::{self as codec, Error, Known, Limits, Parse, RequestKind, ResponseParser, Version};

use crate::exchange::{Method, Request, Upgrade};
use crate::head::Head;
use crate::http2::websocket;
use crate::listener::socket::Socket;
use crate::respond::{Code, Failure};
use crate::sides::{Answered, BodySize, Filled, Sink, Source, Upstream};
use crate::snapshot::Pinned;
use crate::upstream::bulkhead::Held;
use crate::upstream::call::Outgoing;
use crate::upstream::target::Target;
use crate::wire::inbound::{Inbound, ReadError};
use crate::wire::outbound::{Framing, Outbound};
use crate::worker::Worker;

/// The head of an answer may be larger than a client's: cookies and policies add up.
const LIMITS: Limits = Limits { head: 64 * 1024, fields: 200, target: 0 };

/// Why `wire` is there.
const TAKEN: &str = "the connection is taken only when this is dropped";

/// Interim answers that one request may bring, before it counts as an attack.
const INTERIMS: u32 = 16;

/// A connection and what it reads and writes with; it stays together in the pool, so that a request allocates nothing.
pub struct Wire {
    pub socket: Socket,
    parser: ResponseParser,
    inbound: Inbound,
    outbound: Outbound,
    /// Sent requests before.
    reused: bool,
    /// Its place among the connections to the service, where these are bounded.
    _held: Held,
}

impl Wire {
    pub fn new(socket: Socket, held: Held) -> Box<Self> {
        Box::new(Self {
            socket,
            parser: ResponseParser::new(LIMITS),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            reused: false,
            _held: held,
        })
    }

    /// Silent and alive, as between two exchanges it must be.
    pub fn is_idle(&mut self) -> bool {
        self.socket.is_idle()
    }

    /// As [`Wire::is_idle`], and so sure that a request that must not be sent twice may go out on it.
    pub fn is_surely_idle(&mut self) -> bool {
        self.socket.is_idle() && !self.socket.has_ended()
    }
}

pub struct Http1Upstream {
    worker: Rc<Worker>,
    snapshot: Pinned,
    service: usize,
    target: Arc<Target>,
    /// Taken only when this is dropped.
    wire: Option<Box<Wire>>,
    kind: RequestKind,
    wants_switch: bool,
    /// What a service must answer to the key that was made for it.
    accept: Option<[u8; 28]>,
    interims: u32,
    /// The head of the final answer was read.
    answered: bool,
    /// A byte of an answer came.
    heard: bool,
    keep_alive: bool,
    failed: bool,
}

impl Http1Upstream {
    /// `service` is the index of the service in the snapshot.
    pub fn new(
        worker: &Rc<Worker>,
        snapshot: &Pinned,
        service: usize,
        target: &Arc<Target>,
        mut wire: Box<Wire>,
    ) -> Self {
        wire.outbound.out = worker.lend_out();
        wire.parser.clear();
        Self {
            worker: worker.clone(),
            snapshot: snapshot.clone(),
            service,
            target: target.clone(),
            wire: Some(wire),
            kind: RequestKind::Ordinary,
            wants_switch: false,
            accept: None,
            interims: 0,
            answered: false,
            heard: false,
            keep_alive: false,
            failed: false,
        }
    }

    /// Writes the head of a request; buffered until the first flush, so a body that is there leaves with it.
    pub fn send_head(&mut self, request: &Request, outgoing: &Outgoing<'_>) {
        self.kind = match request.method {
            Method::Head => RequestKind::Head,
            _ => RequestKind::Ordinary,
        };
        self.wants_switch = request.upgrade != Upgrade::None;
        let wants_switch = self.wants_switch;
        let outbound = &mut self.wire.as_mut().expect(TAKEN).outbound;
        let out = &mut outbound.out;
        codec::write_request_line(out, outgoing.method, outgoing.target, Version::Http11);
        codec::write_field(out, b"host", outgoing.host);
        for (_, name, value) in outgoing.head.iter() {
            if !outgoing.replaces(name) {
                codec::write_field(out, name, value);
            }
        }
        for line in outgoing.instead {
            if let Some(value) = &line.value {
                codec::write_field(out, line.name, value);
            }
        }
        if request.trailers {
            out.extend_from_slice(b"te: trailers\r\n");
        }
        if let Upgrade::Connect(protocol) = request.upgrade {
            self.accept = write_upgrade(out, protocol.of(request.head.bytes()));
        }
        if wants_switch {
            out.extend_from_slice(b"connection: upgrade\r\n");
        } else if request.trailers {
            out.extend_from_slice(b"connection: te\r\n");
        }
        let framing = match outgoing.body {
            // RFC 9110 section 8.6: methods that anticipate content say that there is none.
            BodySize::Empty | BodySize::Length(0) => {
                if matches!(request.method, Method::Post | Method::Put | Method::Patch) {
                    codec::write_content_length(out, 0);
                }
                Framing::None
            }
            BodySize::Length(length) => {
                codec::write_content_length(out, length);
                Framing::Length(length)
            }
            BodySize::Unknown => {
                codec::write_chunked(out);
                Framing::Chunked(0)
            }
        };
        out.extend_from_slice(codec::HEAD_END);
        outbound.begin(framing);
    }

    fn wire(&self) -> &Wire {
        self.wire.as_ref().expect(TAKEN)
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.wire.as_mut().expect(TAKEN)
    }

    fn fail(&mut self, code: Code, detail: impl std::fmt::Display) -> Failure {
        self.failed = true;
        let service = &self.snapshot.services[self.service];
        Failure::with(code, format_args!("service {}: {}: {detail}", service.name, self.target.name))
    }

    fn io_failure(&mut self, error: io::Error) -> Failure {
        self.fail(Code::UpstreamReset, error)
    }

    fn parse(&mut self, head: &mut Head) -> Result<Option<Answered>, Failure> {
        let wire = self.wire_mut();
        match wire.parser.parse(wire.inbound.buffer.data()) {
            Ok(Parse::Partial) => Ok(None),
            Ok(Parse::Complete) => self.take_head(head).map(Some),
            Err(error @ (Error::HeadTooLarge | Error::TooManyFields)) => {
                Err(self.fail(Code::UpstreamHeadTooLarge, error.code()))
            }
            Err(error) => Err(self.fail(Code::UpstreamMalformed, error.code())),
        }
    }

    fn take_head(&mut self, out: &mut Head) -> Result<Answered, Failure> {
        let wire = self.wire.as_mut().expect(TAKEN);
        let head = wire.parser.head();
        let data = wire.inbound.buffer.data();
        let (status, length) = (head.status, head.length);
        let framing = match codec::response_framing(head, data, self.kind) {
            Ok(framing) => framing,
            Err(error) => return Err(self.fail(Code::UpstreamMalformed, error.code())),
        };
        if framing.switched && !self.wants_switch {
            return Err(self.fail(Code::UpstreamMalformed, "a switch of protocols that nobody asked for"));
        }
        out.fill(&data[..length], &head.fields, head.seen);
        if head.seen.contains(Known::Connection) {
            for name in codec::connection_nominated(&head.fields, data) {
                if !(framing.switched && name.eq_ignore_ascii_case(b"upgrade")) {
                    out.remove(name);
                }
            }
        }
        out.remove_where(|known| match known {
            Known::Upgrade => !framing.switched,
            known => known.is_hop_by_hop() || known.is_framing(),
        });
        wire.inbound.buffer.consume(length);
        wire.parser.clear();
        if framing.interim {
            self.interims += 1;
            if self.interims > INTERIMS {
                return Err(self.fail(Code::UpstreamMalformed, "too many interim answers"));
            }
            return Ok(Answered::Interim(status));
        }
        self.answered = true;
        if framing.switched {
            if self.accept.is_some_and(|accept| out.get(b"sec-websocket-accept") != Some(&accept)) {
                return Err(self.fail(Code::UpstreamMalformed, "the WebSocket key was not answered"));
            }
            wire.inbound.begin_raw();
            wire.outbound.begin(Framing::Raw);
            return Ok(Answered::Tunnel { status });
        }
        self.keep_alive = framing.keep_alive;
        wire.inbound.begin(framing.body, u64::MAX);
        let size = match framing.body {
            codec::BodyLength::None => BodySize::Empty,
            codec::BodyLength::Length(length) => BodySize::Length(length),
            codec::BodyLength::Chunked | codec::BodyLength::Close => BodySize::Unknown,
        };
        Ok(Answered::Final { status, size, length: framing.content_length })
    }
}

/// Asks for the switch that a client of HTTP/2 wants (RFC 8441), which brings no key; returns what must be answered to ours.
fn write_upgrade(out: &mut Vec<u8>, protocol: &[u8]) -> Option<[u8; 28]> {
    codec::write_field(out, b"upgrade", protocol);
    if !protocol.eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let key = websocket::new_key();
    codec::write_field(out, b"sec-websocket-key", &key);
    Some(websocket::accept(&key))
}

impl Drop for Http1Upstream {
    fn drop(&mut self) {
        let Some(mut wire) = self.wire.take() else { return };
        wire.inbound.finish();
        let clean = self.keep_alive
            && self.answered
            && !self.failed
            && wire.inbound.is_done()
            && wire.inbound.buffer.is_empty()
            && wire.outbound.is_flushed()
            && wire.outbound.is_complete();
        self.worker.return_buffer(std::mem::take(&mut wire.inbound.buffer));
        self.worker.return_out(std::mem::take(&mut wire.outbound.out));
        wire.reused = true;
        self.worker.pools.give_back(&self.worker, &self.snapshot.services[self.service], &self.target, wire, clean);
    }
}

impl Source for Http1Upstream {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        let wire = self.wire_mut();
        let filled = ready!(wire.inbound.poll_fill(cx, &mut wire.socket));
        Poll::Ready(filled.map_err(|error| match error {
            ReadError::Io(error) => self.io_failure(error),
            ReadError::Cut => self.fail(Code::UpstreamReset, "the answer was cut off"),
            ReadError::Chunk(error) => self.fail(Code::UpstreamMalformed, error.code()),
            ReadError::TooLarge => self.fail(Code::UpstreamMalformed, "the answer is too large"),
        }))
    }

    fn chunk(&self) -> &[u8] {
        self.wire().inbound.chunk()
    }

    fn consume(&mut self, count: usize) {
        self.wire_mut().inbound.consume(count);
    }

    fn is_last(&self) -> bool {
        self.wire().inbound.is_last()
    }

    fn trailers(&self) -> Option<&Head> {
        self.wire().inbound.trailers()
    }
}

impl Sink for Http1Upstream {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        let wire = self.wire_mut();
        let sent = ready!(wire.outbound.poll_send(cx, &mut wire.socket, source));
        Poll::Ready(sent.map_err(|error| Failure::with(Code::UpstreamReset, error)))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        self.wire_mut().outbound.end(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let wire = self.wire_mut();
        let flushed = ready!(wire.outbound.poll_flush(cx, &mut wire.socket));
        if wire.outbound.framing == Framing::Raw && wire.outbound.is_ended() && flushed.is_ok() {
            // The client's side of the tunnel is done: pass the half-close on.
            let _: io::Result<()> = ready!(wire.socket.poll_shutdown_write(cx));
        }
        Poll::Ready(flushed.map_err(|error| Failure::with(Code::UpstreamReset, error)))
    }
}

impl Upstream for Http1Upstream {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Answered, Failure>> {
        loop {
            if !self.wire().inbound.buffer.is_empty()
                && let Some(answered) = self.parse(head)?
            {
                return Poll::Ready(Ok(answered));
            }
            let worker = &self.worker;
            let wire = self.wire.as_mut().expect(TAKEN);
            if wire.inbound.buffer.capacity() == 0 {
                wire.inbound.buffer = worker.lend_buffer();
            }
            wire.inbound.buffer.reserve(1);
            match wire.inbound.buffer.poll_read(cx, &mut wire.socket) {
                Poll::Ready(Ok(0)) => {
                    let failure = match self.heard {
                        false => self.fail(Code::UpstreamClosed, "no answer"),
                        true => self.fail(Code::UpstreamReset, "the head of the answer was cut off"),
                    };
                    return Poll::Ready(Err(failure));
                }
                Poll::Ready(Ok(_)) => self.heard = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.io_failure(error))),
                Poll::Pending => {
                    if wire.inbound.buffer.is_empty() {
                        worker.return_buffer(std::mem::take(&mut wire.inbound.buffer));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_stale(&self) -> bool {
        self.wire().reused && !self.heard
    }
}
