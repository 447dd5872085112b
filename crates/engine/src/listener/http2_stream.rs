//! One stream of an HTTP/2 client: its request's body in, the answer out.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{DATE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::head::Head;
use crate::http2::fields;
use crate::http2::inbound::{Inbound, ReadError};
use crate::http2::outbound::{self, Outbound, SendError};
use crate::owned::Owned;
use crate::plan::ListenerLimits;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled, Sink, Source};
use crate::worker::Worker;

pub struct Http2 {
    worker: Rc<Worker>,
    limits: Rc<ListenerLimits>,
    respond: SendResponse<Bytes>,
    inbound: Inbound,
    /// There once the head of the answer went.
    outbound: Option<Outbound>,
    head_sent: bool,
    /// A switch of protocols is asked for: the answer's head does not end the stream.
    wants_switch: bool,
}

impl Http2 {
    pub fn new(
        worker: &Rc<Worker>,
        limits: &Rc<ListenerLimits>,
        respond: SendResponse<Bytes>,
        body: RecvStream,
        wants_switch: bool,
    ) -> Self {
        Self {
            worker: worker.clone(),
            limits: limits.clone(),
            respond,
            inbound: Inbound::new(body, true),
            outbound: None,
            head_sent: false,
            wants_switch,
        }
    }

    fn answer(&mut self, status: u16, mut map: HeaderMap, over: bool) {
        self.head_sent = true;
        if !map.contains_key(DATE) {
            map.insert(DATE, self.date());
        }
        let mut response = Response::new(());
        *response.status_mut() = self.status(status);
        *response.headers_mut() = map;
        match self.respond.send_response(response, over) {
            Ok(stream) => self.outbound = Some(Outbound::new(stream, over)),
            // The client broke the stream off; every later call says so.
            Err(_) => self.outbound = None,
        }
    }

    /// RFC 8441 section 5: a switch of protocols is a success. So another success, for which the service did not switch, is none.
    fn status(&self, status: u16) -> StatusCode {
        match status {
            101 => StatusCode::OK,
            200..=299 if self.wants_switch => StatusCode::BAD_GATEWAY,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
        }
    }

    fn date(&self) -> HeaderValue {
        let mut date = Vec::with_capacity(29);
        self.worker.write_date(&mut date);
        let mut date = HeaderValue::from_maybe_shared(Bytes::from(date)).expect("a date is visible ASCII");
        date.set_sensitive(true); // kept out of the compressor's table, see `fields`
        date
    }

    fn sent(&mut self, sent: Result<(), SendError>) -> Result<(), Failure> {
        sent.map_err(|error| match error {
            SendError::Stream(error) => Failure::with(Code::ClientGone, error),
            SendError::Closed => Code::ClientGone.into(),
            SendError::Trailers => Failure::with(Code::InternalError, "a trailer cannot be sent"),
        })
    }
}

impl Source for Http2 {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        let filled = ready!(self.inbound.poll_fill(cx));
        Poll::Ready(filled.map_err(|error| match error {
            // The body is not as long as it said, for one.
            ReadError::Stream(error) if error.is_library() && error.is_reset() => Failure::with(Code::BadBody, error),
            ReadError::Stream(error) => Failure::with(Code::ClientGone, error),
            ReadError::Trailers => Failure::with(Code::BadBody, "white space around the value of a trailer"),
            ReadError::TooLarge => Code::BodyTooLarge.into(),
        }))
    }

    fn chunk(&self) -> &[u8] {
        self.inbound.chunk()
    }

    fn consume(&mut self, count: usize) {
        self.inbound.consume(count);
    }

    fn take(&mut self, most: usize) -> Bytes {
        self.inbound.take(most)
    }

    fn is_last(&self) -> bool {
        self.inbound.is_last()
    }

    fn trailers(&self) -> Option<&Head> {
        self.inbound.trailers()
    }
}

impl Sink for Http2 {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        let sent = ready!(outbound::poll_send(&mut self.outbound, cx, source));
        Poll::Ready(self.sent(sent))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        outbound::end(&mut self.outbound, trailers, Reason::INTERNAL_ERROR);
    }

    /// Nothing to do: the connection writes what its streams have, all together, when it is polled next.
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

impl Client for Http2 {
    fn send_interim(&mut self, status: u16, head: &Head) {
        let Ok(map) = fields::to_map(head, 0) else { return };
        let Ok(status) = StatusCode::from_u16(status) else { return };
        // RFC 9113 section 8.6: there is no 101.
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = map;
        // Fails when the client has gone, which the next poll finds.
        let _: Result<(), h2::Error> = self.respond.send_informational(response);
    }

    fn send_head(&mut self, status: u16, head: &Head, size: BodySize, length: Option<u64>) {
        self.inbound.forget();
        let Ok(mut map) = fields::to_map(head, 2) else {
            self.abort();
            return;
        };
        let announced = match size {
            // 204 carries no length (RFC 9110 section 8.6); HEAD and 304 carry what a GET would have.
            BodySize::Empty => length.filter(|_| status != 204),
            // The end of the stream says it, too; so only what the service said is said.
            BodySize::Length(0) => length,
            BodySize::Length(length) => Some(length),
            BodySize::Unknown => None,
        };
        if let Some(length) = announced.filter(|_| !self.wants_switch) {
            fields::set_length(&mut map, length);
        }
        if self.wants_switch {
            map.remove("sec-websocket-accept");
        }
        let over = matches!(size, BodySize::Empty | BodySize::Length(0)) && !self.wants_switch;
        self.answer(status, map, over);
    }

    fn start_tunnel(&mut self) {
        self.inbound.limit = u64::MAX;
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.outbound {
            Some(outbound) => outbound.poll_reset(cx),
            None if self.head_sent => return Poll::Ready(()),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| ())
    }

    fn limit_body(&mut self, bytes: u64) {
        self.inbound.limit = bytes;
    }

    fn limit_trailers(&mut self, owned: &Arc<Owned>) {
        self.inbound.limit_trailers(owned);
    }

    fn patience(&self) -> u64 {
        self.limits.idle_timeout_ms
    }

    /// A stream ends alone; its connection stays. The end of the answer tells the client to send no more (RFC 9113 section 8.1).
    fn close_after(&mut self) {}

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

    fn bytes_sent(&self) -> u64 {
        self.outbound.as_ref().map_or(0, Outbound::bytes)
    }

    fn bytes_received(&self) -> u64 {
        self.inbound.received()
    }

    fn abort(&mut self) {
        self.head_sent = true;
        match &mut self.outbound {
            Some(outbound) => outbound.reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
