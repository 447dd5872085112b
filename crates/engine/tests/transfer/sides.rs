//! Scripted sides: the test pushes what a peer does, and grants what it takes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tidegate_engine::head::Head;
use tidegate_engine::respond::Failure;
use tidegate_engine::sides::{Answered, BodySize, Client, Filled, Sink, Source, Upstream};

/// What a sink holds back before it says `Pending`, as a write buffer does.
pub const HOLD: usize = 16;

/// What a peer sends: the test pushes, the machine reads.
#[derive(Default)]
pub struct Inbox {
    pieces: VecDeque<Result<Option<Vec<u8>>, Failure>>,
    chunk: Vec<u8>,
    trailers: Option<Head>,
    ended: bool,
    reader: Option<Waker>,
    pub gone: bool,
    watcher: Option<Waker>,
    answers: VecDeque<Result<(Answered, Head), Failure>>,
    answer_reader: Option<Waker>,
    /// Bytes that the machine took.
    pub consumed: usize,
}

/// What goes to a peer, item by item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Interim(u16),
    Head(u16, BodySize),
    Byte(u8),
    End(Vec<(String, String)>),
}

/// What the peer was sent; `room` says how much more it takes.
#[derive(Default)]
pub struct Outbox {
    held: VecDeque<Item>,
    pub wire: Vec<Item>,
    pub room: usize,
    pub broken: bool,
    writer: Option<Waker>,
    pub most_held: usize,
    pub aborted: bool,
    pub closes: bool,
    pub raw: bool,
}

pub type In = Rc<RefCell<Inbox>>;
pub type Out = Rc<RefCell<Outbox>>;

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Inbox {
    pub fn push(&mut self, bytes: &[u8]) {
        self.pieces.push_back(Ok(Some(bytes.to_vec())));
        wake(&mut self.reader);
    }

    pub fn end(&mut self) {
        self.pieces.push_back(Ok(None));
        wake(&mut self.reader);
    }

    pub fn end_with(&mut self, name: &str, value: &str) {
        let mut trailers = Head::default();
        trailers.add(name.as_bytes(), value.as_bytes());
        self.trailers = Some(trailers);
        self.end();
    }

    pub fn fail(&mut self, failure: impl Into<Failure>) {
        self.pieces.push_back(Err(failure.into()));
        wake(&mut self.reader);
    }

    pub fn leave(&mut self) {
        self.gone = true;
        wake(&mut self.watcher);
    }

    pub fn answer(&mut self, answered: Answered) {
        self.answers.push_back(Ok((answered, Head::default())));
        wake(&mut self.answer_reader);
    }

    pub fn fail_answer(&mut self, failure: impl Into<Failure>) {
        self.answers.push_back(Err(failure.into()));
        wake(&mut self.answer_reader);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        if !self.chunk.is_empty() {
            return Poll::Ready(Ok(Filled::Data));
        }
        if self.ended {
            return Poll::Ready(Ok(Filled::End));
        }
        match self.pieces.pop_front() {
            Some(Ok(Some(bytes))) => {
                self.chunk = bytes;
                Poll::Ready(Ok(Filled::Data))
            }
            Some(Ok(None)) => {
                self.ended = true;
                Poll::Ready(Ok(Filled::End))
            }
            Some(Err(failure)) => Poll::Ready(Err(failure)),
            None => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Outbox {
    /// The peer takes that many items more.
    pub fn grant(&mut self, items: usize) {
        self.room = self.room.saturating_add(items);
        wake(&mut self.writer);
    }

    pub fn break_off(&mut self) {
        self.broken = true;
        wake(&mut self.writer);
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.wire.iter().filter_map(|item| if let Item::Byte(byte) = item { Some(*byte) } else { None }).collect()
    }

    pub fn ended(&self) -> bool {
        matches!(self.wire.last(), Some(Item::End(_)))
    }

    fn push(&mut self, item: Item) {
        self.held.push_back(item);
        self.most_held = self.most_held.max(self.held.len());
    }

    fn drain(&mut self) {
        let count = self.room.min(self.held.len());
        self.room -= count;
        self.wire.extend(self.held.drain(..count));
    }

    fn poll_send<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        broken: Failure,
    ) -> Poll<Result<(), Failure>> {
        assert!(!source.chunk().is_empty(), "a sink is asked to take an empty chunk");
        if self.broken {
            return Poll::Ready(Err(broken));
        }
        if self.held.len() >= HOLD {
            self.drain();
        }
        let count = HOLD.saturating_sub(self.held.len());
        if count == 0 {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for byte in source.take(count).iter() {
            self.push(Item::Byte(*byte));
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, trailers: Option<&Head>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = trailers.into_iter().flat_map(Head::iter);
        self.push(Item::End(fields.map(|(_, name, value)| (text(name), text(value))).collect()));
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, broken: Failure) -> Poll<Result<(), Failure>> {
        if self.broken {
            return Poll::Ready(Err(broken));
        }
        self.drain();
        if self.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Either side: what it brings, and what it takes.
pub struct Fake {
    pub input: In,
    pub output: Out,
    broken: Failure,
    /// What `chunk()` lends, as the input is behind a cell.
    chunk: Vec<u8>,
    trailers: Option<Head>,
}

impl Fake {
    pub fn new(broken: impl Into<Failure>) -> Self {
        Self { input: In::default(), output: Out::default(), broken: broken.into(), chunk: Vec::new(), trailers: None }
    }
}

impl Source for Fake {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        let mut input = self.input.borrow_mut();
        let filled = input.poll_fill(cx);
        self.chunk.clone_from(&input.chunk);
        if matches!(filled, Poll::Ready(Ok(Filled::End))) {
            self.trailers = input.trailers.take();
        }
        filled
    }

    fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    fn consume(&mut self, count: usize) {
        let mut input = self.input.borrow_mut();
        input.chunk.drain(..count);
        input.consumed += count;
        self.chunk.clone_from(&input.chunk);
    }

    fn is_last(&self) -> bool {
        false
    }

    fn trailers(&self) -> Option<&Head> {
        self.trailers.as_ref()
    }
}

impl Sink for Fake {
    fn poll_send<S: Source>(&mut self, cx: &mut Context<'_>, source: &mut S) -> Poll<Result<(), Failure>> {
        self.output.borrow_mut().poll_send(cx, source, self.broken.clone())
    }

    fn end(&mut self, trailers: Option<&Head>) {
        self.output.borrow_mut().end(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.output.borrow_mut().poll_flush(cx, self.broken.clone())
    }
}

impl Client for Fake {
    fn send_interim(&mut self, status: u16, _head: &Head) {
        self.output.borrow_mut().push(Item::Interim(status));
    }

    fn send_head(&mut self, status: u16, _head: &Head, size: BodySize, _length: Option<u64>) {
        self.output.borrow_mut().push(Item::Head(status, size));
    }

    fn start_tunnel(&mut self) {
        self.output.borrow_mut().raw = true;
        let mut input = self.input.borrow_mut();
        input.ended = false;
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut input = self.input.borrow_mut();
        if input.gone {
            return Poll::Ready(());
        }
        input.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    fn limit_body(&mut self, _bytes: u64) {}

    fn patience(&self) -> u64 {
        super::scene::CLIENT_MS
    }

    fn close_after(&mut self) {
        self.output.borrow_mut().closes = true;
    }

    fn can_rewind(&self) -> bool {
        self.input.borrow().consumed == 0
    }

    fn rewind(&mut self) -> bool {
        self.input.borrow().consumed == 0
    }

    fn head_sent(&self) -> bool {
        self.output.borrow().wire.iter().any(|item| matches!(item, Item::Head(..)))
    }

    fn bytes_sent(&self) -> u64 {
        0
    }

    fn bytes_received(&self) -> u64 {
        self.input.borrow().consumed as u64
    }

    fn abort(&mut self) {
        self.output.borrow_mut().aborted = true;
    }
}

impl Upstream for Fake {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Answered, Failure>> {
        let mut input = self.input.borrow_mut();
        match input.answers.pop_front() {
            Some(Ok((answered, fields))) => {
                *head = fields;
                Poll::Ready(Ok(answered))
            }
            Some(Err(failure)) => Poll::Ready(Err(failure)),
            None => {
                input.answer_reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_stale(&self) -> bool {
        false
    }
}
