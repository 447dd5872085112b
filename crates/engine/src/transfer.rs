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
use crate::upstream::deadline::Deadline;
use crate::upstream::outcome::Outcome;
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
    /// When all must be over.
    pub deadline: Deadline,
    /// Of the service, from the end of the request to the head of its answer; [`NEVER`] without a limit.
    pub first_byte: Millis,
    /// From `began` to the head of the answer, as long as the client is not waited for; [`NEVER`] without a limit.
    pub attempt: Millis,
    /// When the attempt began, on the clock's line.
    pub began: Millis,
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
    /// By when the head of the answer must be there.
    head_due: Millis,
    /// When whoever is waited for has been silent for too long.
    silence_due: Millis,
    /// As `head_due`, once the whole request has gone.
    first_byte_due: Millis,
    answer_over: bool,
    tunnel: bool,
    /// Something moved since the alarm was set.
    moved: bool,
    waits: Waits,
    /// What the alarm is set for, and since when.
    armed: Waits,
    armed_at: Millis,
    /// How long the client was waited for.
    client_ms: Millis,
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
            head_due: patience.began.saturating_add(patience.attempt),
            silence_due: NEVER,
            first_byte_due: NEVER,
            answer_over: false,
            tunnel: false,
            moved: false,
            waits: Waits::UpstreamAnswers,
            armed: Waits::UpstreamAnswers,
            armed_at: now,
            client_ms: 0,
            interim_waits: false,
        };
        transfer.arm(now);
        transfer
    }

    /// The same with another alarm, for as long as that lives.
    pub fn with_alarm<'b>(self, clock: &'b Clock, alarm: &'b Alarm) -> Transfer<'b> {
        let Self { patience, request, head_due, silence_due, first_byte_due, answer_over, tunnel, .. } = self;
        let Self { waits, armed, armed_at, client_ms, interim_waits, .. } = self;
        let moved = true;
        Transfer {
            clock,
            alarm,
            patience,
            request,
            head_due,
            silence_due,
            first_byte_due,
            answer_over,
            tunnel,
            moved,
            waits,
            armed,
            armed_at,
            client_ms,
            interim_waits,
        }
    }

    /// More of the request body may be wanted.
    pub fn is_sending(&self) -> bool {
        matches!(self.request, Request::Sending | Request::Held { .. })
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
        self.head_due = NEVER;
        self.first_byte_due = NEVER;
        self.patience.first_byte = NEVER;
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

    /// The body may come. A client that was told so for an attempt before is not told again.
    fn go_on<C: Client>(&mut self, client: &mut C, head: &Head) {
        if client.bytes_received() == 0 {
            client.send_interim(100, head);
            self.interim_waits = true;
        }
        self.request = Request::Sending;
    }

    fn interim<C: Client>(&mut self, status: u16, head: &Head, client: &mut C) {
        self.moved = true;
        if status == 100 {
            if let Request::Held { .. } = self.request {
                self.go_on(client, head);
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
        self.patience.deadline = Deadline::default();
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
            self.go_on(client, &Head::default());
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
        if self.first_byte_due == NEVER && matches!(self.request, Request::Sent | Request::Abandoned) {
            self.first_byte_due = now.saturating_add(self.patience.first_byte);
        }
        self.silence_due = now.saturating_add(silence);
        let mut due = self.bounded(self.silence_due);
        if let Request::Held { until } = self.request {
            due = due.min(until);
        }
        self.alarm.set(due);
        self.client_ms = self.client_ms(now);
        self.armed_at = now;
        self.armed = self.waits;
        self.moved = false;
    }

    /// How long the client was waited for until now.
    pub fn client_ms(&self, now: Millis) -> Millis {
        match self.armed {
            Waits::Client => self.client_ms + now.saturating_sub(self.armed_at),
            Waits::UpstreamTakes | Waits::UpstreamAnswers | Waits::Both => self.client_ms,
        }
    }

    /// A due time, or what else comes before it.
    fn bounded(&self, due: Millis) -> Millis {
        due.min(self.patience.deadline.at).min(self.head_due).min(self.first_byte_due)
    }

    /// Ready with the failure when somebody was silent for too long, or the time of the exchange is over.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if self.moved || self.waits != self.armed {
            self.arm(self.clock.now());
        }
        ready!(self.alarm.poll(cx));
        let now = self.clock.now();
        if now >= self.patience.deadline.at {
            return Poll::Ready(self.patience.deadline.late.into());
        }
        if now >= self.first_byte_due {
            return Poll::Ready(Code::UpstreamFirstByteTimeout.into());
        }
        if now >= self.head_due {
            if self.waits != Waits::Client {
                return Poll::Ready(Code::UpstreamTryTimeout.into());
            }
            // The service is not to blame for a client that takes its time.
            self.head_due = now.saturating_add(self.patience.attempt);
            self.alarm.set(self.bounded(self.silence_due));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Request::Held { .. } = self.request {
            // The held body may go now: look at everything again.
            cx.waker().wake_by_ref();
            self.alarm.set(self.bounded(now.saturating_add(self.patience.read)));
            return Poll::Pending;
        }
        Poll::Ready(match self.waits {
            Waits::Client | Waits::Both => Code::BodyTimeout.into(),
            Waits::UpstreamTakes => Code::UpstreamWriteTimeout.into(),
            Waits::UpstreamAnswers => Code::UpstreamTimeout.into(),
        })
    }

    /// What a failure of this transfer says about the service: a deadline that passes while it owes something is its fault, too,
    /// unless the time was the caller's own.
    pub fn outcome(&self, failure: &Failure) -> Outcome {
        match failure.code {
            Code::Timeout if matches!(self.waits, Waits::UpstreamAnswers | Waits::UpstreamTakes) => {
                Outcome::Failed(Code::Timeout)
            }
            _ => Outcome::of(failure),
        }
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
