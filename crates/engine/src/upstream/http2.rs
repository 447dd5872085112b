//! One request to a service over HTTP/2: a stream of a shared connection.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Response, Uri, Version};
use tidegate_http1::Known;

use crate::clock::Millis;
use crate::exchange::{Method as Verb, Request, Upgrade};
use crate::head::Head;
use crate::http2::inbound::{Inbound, ReadError};
use crate::http2::outbound::{self, Outbound, SendError};
use crate::http2::{fields, websocket};
use crate::respond::{Code, Failure};
use crate::sides::{Answered, BodySize, Filled, Sink, Source, Upstream};
use crate::snapshot::Pinned;
use crate::upstream::call::Outgoing;
use crate::upstream::http2_links::{Links, Place};
use crate::upstream::service::Service;
use crate::upstream::target::Target;
use crate::worker::Worker;

/// More interim answers than this count as an attack.
const INTERIMS: u32 = 16;
const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

pub struct Http2Upstream {
    snapshot: Pinned,
    service: usize,
    target: Arc<Target>,
    place: Place,
    response: Option<ResponseFuture>,
    inbound: Inbound,
    outbound: Option<Outbound>,
    switch: Switch,
    is_head: bool,
    interims: u32,
    /// Something of an answer came.
    heard: bool,
    /// The service said that it did not look at the request.
    unseen: bool,
    failed: bool,
    /// What kept the request from being sent, until somebody asks.
    failure: Option<Failure>,
}

/// A switch of protocols that was asked for, and what an HTTP/1.1 client needs for its answer.
enum Switch {
    None,
    Http2,
    Http1 { protocol: Box<[u8]>, accept: Option<[u8; 28]> },
}

/// Takes a stream of a connection to the target, which is opened before `due` where there is none.
pub async fn open(
    worker: &Rc<Worker>,
    snapshot: &Pinned,
    service: usize,
    target: &Arc<Target>,
    due: Millis,
) -> Result<Box<Http2Upstream>, Failure> {
    let place = Links::take(worker, &snapshot.services[service], target, due).await?;
    Ok(Box::new(Http2Upstream {
        snapshot: snapshot.clone(),
        service,
        target: target.clone(),
        place,
        response: None,
        inbound: Inbound::absent(),
        outbound: None,
        switch: Switch::None,
        is_head: false,
        interims: 0,
        heard: false,
        unseen: false,
        failed: false,
        failure: None,
    }))
}

impl Http2Upstream {
    /// Sends the head of a request. A connection that has broken meanwhile shows when the answer is asked for.
    pub fn send_head(&mut self, request: &Request, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        let bad = || Failure::with(Code::InternalError, "a request that cannot be sent over HTTP/2");
        let mut headers = fields::to_map(outgoing.head, 2).map_err(|_| bad())?;
        for line in outgoing.instead {
            let name = line.header_name().ok_or_else(bad)?;
            match &line.value {
                Some(value) => drop(headers.insert(name, HeaderValue::from_bytes(value).map_err(|_| bad())?)),
                None => drop(headers.remove(name)),
            }
        }
        if let BodySize::Length(length @ 1..) = outgoing.body {
            fields::set_length(&mut headers, length);
        }
        if request.trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        self.is_head = request.method == Verb::Head;
        let mut message = http::Request::new(());
        *message.version_mut() = Version::HTTP_2;
        *message.uri_mut() = self.uri(outgoing).ok_or_else(bad)?;
        match self.take_switch(request, &mut headers)? {
            Some(protocol) => {
                *message.method_mut() = Method::CONNECT;
                message.extensions_mut().insert(protocol);
            }
            None => *message.method_mut() = Method::from_bytes(outgoing.method).map_err(|_| bad())?,
        }
        *message.headers_mut() = headers;
        let over = request.upgrade == Upgrade::None && matches!(outgoing.body, BodySize::Empty | BodySize::Length(0));
        match self.place.with_sender(|sender| sender.send_request(message, over)) {
            Some(Ok((response, stream))) => {
                self.response = Some(response);
                self.outbound = Some(Outbound::new(stream, over));
            }
            Some(Err(error)) => self.not_sent(error),
            None => self.not_sent("the connection takes no more requests"),
        }
        Ok(())
    }

    fn not_sent(&mut self, cause: impl std::fmt::Display) {
        self.unseen = true;
        self.failure = Some(self.fail(Code::UpstreamClosed, cause));
    }

    fn uri(&self, outgoing: &Outgoing<'_>) -> Option<Uri> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if self.service().tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.place.authority(outgoing.host)?);
        let target = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(outgoing.target)).ok();
        // The `http` crate cuts a `#` and what follows off; then the service would get another target than was decided on.
        parts.path_and_query = target.filter(|target| target.as_str().len() == outgoing.target.len());
        Uri::from_parts(parts).ok()
    }

    /// Turns a switch of protocols into an extended CONNECT (RFC 8441), where the service takes those.
    fn take_switch(&mut self, request: &Request, headers: &mut HeaderMap) -> Result<Option<Protocol>, Failure> {
        let protocol = match request.upgrade {
            Upgrade::None => return Ok(None),
            Upgrade::Connect(protocol) => {
                self.switch = Switch::Http2;
                protocol.of(request.head.bytes())
            }
            Upgrade::Http1 => {
                let protocol = request.head.get_known(Known::Upgrade).unwrap_or_default();
                let accept = headers.remove(SEC_WEBSOCKET_KEY).map(|key| websocket::accept(key.as_bytes()));
                self.switch = Switch::Http1 { protocol: protocol.into(), accept };
                protocol
            }
        };
        let known = std::str::from_utf8(protocol).ok().filter(|name| tidegate_http1::is_token(name.as_bytes()));
        let enabled = self.place.with_sender(|sender| sender.is_extended_connect_protocol_enabled());
        match known {
            Some(name) if enabled == Some(true) => Ok(Some(Protocol::from(&*name.to_ascii_lowercase()))),
            _ => Err(self.fail(Code::UpstreamConnectFailed, "it does not switch protocols over HTTP/2 (RFC 8441)")),
        }
    }

    fn service(&self) -> &Service {
        &self.snapshot.services[self.service]
    }

    fn fail(&mut self, code: Code, detail: impl std::fmt::Display) -> Failure {
        self.failed = true;
        let service = self.service();
        Failure::with(code, format_args!("service {}: {}: {detail}", service.name, self.target.name))
    }

    fn stream_failure(&mut self, error: &h2::Error) -> Failure {
        // RFC 9113 sections 6.8 and 8.7: the service did not look at such a request.
        self.unseen |=
            !self.heard && error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM));
        let code = match error.is_library() {
            true => Code::UpstreamMalformed,
            false if self.heard => Code::UpstreamReset,
            false => Code::UpstreamClosed,
        };
        self.fail(code, error)
    }

    /// True while the service is known not to have seen the request.
    pub fn is_unseen(&self) -> bool {
        self.unseen
    }

    fn take_head(&mut self, answer: Response<RecvStream>, head: &mut Head) -> Result<Answered, Failure> {
        let (parts, body) = answer.into_parts();
        self.check_status(parts.status.as_u16())?;
        if fields::from_map(&parts.headers, head).is_err() {
            return Err(self.fail(Code::UpstreamMalformed, "white space around a field value"));
        }
        let length = self.content_length(&parts.headers)?;
        let status = parts.status.as_u16();
        let ended = body.is_end_stream();
        self.inbound = Inbound::new(body, false);
        if parts.status.is_success() && !matches!(self.switch, Switch::None) {
            self.name_switch(head);
            // As HTTP/1.1 says it; a client of HTTP/2 is told 200 again.
            return Ok(Answered::Tunnel { status: 101 });
        }
        let bodiless = self.is_head || matches!(status, 204 | 304);
        let size = match length {
            _ if bodiless => BodySize::Empty,
            _ if ended => BodySize::Length(0),
            Some(length) => BodySize::Length(length),
            None => BodySize::Unknown,
        };
        Ok(Answered::Final { status, size, length })
    }

    /// The `http` crate takes every number from 100 to 999. RFC 9113 section 8.6: HTTP/2 has no 101; passed on to an HTTP/1.1
    /// client it would put the two out of step.
    fn check_status(&mut self, status: u16) -> Result<(), Failure> {
        match status {
            101 | 600.. => Err(self.fail(Code::UpstreamMalformed, format_args!("status {status}"))),
            _ => Ok(()),
        }
    }

    /// `h2` holds the body to it; here it only has to be one number.
    fn content_length(&mut self, map: &HeaderMap) -> Result<Option<u64>, Failure> {
        let mut values = map.get_all(CONTENT_LENGTH).iter();
        let parsed = match (values.next(), values.next()) {
            (None, _) => return Ok(None),
            (Some(value), None) => value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())),
            _ => None,
        };
        match parsed.and_then(|text| text.parse().ok()) {
            Some(length) => Ok(Some(length)),
            None => Err(self.fail(Code::UpstreamMalformed, "bad content-length")),
        }
    }

    /// Gives an HTTP/1.1 client the fields of its 101.
    fn name_switch(&self, head: &mut Head) {
        if let Switch::Http1 { protocol, accept } = &self.switch {
            head.set(b"upgrade", protocol);
            if let Some(accept) = accept {
                head.set(b"sec-websocket-accept", accept);
            }
        }
    }

    fn sent(&mut self, sent: Result<(), SendError>) -> Result<(), Failure> {
        sent.map_err(|error| match error {
            SendError::Stream(error) => self.stream_failure(&error),
            SendError::Closed => self.fail(Code::UpstreamReset, "it takes no more of the request"),
            SendError::Trailers => self.fail(Code::InternalError, "a trailer cannot be sent"),
        })
    }
}

impl Drop for Http2Upstream {
    /// The stream that is dropped unfinished is cancelled by its handles.
    fn drop(&mut self) {
        if self.response.is_some() && !self.heard && !self.failed {
            self.place.given_up();
        }
    }
}

impl Source for Http2Upstream {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        let filled = ready!(self.inbound.poll_fill(cx));
        Poll::Ready(filled.map_err(|error| match error {
            ReadError::Stream(error) => self.stream_failure(&error),
            ReadError::Trailers => self.fail(Code::UpstreamMalformed, "white space around the value of a trailer"),
            ReadError::TooLarge => self.fail(Code::UpstreamMalformed, "the answer is too large"),
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

impl Sink for Http2Upstream {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        let sent = ready!(outbound::poll_send(&mut self.outbound, cx, source));
        Poll::Ready(self.sent(sent))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        outbound::end(&mut self.outbound, trailers, Reason::CANCEL);
    }

    /// Nothing to do: the connection writes what its streams have, all together, when it is polled next.
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

impl Upstream for Http2Upstream {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Answered, Failure>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(self.fail(Code::InternalError, "an answer was asked for twice")));
        };
        match ready!(response.poll_informational(cx)) {
            Some(Ok(interim)) => {
                self.heard = true;
                self.interims += 1;
                if self.interims > INTERIMS {
                    return Poll::Ready(Err(self.fail(Code::UpstreamMalformed, "too many interim answers")));
                }
                self.check_status(interim.status().as_u16())?;
                if fields::from_map(interim.headers(), head).is_err() {
                    return Poll::Ready(Err(self.fail(Code::UpstreamMalformed, "white space around a field value")));
                }
                return Poll::Ready(Ok(Answered::Interim(interim.status().as_u16())));
            }
            Some(Err(error)) => return Poll::Ready(Err(self.stream_failure(&error))),
            None => {}
        }
        match ready!(Pin::new(response).poll(cx)) {
            Ok(answer) => {
                self.heard = true;
                self.place.answered();
                self.response = None;
                Poll::Ready(self.take_head(answer, head))
            }
            Err(error) => Poll::Ready(Err(self.stream_failure(&error))),
        }
    }

    fn is_stale(&self) -> bool {
        self.failed && !self.heard && (self.place.reused || self.unseen)
    }
}
