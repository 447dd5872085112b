//! What the policies of one worker keep for themselves.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::jose::KnownHeader;
use crate::limits::shared::Book;
use crate::overload::Guard;
use crate::policies::jwt::RememberedTokens;
use crate::policies::oidc::OpenSessions;
use crate::policies::random::Random;
use crate::policies::signed_identity::Signed;
use crate::redis::{Clients, Store};
use crate::telemetry::Wall;

/// Made once a worker and handed to every hook; never shared, so nothing in it locks.
pub struct Local {
    pub(super) random: RefCell<Random>,
    pub(super) signed: RefCell<Signed>,
    pub(super) tokens: RefCell<RememberedTokens>,
    pub(super) token_header: RefCell<KnownHeader>,
    pub(super) sessions: RefCell<OpenSessions>,
    wall: Arc<Wall>,
    /// The worker's number, for its part of the metrics.
    pub(crate) worker: usize,
    pub redis: Clients,
    /// How late this worker is.
    pub guard: Guard,
    /// What this worker holds of leases that gateways share.
    books: RefCell<Vec<Rc<Book>>>,
}

impl Local {
    pub fn new(wall: Arc<Wall>, worker: usize) -> Self {
        Self {
            random: RefCell::new(Random::from_system()),
            signed: RefCell::default(),
            tokens: RefCell::default(),
            token_header: RefCell::default(),
            sessions: RefCell::default(),
            redis: Clients::new(worker, wall.clone()),
            wall,
            worker,
            guard: Guard::default(),
            books: RefCell::default(),
        }
    }

    /// The leases of a store. Those of one that the document has no more go with their last request.
    pub(super) fn book(&self, store: &Arc<Store>) -> Rc<Book> {
        let mut books = self.books.borrow_mut();
        if let Some(book) = books.iter().find(|book| Arc::ptr_eq(&book.client().store, store)) {
            return book.clone();
        }
        let book = Book::new(self.redis.of(store));
        *books = vec![book.clone()];
        book
    }

    /// Forgets what belongs to the policies of a snapshot that is gone.
    pub fn swapped(&self) {
        self.signed.take();
        self.tokens.borrow_mut().clear();
        self.sessions.take();
    }

    /// Milliseconds since the Unix epoch at a moment of the engine's clock, without reading a clock.
    pub(super) fn epoch_millis(&self, micros: u64) -> u64 {
        self.epoch_micros(micros) / 1000
    }

    /// As [`Local::epoch_millis`], in microseconds.
    pub fn epoch_micros(&self, micros: u64) -> u64 {
        self.wall.epoch_micros(micros)
    }

    /// Seconds since the Unix epoch when a request came.
    pub(super) fn epoch_seconds(&self, exchange: &Exchange) -> i64 {
        (self.epoch_micros(exchange.started_micros) / 1_000_000) as i64
    }

    /// Microseconds on the engine's clock now; reads it.
    pub(super) fn now_micros(&self) -> u64 {
        self.wall.engine_micros()
    }

    /// Any number.
    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().next()
    }

    /// A number below `bound`, evenly spread as long as that is small.
    pub fn random_below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().next() % bound.max(1)
    }
}
