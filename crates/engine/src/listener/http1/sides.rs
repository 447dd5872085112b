//! The connection as the client of an exchange: the body that it sends, and the answer that it gets.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidegate_http1::{self as codec, Known, Version};

use super::Http1;
use crate::exchange::Protocol;
use crate::head::Head;
use crate::owned::Owned;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled, Sink, Source};
use crate::wire::inbound::ReadError;
use crate::wire::outbound::Framing;

/// Pipelined bytes taken ahead of the answer that is under way.
const READ_AHEAD: usize = 16 * 1024;
impl Http1 {
    fn fail(&mut self, error: io::Error) -> Failure {
        self.aborted = true;
        Failure::with(Code::ClientGone, error)
    }
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
        self.keep_alive &= !self.closes();
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
        if self.ended && !self.kind.half_close {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn keep_body(&mut self, bytes: u64) {
        self.inbound.keep(bytes);
    }

    fn can_rewind(&self) -> bool {
        self.inbound.can_rewind()
    }

    fn rewind(&mut self) -> bool {
        self.inbound.rewind()
    }

    fn head_sent(&self) -> bool {
        self.head_sent
    }

    fn recall(&mut self) -> bool {
        let recalled = self.outbound.recall();
        self.head_sent &= !recalled;
        recalled
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
