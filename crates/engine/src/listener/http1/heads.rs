//! Waits for the head of a request, within its time and its limits.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tidegate_http1::{Error, Parse};

use super::Http1;
use crate::respond::Code;
use crate::wheel::Alarm;

/// How every HTTP/2 connection begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why the wait for a head ended without one.
pub(super) enum Quiet {
    /// Closed, idle too long, or draining: nothing to say.
    Leave,
    Refuse(Code, &'static str),
    Http2,
}

impl Http1 {
    /// Waits for a whole head, which then stands in the parser and at the start of the buffer.
    pub(super) async fn next_head(&mut self, alarm: &Alarm, fresh: bool) -> Result<(), Quiet> {
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
                        if !started && !fresh && self.closes() {
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
        if self.kind.prior_knowledge {
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
                Error::BadVersion if self.kind.prior_knowledge && !is_like_http1(data) => return Quiet::Leave,
                Error::HeadTooLarge => Code::HeadTooLarge,
                Error::TooManyFields => Code::TooManyFields,
                Error::TargetTooLong => Code::TargetTooLong,
                Error::UnsupportedVersion => Code::UnsupportedVersion,
                _ => Code::MalformedRequest,
            };
            Quiet::Refuse(code, error.code())
        })
    }
}

/// A request line that is wrong, but one: it names a path, or HTTP.
fn is_like_http1(data: &[u8]) -> bool {
    data.windows(2).any(|word| word == b" /") || data.windows(5).any(|word| word == b"HTTP/")
}
