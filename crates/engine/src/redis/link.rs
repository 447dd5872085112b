//! One connection of one worker: commands go out together, answers come back in order.
//!
//! [`Link::send`] only appends to what the next write takes and wakes the driver, so all requests that a worker handles in
//! one turn leave in one write. The driver is a task on the same thread: nothing crosses threads, and there is no channel.
//! One timer serves all that wait: an answer that is late is given up, and swallowed when it comes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listener::socket::Socket;
use crate::redis::resp::{self, Reply};
use crate::redis::{StoreError, error};

/// Commands that may wait for their answers.
const MOST_WAITING: usize = 8192;
/// A server that owes an answer for so long is taken for gone, and the connection is opened anew.
pub const SILENCE: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 * 1024;
/// Longest part of an answer that is kept until the rest comes; the longest that we ask for is the map of a cluster.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Memory above this is given back once it is empty.
const KEPT_BYTES: usize = 256 * 1024;

#[derive(Default)]
pub struct Link {
    /// What the next write takes.
    out: RefCell<Vec<u8>>,
    waiting: RefCell<VecDeque<Waiter>>,
    driver: RefCell<Option<Waker>>,
    /// The earliest due time that `send` has seen and the driver has not.
    earliest: Cell<Option<Instant>>,
    closed: Cell<bool>,
}

/// Whose turn it is when the next answer comes.
struct Waiter {
    sent: Instant,
    due: Instant,
    /// `None`: nobody wants the answer any more.
    promise: Option<Rc<Promise>>,
}

#[derive(Default)]
struct Promise {
    outcome: RefCell<Option<Result<Reply, StoreError>>>,
    waker: RefCell<Option<Waker>>,
}

impl Promise {
    fn keep(&self, outcome: Result<Reply, StoreError>) {
        *self.outcome.borrow_mut() = Some(outcome);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Reply, StoreError>> {
        if let Some(outcome) = self.outcome.borrow_mut().take() {
            return Poll::Ready(outcome);
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Link {
    /// Ends the connection; whatever waits for an answer is told that it is lost.
    pub fn close(&self) {
        self.closed.set(true);
        self.wake_driver();
    }

    /// Sends what `write` appends, which must be one command, and waits for its answer until `due`.
    pub async fn ask(&self, now: Instant, due: Instant, write: impl FnOnce(&mut Vec<u8>)) -> Result<Reply, StoreError> {
        let promise = Rc::new(Promise::default());
        self.send(now, due, Some(promise.clone()), write)?;
        poll_fn(|cx| promise.poll(cx)).await
    }

    /// Sends one command whose answer nobody wants.
    pub fn tell(&self, now: Instant, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), StoreError> {
        self.send(now, now + SILENCE, None, write)
    }

    fn send(
        &self,
        now: Instant,
        due: Instant,
        promise: Option<Rc<Promise>>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        if self.closed.get() {
            return Err(StoreError::Lost);
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= MOST_WAITING {
            return Err(StoreError::Full);
        }
        write(&mut self.out.borrow_mut());
        waiting.push_back(Waiter { sent: now, due, promise });
        if self.earliest.get().is_none_or(|earliest| due < earliest) {
            self.earliest.set(Some(due));
        }
        self.wake_driver();
        Ok(())
    }

    fn wake_driver(&self) {
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Carries bytes until the connection ends, for whatever reason, and says why.
    pub async fn drive(self: Rc<Self>, socket: Socket) -> error::Ended {
        let mut driver = Driver::new(socket);
        let ended = poll_fn(|cx| driver.poll(&self, cx)).await;
        self.closed.set(true);
        for waiter in self.waiting.take() {
            if let Some(promise) = waiter.promise {
                promise.keep(Err(StoreError::Lost));
            }
        }
        ended
    }

    fn answered(&self, reply: Reply) -> Result<(), error::Ended> {
        let waiter = self.waiting.borrow_mut().pop_front().ok_or(error::Ended::Malformed)?;
        if let Some(promise) = waiter.promise {
            promise.keep(Ok(reply));
        }
        Ok(())
    }

    /// Gives up what is due; when to look again, or that the server is silent.
    fn expire(&self, now: Instant) -> Result<Option<Instant>, error::Ended> {
        let mut waiting = self.waiting.borrow_mut();
        let Some(silent) = waiting.front().map(|oldest| oldest.sent + SILENCE) else { return Ok(None) };
        if silent <= now {
            return Err(error::Ended::Silent);
        }
        let mut next = silent;
        for waiter in waiting.iter_mut() {
            match &waiter.promise {
                Some(promise) if waiter.due <= now => {
                    promise.keep(Err(StoreError::Late));
                    waiter.promise = None;
                }
                Some(_) => next = next.min(waiter.due),
                None => {}
            }
        }
        Ok(Some(next))
    }
}

/// The task's side of a connection.
struct Driver {
    socket: Socket,
    writing: Vec<u8>,
    written: usize,
    flushed: bool,
    input: Vec<u8>,
    filled: usize,
    timer: Pin<Box<Sleep>>,
    /// When the timer rings; `None` while nothing waits.
    armed: Option<Instant>,
}

impl Driver {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            writing: Vec::new(),
            written: 0,
            flushed: true,
            input: vec![0; READ_BYTES],
            filled: 0,
            timer: Box::pin(sleep_until(Instant::now())),
            armed: None,
        }
    }

    fn poll(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<error::Ended> {
        *link.driver.borrow_mut() = Some(cx.waker().clone());
        if link.closed.get() {
            return Poll::Ready(error::Ended::Closed);
        }
        if let Poll::Ready(Err(error)) = self.poll_write(link, cx) {
            return Poll::Ready(error::Ended::Io(error));
        }
        if let Poll::Ready(ended) = self.poll_read(link, cx) {
            return Poll::Ready(ended);
        }
        self.poll_timer(link, cx)
    }

    fn poll_write(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.writing.shrink_to(KEPT_BYTES);
                self.written = 0;
                std::mem::swap(&mut self.writing, &mut link.out.borrow_mut());
            }
            if self.writing.is_empty() {
                break;
            }
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.writing[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.flushed = false;
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<error::Ended> {
        loop {
            if self.filled == self.input.len() {
                if self.filled >= MOST_BYTES {
                    return Poll::Ready(error::Ended::Malformed);
                }
                self.input.resize(self.input.len() * 2, 0);
            }
            let mut room = ReadBuf::new(&mut self.input[self.filled..]);
            if let Err(error) = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room)) {
                return Poll::Ready(error::Ended::Io(error));
            }
            let count = room.filled().len();
            if count == 0 {
                return Poll::Ready(error::Ended::Closed);
            }
            self.filled += count;
            if let Err(ended) = self.take_replies(link) {
                return Poll::Ready(ended);
            }
        }
    }

    fn take_replies(&mut self, link: &Link) -> Result<(), error::Ended> {
        let mut taken = 0;
        while taken < self.filled {
            match resp::parse(&self.input[taken..self.filled]).map_err(|_| error::Ended::Malformed)? {
                Some((reply, length)) => {
                    taken += length;
                    link.answered(reply)?;
                }
                None => break,
            }
        }
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        if self.filled > 0 && link.waiting.borrow().is_empty() {
            return Err(error::Ended::Malformed);
        }
        if self.filled == 0 && self.input.len() > KEPT_BYTES {
            self.input = vec![0; READ_BYTES];
        }
        Ok(())
    }

    /// The timer is set for the first that waits and not moved when its answer comes: it rings, finds nothing due, and is set
    /// for the next. So it costs something per budget, not per command.
    fn poll_timer(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<error::Ended> {
        if let Some(earliest) = link.earliest.take()
            && self.armed.is_none_or(|armed| earliest < armed)
        {
            self.arm(Some(earliest));
        }
        while self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            match link.expire(Instant::now()) {
                Ok(next) => self.arm(next),
                Err(ended) => return Poll::Ready(ended),
            }
        }
        Poll::Pending
    }

    fn arm(&mut self, due: Option<Instant>) {
        self.armed = due;
        if let Some(due) = due {
            self.timer.as_mut().reset(due);
        }
    }
}
