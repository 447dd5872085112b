//! What one worker thread owns. Nothing here is shared; connections never leave their worker.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use crate::bridge::Bridge;
use crate::buffer::{BUFFER_BYTES, Buffer};
use crate::clock::{Clock, Millis};
use crate::date::Date;
use crate::exchange::{Connection, Exchange};
use crate::listener::http2_tasks::Tasks;
use crate::policies::Local;
use crate::snapshot::Pinned;
use crate::telemetry::Telemetry;
use crate::upstream::balance::dice::Dice;
use crate::upstream::http2_links::Links;
use crate::upstream::pool::Pools;
use crate::wheel::Wheel;

/// A buffer that grew past this is not kept.
const KEPT_BYTES: usize = 128 * 1024;
const KEPT_BUFFERS: usize = 128;

pub struct Worker {
    pub index: usize,
    pub clock: Clock,
    pub wheel: Rc<Wheel>,
    current: RefCell<Pinned>,
    pub pools: Pools,
    /// HTTP/2 connections to services, shared by the streams of this worker.
    pub links: Links,
    /// Tasks for the streams of HTTP/2 clients.
    pub tasks: Tasks,
    /// What the policies of this worker keep for themselves.
    pub local: Local,
    /// For what chance decides.
    pub dice: Dice,
    pub telemetry: Arc<Telemetry>,
    pub bridge: Option<Arc<dyn Bridge>>,
    /// Rings when the process drains: connections close after the answer they are at.
    pub drain: Rc<Drain>,
    date: RefCell<Date>,
    buffers: RefCell<Vec<Buffer>>,
    outs: RefCell<Vec<Vec<u8>>>,
    #[expect(clippy::vec_box, reason = "exchanges come and go as boxes; their bytes stay where they are")]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    /// Listeners that accept, or are about to close.
    pub listening: Cell<usize>,
    /// Client connections that are open.
    pub connections: Cell<usize>,
}

/// Whether this worker drains, and who wants to know when it begins.
#[derive(Default)]
pub struct Drain {
    begun: Cell<bool>,
    waiting: tokio::sync::Notify,
    ended: tokio::sync::Notify,
}

impl Drain {
    pub fn begin(&self) {
        self.begun.set(true);
        self.waiting.notify_waiters();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// A connection closed; whoever waits for the last one looks again.
    pub fn connection_ended(&self) {
        if self.begun.get() {
            self.ended.notify_one();
        }
    }

    /// Ready when a connection closed after the drain began.
    pub async fn one_ended(&self) {
        self.ended.notified().await;
    }

    /// Ready once the worker drains.
    pub async fn begun(&self) {
        if !self.begun.get() {
            self.waiting.notified().await;
        }
    }
}

impl Worker {
    pub fn new(
        index: usize,
        clock: Clock,
        current: Pinned,
        telemetry: Arc<Telemetry>,
        bridge: Option<Arc<dyn Bridge>>,
    ) -> Rc<Self> {
        let wheel = Wheel::new(clock.clone());
        Rc::new(Self {
            index,
            pools: Pools::default(),
            links: Links::default(),
            tasks: Tasks::default(),
            local: Local::new(telemetry.wall.clone(), index),
            date: RefCell::new(Date::new(clock.wall())),
            clock,
            wheel,
            current: RefCell::new(current),
            dice: Dice::new(),
            telemetry,
            bridge,
            drain: Rc::default(),
            buffers: RefCell::default(),
            outs: RefCell::default(),
            exchanges: RefCell::default(),
            listening: Cell::new(0),
            connections: Cell::new(0),
        })
    }

    /// The snapshot for a new exchange.
    pub fn snapshot(&self) -> Pinned {
        self.current.borrow().clone()
    }

    pub fn swap(&self, snapshot: Pinned) {
        // Exchanges in memory that nobody uses would keep the old snapshot alive.
        self.exchanges.borrow_mut().clear();
        self.local.swapped();
        self.local.redis.swap(snapshot.redis.as_ref());
        *self.current.borrow_mut() = snapshot;
    }

    pub fn lend_buffer(&self) -> Buffer {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Buffer::with_capacity(BUFFER_BYTES))
    }

    pub fn return_buffer(&self, mut buffer: Buffer) {
        let mut buffers = self.buffers.borrow_mut();
        if (BUFFER_BYTES..=KEPT_BYTES).contains(&buffer.capacity()) && buffers.len() < KEPT_BUFFERS {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    pub fn lend_out(&self) -> Vec<u8> {
        self.outs.borrow_mut().pop().unwrap_or_default()
    }

    pub fn return_out(&self, mut out: Vec<u8>) {
        let mut outs = self.outs.borrow_mut();
        if (1..=KEPT_BYTES).contains(&out.capacity()) && outs.len() < KEPT_BUFFERS {
            out.clear();
            outs.push(out);
        }
    }

    /// An empty exchange, begun now.
    pub fn begin_exchange(&self, connection: &Rc<Connection>) -> Box<Exchange> {
        let started_micros = self.clock.now_micros();
        match self.exchanges.borrow_mut().pop() {
            Some(mut exchange) => {
                exchange.connection = connection.clone();
                exchange.started_micros = started_micros;
                exchange.client_ip = connection.peer.ip();
                exchange
            }
            None => Box::new(Exchange::new(self.snapshot(), connection.clone(), started_micros)),
        }
    }

    pub fn end_exchange(&self, mut exchange: Box<Exchange>) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < KEPT_BUFFERS {
            exchange.clear();
            exchange.snapshot = self.snapshot();
            exchanges.push(exchange);
        }
    }

    /// Milliseconds on the engine's clock.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Writes a `Date` value (RFC 9110 section 6.6.1); rendered once a second.
    pub fn write_date(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.date.borrow_mut().at(self.clock.wall() / 1000));
    }
}

/// Stands for a peer that has no address: a UNIX socket's.
pub const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
