//! What passes between the two sides of an exchange: a state machine that knows no sockets and no routes.
//!
//! ```text
//!              request head sent
//!                     |
//!   until_answer:  request body ->   <- interim answers        both at once; ends with the head of the answer
//!                     |
//!   bodies:        request body ->   <- answer body            ends with the end of the answer (tunnel: of both)
//! ```
//!
//! An early answer does not stop the request body; a service that takes no more of it does. The end of the answer ends the
//! exchange: what is then left of the request is the client connection's business.

use std::task::{Context, Poll, ready};

use crate::clock::{Clock, Millis, NEVER};
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{Answered, Client, Filled, Upstream};
use crate::wheel::Alarm;

/// How long a client that waits for a 100 is kept waiting when the service does not say it (RFC 9110 section 10.1.1).
const CONTINUE_MS: Millis = 1000;

/// Longest silences, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Of the service, while we wait for a byte of its answer.
    pub read: Millis,
    /// Of the service, while it takes no byte of the request.
    pub write: Millis,
    /// Of the client, both ways.
    pub client: Millis,
    /// When all must be over, on the clock's line; [`crate::clock::NEVER`] without a limit.
    pub deadline: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// Held back until the service says 100, or the client has waited long enough.
    Held {
        until: Millis,
    },
    Sending,
    /// All was taken by the service's side, and may wait to be flushed.
    Flushing,
    Sent,
    /// The service takes no more.
    Abandoned,
    /// Held back until the service switches protocols; nothing goes before.
    Tunnel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Client,
    UpstreamTakes,
    UpstreamAnswers,
    /// The answer waits for the service and the rest of the request for the client: both may be silent, as in a stream that
    /// goes both ways.
    Both,
}

pub struct Transfer<'a> {
    clock: &'a Clock,
    alarm: &'a Alarm,
    patience: Patience,
    request: Request,
    answer_over: bool,
    tunnel: bool,
    /// Something moved since the alarm was set.
    moved: bool,
    waits: Waits,
    /// What the alarm is set for.
    armed: Waits,
    /// An interim answer was not yet handed to the transport.
    interim_waits: bool,
}

impl<'a> Transfer<'a> {
    /// `now` is the time of the caller's last clock read.
    pub fn new(clock: &'a Clock, alarm: &'a Alarm, patience: Patience, now: Millis, body: Begin) -> Self {
        let request = match body {
            Begin::Send => Request::Sending,
            Begin::Nothing => Request::Flushing,
            Begin::AwaitContinue => Request::Held { until: now.saturating_add(CONTINUE_MS) },
            Begin::AwaitHandler => Request::Held { until: NEVER },
            Begin::AwaitSwitch => Request::Tunnel,
        };
        let mut transfer = Self {
            clock,
            alarm,
            patience,
            request,
            answer_over: false,
            tunnel: false,
            moved: false,
            waits: Waits::UpstreamAnswers,
            armed: Waits::UpstreamAnswers,
            interim_waits: false,
        };
        transfer.arm(now);
        transfer
    }

    /// Sends the request body until the head of an answer is there; interim answers are passed on.
    pub fn poll_until_answer<C: Client, U: Upstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
        head: &mut Head,
    ) -> Poll<Result<Answered, Failure>> {
        self.waits = Waits::UpstreamAnswers;
        loop {
            self.pump_request(cx, client, upstream)?;
            match upstream.poll_answer(cx, head) {
                Poll::Ready(Ok(Answered::Interim(status))) => {
                    self.interim(status, head, client);
                    head.clear();
                }
                Poll::Ready(Ok(answered)) => return Poll::Ready(self.answered(answered)),
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => break,
            }
        }
        if self.interim_waits {
            self.interim_waits = client.poll_flush(cx)?.is_pending();
            if self.interim_waits {
                self.waits = Waits::Client;
            }
        }
        if self.watches_client() && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Code::ClientGone.into()));
        }
        self.poll_patience(cx).map(Err)
    }

    /// No read of the request body is under way, which would see that the client has left: its connection is watched instead.
    fn watches_client(&self) -> bool {
        self.request != Request::Sending
    }

    /// The head of the answer is there, or the switch of protocols.
    fn answered(&mut self, answered: Answered) -> Result<Answered, Failure> {
        self.moved = true;
        match (self.request, answered) {
            (Request::Held { .. } | Request::Sending, Answered::Tunnel { .. }) => {
                let early = "it switched protocols before it had the request (RFC 9110 section 7.8)";
                return Err(Failure::with(Code::UpstreamMalformed, early));
            }
            // RFC 9110 section 10.1.1: a final answer instead of the 100; the body may never come.
            (Request::Held { .. }, _) => self.request = Request::Abandoned,
            // The switch is refused, and there is no body.
            (Request::Tunnel, Answered::Final { .. }) => self.request = Request::Flushing,
            _ => {}
        }
        Ok(answered)
    }

    fn interim<C: Client>(&mut self, status: u16, head: &Head, client: &mut C) {
        self.moved = true;
        if status == 100 {
            if let Request::Held { .. } = self.request {
                client.send_interim(100, head);
                self.interim_waits = true;
                self.request = Request::Sending;
            }
        } else {
            client.send_interim(status, head);
            self.interim_waits = true;
        }
    }

    /// From here on both bodies are raw bytes.
    pub fn start_tunnel(&mut self) {
        self.tunnel = true;
        self.request = Request::Sending;
        // A tunnel has no answer to wait for; only its silence is bounded.
        self.patience.deadline = NEVER;
    }

    /// The answer has no body, or none that the client may see.
    pub fn skip_answer(&mut self) {
        self.answer_over = true;
    }

    /// Passes the bodies on until the answer is over and handed to the transport.
    pub fn poll_bodies<C: Client, U: Upstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
    ) -> Poll<Result<(), Failure>> {
        self.waits = Waits::UpstreamAnswers;
        self.pump_answer(cx, client, upstream)?;
        if self.request != Request::Sent && (self.tunnel || !self.answer_over) {
            let of_answer = self.waits;
            self.pump_request(cx, client, upstream)?;
            self.waits = match (of_answer, self.waits) {
                (Waits::Client, _) => Waits::Client,
                (_, Waits::Client) if !self.answer_over => Waits::Both,
                (_, of_request) => of_request,
            };
        }
        if self.answer_over {
            match client.poll_flush(cx)? {
                Poll::Ready(()) if !self.tunnel || matches!(self.request, Request::Sent | Request::Abandoned) => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(()) => {}
                Poll::Pending => self.waits = Waits::Client,
            }
        } else if !self.tunnel && self.watches_client() && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Code::ClientGone.into()));
        }
        self.poll_patience(cx).map(Err)
    }

    fn pump_answer<C: Client, U: Upstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
    ) -> Result<(), Failure> {
        while !self.answer_over {
            match upstream.poll_fill(cx) {
                Poll::Ready(Ok(Filled::Data)) => match client.poll_send(cx, upstream) {
                    Poll::Ready(sent) => {
                        sent?;
                        self.moved = true;
                    }
                    Poll::Pending => {
                        self.waits = Waits::Client;
                        return Ok(());
                    }
                },
                Poll::Ready(Ok(Filled::End)) => {
                    self.moved = true;
                    self.answer_over = true;
                    client.end(upstream.trailers());
                }
                Poll::Ready(Err(failure)) => return Err(failure),
                Poll::Pending => {
                    if client.poll_flush(cx)?.is_pending() {
                        self.waits = Waits::Client;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Moves as much of the request body as both sides allow. Only the client's failures come back: when the service takes no
    /// more, its answer may be on the way all the same, and decides.
    fn pump_request<C: Client, U: Upstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
    ) -> Result<(), Failure> {
        if let Request::Held { until } = self.request {
            if self.clock.now() < until {
                self.flush_request(cx, upstream);
                return Ok(());
            }
            client.send_interim(100, &Head::default());
            self.interim_waits = true;
            self.request = Request::Sending;
        }
        while self.request == Request::Sending {
            match client.poll_fill(cx) {
                Poll::Ready(Ok(Filled::Data)) => match upstream.poll_send(cx, client) {
                    Poll::Ready(Ok(())) => self.moved = true,
                    Poll::Ready(Err(_)) => self.request = Request::Abandoned,
                    Poll::Pending => {
                        self.waits = Waits::UpstreamTakes;
                        return Ok(());
                    }
                },
                Poll::Ready(Ok(Filled::End)) => {
                    upstream.end(client.trailers());
                    self.request = Request::Flushing;
                    self.moved = true;
                }
                Poll::Ready(Err(failure)) => return Err(failure),
                Poll::Pending => {
                    if self.flush_request(cx, upstream) {
                        self.waits = Waits::Client;
                    }
                    return Ok(());
                }
            }
        }
        if matches!(self.request, Request::Flushing | Request::Tunnel) {
            self.flush_request(cx, upstream);
        }
        Ok(())
    }

    /// True when nothing is left to flush.
    fn flush_request<U: Upstream>(&mut self, cx: &mut Context<'_>, upstream: &mut U) -> bool {
        match upstream.poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.waits = Waits::UpstreamAnswers;
                if self.request == Request::Flushing {
                    self.request = Request::Sent;
                    self.moved = true;
                }
                true
            }
            Poll::Ready(Err(_)) => {
                self.request = Request::Abandoned;
                true
            }
            Poll::Pending => {
                self.waits = Waits::UpstreamTakes;
                false
            }
        }
    }

    fn arm(&mut self, now: Millis) {
        let silence = match self.waits {
            Waits::Client => self.patience.client,
            Waits::UpstreamTakes => self.patience.write,
            Waits::UpstreamAnswers => self.patience.read,
            Waits::Both => self.patience.read.max(self.patience.client),
        };
        let mut due = now.saturating_add(silence).min(self.patience.deadline);
        if let Request::Held { until } = self.request {
            due = due.min(until);
        }
        self.alarm.set(due);
        self.armed = self.waits;
        self.moved = false;
    }

    /// Ready with the failure when somebody was silent for too long, or the time of the exchange is over.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if self.moved || self.waits != self.armed {
            self.arm(self.clock.now());
        }
        ready!(self.alarm.poll(cx));
        if self.clock.now() >= self.patience.deadline {
            return Poll::Ready(Code::Timeout.into());
        }
        if let Request::Held { .. } = self.request {
            // The held body may go now: look at everything again.
            cx.waker().wake_by_ref();
            self.alarm.set(self.clock.now().saturating_add(self.patience.read).min(self.patience.deadline));
            return Poll::Pending;
        }
        Poll::Ready(match self.waits {
            Waits::Client | Waits::Both => Code::BodyTimeout.into(),
            Waits::UpstreamTakes => Code::UpstreamWriteTimeout.into(),
            Waits::UpstreamAnswers => Code::UpstreamTimeout.into(),
        })
    }

    /// The rest of the request body will not be read.
    pub fn request_is_abandoned(&self) -> bool {
        self.request == Request::Abandoned
    }
}

/// What there is of a request body, and when it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    Nothing,
    Send,
    AwaitContinue,
    /// As `AwaitContinue`, but a handler is always asked: it reads the body or answers without.
    AwaitHandler,
    AwaitSwitch,
}
