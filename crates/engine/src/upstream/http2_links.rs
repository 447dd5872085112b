//! HTTP/2 connections to services, shared by the exchanges of a worker.
//!
//! Each is driven by a local task. A request takes a stream of the first connection that has one free; when none has, one
//! more is opened, by one task for all that wait.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::{Ping, PingPong};
use http::uri::Authority;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::clock::{Millis, NEVER};
use crate::listener::socket::Socket;
use crate::respond::{Code, Failure};
use crate::telemetry::metrics::ServiceSeries;
use crate::upstream::bulkhead::{Got, Held};
use crate::upstream::connect::connect;
use crate::upstream::service::Service;
use crate::upstream::target::Target;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Credit that services get: what one answer, and all of a connection, may have waiting for slow clients.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
const SEND_BUFFER: usize = 128 * 1024;
const HEAD_BYTES: u32 = 64 * 1024;
/// Streams that we cancelled and still know, so that what was on its way for them is no error.
const CANCELLED_STREAMS: usize = 256;
/// A silence this long is a reason to doubt a connection.
const SILENCE_MS: Millis = 2_000;
/// A connection that seems dead has so long to answer a ping.
const PROBE_MS: Millis = 5_000;
/// A ping this often while streams are open: not more often than gRPC servers put up with (gRFC A8: 5 minutes).
const KEEPALIVE_MS: Millis = 310_000;

/// The slot of a target.
type Key = usize;

/// All HTTP/2 connections of a worker, by target.
#[derive(Default)]
pub struct Links {
    groups: RefCell<FxHashMap<Key, Group>>,
}

#[derive(Default)]
struct Group {
    links: Vec<Rc<Link>>,
    opening: Option<Rc<Opening>>,
    /// A service of the snapshot has the target; only meant within a sweep.
    current: bool,
}

/// A connection that is being opened, and those who wait for it.
#[derive(Default)]
struct Opening {
    failure: RefCell<Option<Failure>>,
    done: Cell<bool>,
    waiting: Notify,
}

/// One connection.
pub struct Link {
    /// Gone once no new stream may be opened.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    streams: Cell<usize>,
    idle_since: Cell<Millis>,
    /// A request was sent over it.
    used: Cell<bool>,
    /// It is driven still.
    alive: Cell<bool>,
    /// Answers that came over it.
    answers: Cell<u64>,
    /// A request was given up after a long silence: no more go this way before a ping is answered.
    suspect: Cell<bool>,
    alarm: Alarm,
    series: Arc<ServiceSeries>,
    /// The last `:authority`, parsed.
    authority: RefCell<Option<Authority>>,
}

/// A stream's place on a connection, given back when it is dropped.
pub struct Place {
    worker: Rc<Worker>,
    key: Key,
    link: Rc<Link>,
    idle_timeout_ms: Millis,
    taken: Millis,
    /// Answers that had come over the connection when this was taken.
    answers: u64,
    /// The connection had carried a request before.
    pub reused: bool,
}

impl Links {
    /// A place on a connection that has one free, or on a new one.
    pub async fn take(
        worker: &Rc<Worker>,
        service: &Arc<Service>,
        target: &Arc<Target>,
        due: Millis,
    ) -> Result<Place, Failure> {
        let key = target.slot;
        loop {
            let opening = match worker.links.find(key) {
                Ok(link) => return Ok(Place::new(worker, link, service, key)),
                Err(Some(opening)) => opening,
                Err(None) => open(worker, service, target),
            };
            wait(worker, service, target, &opening, due).await?;
        }
    }

    /// A connection has a free stream.
    fn has_room(&self, key: Key) -> bool {
        let groups = self.groups.borrow();
        groups.get(&key).is_some_and(|group| group.links.iter().any(|link| link.is_usable() && link.has_room()))
    }

    /// Closes idle connections to a service for those who wait for one.
    pub fn reclaim(&self, worker: &Worker, service: &Service) {
        let groups = self.groups.borrow();
        for member in &service.targets.set().members {
            let links = groups.get(&member.target.slot).into_iter().flat_map(|group| &group.links);
            for link in links.filter(|link| link.streams.get() == 0) {
                // Without a sender and streams the connection says GOAWAY and ends.
                *link.sender.borrow_mut() = None;
                link.alarm.set(worker.now());
            }
        }
    }

    /// A connection with a free stream; else what is being opened already.
    fn find(&self, key: Key) -> Result<Rc<Link>, Option<Rc<Opening>>> {
        let mut groups = self.groups.borrow_mut();
        let group = groups.entry(key).or_default();
        group.links.retain(|link| link.is_usable());
        match group.links.iter().find(|link| link.has_room()) {
            Some(link) => Ok(link.clone()),
            None => Err(group.opening.clone()),
        }
    }

    fn opened(&self, key: Key, opened: Result<Rc<Link>, Failure>, opening: &Opening) {
        let mut groups = self.groups.borrow_mut();
        let group = groups.entry(key).or_default();
        group.opening = None;
        match opened {
            Ok(link) => group.links.push(link),
            Err(failure) => *opening.failure.borrow_mut() = Some(failure),
        }
        if group.links.is_empty() {
            groups.remove(&key);
        }
        opening.done.set(true);
        opening.waiting.notify_waiters();
    }

    fn opening(&self, key: Key) -> Option<Rc<Opening>> {
        self.groups.borrow().get(&key)?.opening.clone()
    }

    /// Lets go of connections to targets that are gone: no new stream is opened, and without streams they end.
    pub fn sweep(&self, worker: &Worker) {
        let mut groups = self.groups.borrow_mut();
        if groups.is_empty() {
            return;
        }
        for service in &worker.snapshot().services {
            for member in &service.targets.set().members {
                if let Some(group) = groups.get_mut(&member.target.slot) {
                    group.current = true;
                }
            }
        }
        let mut ended = Vec::new();
        for group in groups.values_mut() {
            if !std::mem::take(&mut group.current) {
                for link in &group.links {
                    ended.push(link.sender.borrow_mut().take());
                    link.alarm.set(worker.now());
                }
            }
        }
        // Dropping one may run its driver's side of it.
        drop(groups);
        drop(ended);
    }

    fn remove(&self, key: Key, link: &Rc<Link>) {
        let mut groups = self.groups.borrow_mut();
        if let Some(group) = groups.get_mut(&key) {
            group.links.retain(|known| !Rc::ptr_eq(known, link));
            if group.links.is_empty() && group.opening.is_none() {
                groups.remove(&key);
            }
        }
    }
}

/// Opens a connection in a task of its own: it goes on when the exchange that asked for it does not.
fn open(worker: &Rc<Worker>, service: &Arc<Service>, target: &Arc<Target>) -> Rc<Opening> {
    let key = target.slot;
    let opening = Rc::new(Opening::default());
    worker.links.groups.borrow_mut().entry(key).or_default().opening = Some(opening.clone());
    let (worker, service, target, mine) = (worker.clone(), service.clone(), target.clone(), opening.clone());
    tokio::task::spawn_local(async move {
        let opened = match take_slot(&worker, &service, &target).await {
            Ok(held) => establish(&worker, &service, &target, held).await,
            Err(failure) => Err(failure),
        };
        worker.links.opened(key, opened, &mine);
    });
    opening
}

/// A place among the connections to the service, where these are bounded.
async fn take_slot(worker: &Worker, service: &Service, target: &Target) -> Result<Held, Failure> {
    let Some(connections) = &service.connections else { return Ok(None) };
    loop {
        // What is handed are connections of HTTP/1.1; there are none of these.
        if let Got::Slot(slot) = connections.ask(worker, target.slot, NEVER).await? {
            return Ok(Some(slot));
        }
    }
}

async fn wait(
    worker: &Rc<Worker>,
    service: &Arc<Service>,
    target: &Arc<Target>,
    opening: &Opening,
    due: Millis,
) -> Result<(), Failure> {
    let started = worker.now();
    // Where there may be no more connections, a stream may become free before another is opened.
    while !opening.done.get() && !worker.links.has_room(target.slot) {
        tokio::select! {
            biased;
            () = opening.waiting.notified() => {}
            () = worker.wheel.sleep_until(due) => return Err(late(worker, service, target, started)),
        }
    }
    if worker.links.has_room(target.slot) {
        return Ok(());
    }
    opening.failure.borrow().clone().map_or(Ok(()), Err)
}

fn late(worker: &Rc<Worker>, service: &Service, target: &Target, started: Millis) -> Failure {
    let name = &target.name;
    let after = worker.now() - started;
    Failure::with(
        Code::UpstreamConnectTimeout,
        format_args!("service {}: HTTP/2 with {name} timed out after {after}ms", service.name),
    )
}

/// Connects and waits until the service has answered a ping: then it speaks HTTP/2, and its settings are known.
async fn establish(
    worker: &Rc<Worker>,
    service: &Arc<Service>,
    target: &Arc<Target>,
    held: Held,
) -> Result<Rc<Link>, Failure> {
    let started = worker.now();
    let due = started.saturating_add(service.plan.connect_timeout_ms);
    let socket = connect(worker, service, target, due).await?;
    let failed = |error: h2::Error| {
        let name = &target.name;
        let message = format_args!("service {}: HTTP/2 with {name}: {error}", service.name);
        Failure::with(Code::UpstreamConnectFailed, message)
    };
    let (sender, mut connection) = builder().handshake(socket).await.map_err(failed)?;
    let mut pings = connection.ping_pong().expect("it is taken once");
    pings.send_ping(Ping::opaque()).map_err(failed)?;
    let alarm = worker.wheel.alarm();
    alarm.set(due);
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(Err(failed(ended.err().unwrap_or(h2::Reason::NO_ERROR.into()))));
        }
        match pings.poll_pong(cx) {
            Poll::Ready(pong) => Poll::Ready(pong.map(|_| ()).map_err(failed)),
            Poll::Pending => alarm.poll(cx).map(|()| Err(late(worker, service, target, started))),
        }
    })
    .await?;
    if sender.current_max_send_streams() == 0 {
        // Another connection would be no better, and those who wait would open one after another.
        let name = &target.name;
        let message = format_args!("service {}: HTTP/2 with {name}: it allows no streams", service.name);
        return Err(Failure::with(Code::UpstreamConnectFailed, message));
    }
    service.series.opened(worker.index);
    let idle_timeout_ms = service.plan.pool.idle_timeout_ms;
    alarm.set(worker.now().saturating_add(idle_timeout_ms));
    let link = Rc::new(Link {
        sender: RefCell::new(Some(sender)),
        streams: Cell::new(0),
        idle_since: Cell::new(worker.now()),
        used: Cell::new(false),
        alive: Cell::new(true),
        answers: Cell::new(0),
        suspect: Cell::new(false),
        alarm,
        series: service.series.clone(),
        authority: RefCell::new(None),
    });
    let driver = Driver {
        worker: worker.clone(),
        link: link.clone(),
        connection,
        pings,
        pinged: NEVER,
        idle_timeout_ms,
        _held: held,
    };
    tokio::task::spawn_local(driver.run(target.slot));
    Ok(link)
}

fn builder() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEAD_BYTES)
        .max_concurrent_reset_streams(CANCELLED_STREAMS);
    builder
}

impl Link {
    /// New streams may be opened over it, now or later. After a GOAWAY or an error none may.
    fn is_usable(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match &mut *self.sender.borrow_mut() {
            Some(sender) => !matches!(sender.poll_ready(&mut cx), Poll::Ready(Err(_))),
            None => false,
        }
    }

    fn has_room(&self) -> bool {
        let most = self.sender.borrow().as_ref().map_or(0, SendRequest::current_max_send_streams);
        !self.suspect.get() && self.streams.get() < most
    }
}

impl Place {
    fn new(worker: &Rc<Worker>, link: Rc<Link>, service: &Service, key: Key) -> Self {
        let streams = link.streams.get();
        link.streams.set(streams + 1);
        let reused = link.used.replace(true);
        if reused && streams == 0 {
            link.series.reused(worker.index);
        }
        let answers = link.answers.get();
        let idle_timeout_ms = service.plan.pool.idle_timeout_ms;
        Self { worker: worker.clone(), key, link, idle_timeout_ms, taken: worker.now(), answers, reused }
    }

    /// Calls `send` with the connection's sender; `None` when it takes no more requests.
    pub fn with_sender<T>(&self, send: impl FnOnce(&mut SendRequest<Bytes>) -> T) -> Option<T> {
        self.link.sender.borrow_mut().as_mut().map(send)
    }

    /// The authority, parsed once for all requests in a row that have the same.
    pub fn authority(&self, text: &[u8]) -> Option<Authority> {
        let mut last = self.link.authority.borrow_mut();
        if last.as_ref().is_none_or(|known| known.as_str().as_bytes() != text) {
            *last = Authority::try_from(text).ok();
        }
        last.clone()
    }

    /// An answer has begun on this stream, so the connection lives.
    pub fn answered(&self) {
        self.link.answers.set(self.link.answers.get() + 1);
    }

    /// The request was given up without an answer. When the whole connection has been silent meanwhile it may be dead.
    pub fn given_up(&self) {
        let now = self.worker.now();
        if self.answers == self.link.answers.get() && now - self.taken >= SILENCE_MS {
            self.link.suspect.set(true);
            self.link.alarm.set(now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let streams = self.link.streams.get() - 1;
        self.link.streams.set(streams);
        if let Some(opening) = self.worker.links.opening(self.key) {
            opening.waiting.notify_waiters();
        }
        if streams > 0 {
            return;
        }
        if self.link.alive.get() {
            self.link.series.parked(self.worker.index);
        }
        let now = self.worker.now();
        self.link.idle_since.set(now);
        if !self.link.suspect.get() {
            self.link.alarm.set(now.saturating_add(self.idle_timeout_ms));
        }
    }
}

/// Drives one connection to its end.
struct Driver {
    worker: Rc<Worker>,
    link: Rc<Link>,
    connection: client::Connection<Socket, Bytes>,
    pings: PingPong,
    /// When the ping that is under way must be answered; `NEVER` while there is none.
    pinged: Millis,
    idle_timeout_ms: Millis,
    _held: Held,
}

impl Driver {
    async fn run(mut self, key: Key) {
        poll_fn(|cx| self.poll(cx)).await;
        let link = &self.link;
        *link.sender.borrow_mut() = None;
        link.alive.set(false);
        match link.streams.get() == 0 && link.used.get() {
            true => link.series.closed_idle(self.worker.index),
            false => link.series.closed_busy(self.worker.index),
        }
        self.worker.links.remove(key, link);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An error reaches the streams; there is nobody else to tell.
        if Pin::new(&mut self.connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.pinged != NEVER && self.pings.poll_pong(cx).is_ready() {
            self.pinged = NEVER;
            self.link.suspect.set(false);
            self.arm();
        }
        while self.link.alarm.poll(cx).is_ready() {
            let now = self.worker.now();
            if self.pinged <= now {
                return Poll::Ready(());
            }
            if self.link.streams.get() == 0 && !self.link.suspect.get() {
                if now >= self.link.idle_since.get().saturating_add(self.idle_timeout_ms) {
                    // Without a sender and streams the connection says GOAWAY and ends.
                    *self.link.sender.borrow_mut() = None;
                    cx.waker().wake_by_ref();
                    self.link.alarm.set(now.saturating_add(PROBE_MS));
                    self.pinged = now.saturating_add(PROBE_MS);
                    continue;
                }
                self.arm();
            } else if self.pinged == NEVER {
                self.ping(cx, now);
            } else {
                self.link.alarm.set(self.pinged);
            }
        }
        Poll::Pending
    }

    fn arm(&self) {
        let due = match self.link.streams.get() {
            0 => self.link.idle_since.get().saturating_add(self.idle_timeout_ms),
            _ => self.worker.now().saturating_add(KEEPALIVE_MS),
        };
        self.link.alarm.set(due);
    }

    fn ping(&mut self, cx: &mut Context<'_>, now: Millis) {
        if self.pings.send_ping(Ping::opaque()).is_ok() {
            self.pinged = now.saturating_add(PROBE_MS);
            let _: Poll<Result<h2::Pong, h2::Error>> = self.pings.poll_pong(cx);
        }
        self.link.alarm.set(now.saturating_add(PROBE_MS));
    }
}
