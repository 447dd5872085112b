//! One worker's way to a store: picks the node that has the keys, and follows a cluster that moves them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::limits::synced::settler;
use crate::redis::node::Node;
use crate::redis::resp::{self, Reply};
use crate::redis::slots::{self, Redirect, SlotMap};
use crate::redis::store::Store;
use crate::redis::{Script, StoreError, keeper};
use crate::telemetry::Wall;

/// Times a command is sent again because the script was not there yet or the keys have moved.
const ATTEMPTS: usize = 5;

pub struct Client {
    pub store: Arc<Store>,
    worker: usize,
    /// By address.
    nodes: RefCell<FxHashMap<Rc<str>, Rc<Node>>>,
    /// The nodes of the document, to begin with.
    seeds: Vec<Rc<str>>,
    /// Clusters only, once known.
    slots: RefCell<Option<SlotMap>>,
    refreshing: Cell<bool>,
    /// What is sent without anybody waiting for it.
    later: Rc<Later>,
}

#[derive(Default)]
struct Later {
    scripts: RefCell<Vec<(&'static Script, Arguments)>>,
    more: Notify,
}

/// Keys and arguments of a script, as they go over the wire.
#[derive(Debug, Default, Clone)]
pub struct Arguments {
    words: usize,
    bytes: Vec<u8>,
    /// Of the first key.
    slot: Option<u16>,
}

impl Arguments {
    /// Exactly `keys` calls of [`Arguments::key`] must follow, then the arguments.
    pub fn new(keys: usize) -> Self {
        let mut arguments = Self { words: 0, bytes: Vec::with_capacity(256), slot: None };
        arguments.number(keys as i64);
        arguments
    }

    pub fn key(&mut self, key: &[u8]) {
        self.slot.get_or_insert_with(|| slots::slot(key));
        self.word(key);
    }

    pub fn word(&mut self, word: &[u8]) {
        resp::write_word(&mut self.bytes, word);
        self.words += 1;
    }

    pub fn number(&mut self, number: i64) {
        self.word(itoa::Buffer::new().format(number).as_bytes());
    }

    fn write(&self, out: &mut Vec<u8>, command: &[u8], script: &[u8]) {
        resp::write_length(out, b'*', self.words + 2);
        resp::write_word(out, command);
        resp::write_word(out, script);
        out.extend_from_slice(&self.bytes);
    }
}

impl Client {
    /// A client that begins to connect; one of the workers also keeps the store's books (see [`keeper`]).
    pub fn start(store: Arc<Store>, worker: usize) -> Rc<Self> {
        let seeds: Vec<Rc<str>> = store.plan.nodes.iter().map(|node| node.as_str().into()).collect();
        let client = Rc::new(Self {
            store,
            worker,
            nodes: RefCell::default(),
            seeds,
            slots: RefCell::default(),
            refreshing: Cell::new(false),
            later: Rc::default(),
        });
        spawn_local(send_later(Rc::downgrade(&client), client.later.clone()));
        if client.store.plan.cluster {
            client.refresh_soon();
        } else if let Some(seed) = client.seeds.first() {
            client.node(seed);
        }
        if worker == 0 {
            spawn_local(keeper::keep(Rc::downgrade(&client)));
        }
        client
    }

    /// Runs a script as one step on the server that has its keys; waits until `due` for the answer, and no longer.
    pub async fn run_until(
        self: &Rc<Self>,
        due: Instant,
        script: &Script,
        arguments: &Arguments,
    ) -> Result<Reply, StoreError> {
        if self.store.breaker.is_open() {
            self.store.series.failed(self.worker, &StoreError::Open);
            return Err(StoreError::Open);
        }
        self.run_regardless(due, script, arguments).await
    }

    /// When a request that begins now stops waiting.
    pub fn due(&self) -> Instant {
        Instant::now() + self.store.timeout()
    }

    /// As [`Client::run_until`], also while the breaker is open: the probe.
    pub async fn run_regardless(
        self: &Rc<Self>,
        due: Instant,
        script: &Script,
        arguments: &Arguments,
    ) -> Result<Reply, StoreError> {
        let began = Instant::now();
        let outcome = self.attempt(script, arguments, due).await;
        match &outcome {
            Ok(_) => {
                self.store.series.answered(self.worker, began.elapsed().as_micros() as u64);
                self.store.observe(Ok(()));
            }
            Err(error) => {
                self.store.series.failed(self.worker, error);
                self.store.observe(Err(error));
            }
        }
        outcome
    }

    /// Runs a script whose outcome nobody waits for; may be called from a `drop`.
    pub fn run_later(&self, script: &'static Script, arguments: Arguments) {
        let mut scripts = self.later.scripts.borrow_mut();
        if !self.store.breaker.is_open() && scripts.len() < MOST_LATER {
            scripts.push((script, arguments));
            self.later.more.notify_one();
        }
    }

    pub fn worker(&self) -> usize {
        self.worker
    }

    async fn attempt(
        self: &Rc<Self>,
        script: &Script,
        arguments: &Arguments,
        due: Instant,
    ) -> Result<Reply, StoreError> {
        let slot = arguments.slot.unwrap_or_default();
        let mut node = self.node_of(slot);
        let (mut whole, mut asking) = (false, false);
        for _ in 0..ATTEMPTS {
            let link = node.link(due).await.inspect_err(|_| self.suspect())?;
            let now = Instant::now();
            if now >= due {
                return Err(StoreError::Late);
            }
            if std::mem::take(&mut asking) {
                link.tell(now, |out| resp::write_command(out, [&b"ASKING"[..]].into_iter()))?;
            }
            let asked = link.ask(now, due, |out| match whole {
                true => arguments.write(out, b"EVAL", script.text.as_bytes()),
                false => arguments.write(out, b"EVALSHA", script.digest.as_bytes()),
            });
            let text = match asked.await.inspect_err(|_| self.suspect())? {
                Reply::Error(text) => text,
                reply => return Ok(reply),
            };
            if text.starts_with("NOSCRIPT") {
                whole = true;
                continue;
            }
            match Redirect::parse(&text) {
                Some(Redirect::Moved(slot, address)) => {
                    node = self.redirected(address)?;
                    if let Some(slots) = &mut *self.slots.borrow_mut() {
                        slots.moved(slot, address);
                    }
                    self.refresh_soon();
                }
                Some(Redirect::Ask(address)) => {
                    asking = true;
                    node = self.redirected(address)?;
                }
                None => {
                    // A primary that became a replica: the name may lead to the new primary.
                    if text.starts_with("READONLY") {
                        link.close();
                        self.suspect();
                    }
                    return Err(StoreError::Refused(text));
                }
            }
        }
        Err(StoreError::Refused("the cluster redirects without end".into()))
    }

    /// A node of a cluster does not answer as it should: another may have taken its place.
    fn suspect(self: &Rc<Self>) {
        if self.store.plan.cluster {
            self.refresh_soon();
        }
    }

    fn node_of(&self, slot: u16) -> Rc<Node> {
        let known = self.slots.borrow().as_ref().and_then(|slots| slots.node(slot).cloned());
        match known {
            Some(address) => self.node(&address),
            None => self.node(&self.seeds[usize::from(slot) % self.seeds.len()]),
        }
    }

    /// A server that leads to ever more others does not make us connect to all of them.
    fn redirected(&self, address: &str) -> Result<Rc<Node>, StoreError> {
        let nodes = self.nodes.borrow();
        let too_many = nodes.len() >= MOST_NODES && !nodes.contains_key(address);
        drop(nodes);
        if too_many {
            Err(StoreError::Refused("the cluster has too many nodes".into()))
        } else {
            Ok(self.node(address))
        }
    }

    fn node(&self, address: &str) -> Rc<Node> {
        if let Some(node) = self.nodes.borrow().get(address) {
            return node.clone();
        }
        let address: Rc<str> = address.into();
        let node = Node::start(address.clone(), self.store.clone());
        self.nodes.borrow_mut().insert(address, node.clone());
        node
    }

    /// Asks for the map of slots in the background; one such question at a time.
    fn refresh_soon(self: &Rc<Self>) {
        if !self.refreshing.replace(true) {
            let client = Rc::downgrade(self);
            spawn_local(async move {
                if let Some(client) = client.upgrade() {
                    client.refresh().await;
                    // A cluster that is in the middle of a fail-over is not asked all the time.
                    tokio::time::sleep(REFRESH_PAUSE).await;
                    client.refreshing.set(false);
                }
            });
        }
    }

    async fn refresh(self: &Rc<Self>) {
        let mut addresses: Vec<Rc<str>> = self.nodes.borrow().keys().cloned().collect();
        addresses.extend(self.seeds.iter().cloned());
        for address in addresses {
            let Some(slots) = self.slots_by(&address).await else { continue };
            // Nodes that left the cluster are let go.
            self.nodes.borrow_mut().retain(|address, _| slots.has_node(address));
            *self.slots.borrow_mut() = Some(slots);
            return;
        }
    }

    async fn slots_by(&self, address: &str) -> Option<SlotMap> {
        let due = Instant::now() + REFRESH_BUDGET;
        let link = self.node(address).link(due).await.ok()?;
        let asked = link.ask(Instant::now(), due, |out| {
            resp::write_command(out, [&b"CLUSTER"[..], b"SLOTS"].into_iter());
        });
        SlotMap::parse(&asked.await.ok()?, address)
    }
}

/// A task of its own, since whoever wants something sent may be in the middle of being dropped.
async fn send_later(client: Weak<Client>, later: Rc<Later>) {
    loop {
        later.more.notified().await;
        let scripts = std::mem::take(&mut *later.scripts.borrow_mut());
        if client.strong_count() == 0 {
            return;
        }
        for (script, arguments) in scripts {
            let Some(client) = client.upgrade() else { return };
            spawn_local(async move {
                let _ = client.run_regardless(client.due(), script, &arguments).await;
            });
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Lets the tasks see that the client is gone.
        self.store.ledgers().iter().for_each(|ledger| ledger.wake());
        self.later.scripts.borrow_mut().clear();
        self.later.more.notify_one();
    }
}

/// Nodes of a cluster; its specification has 1000 for the most that is sensible.
const MOST_NODES: usize = 1024;
/// Scripts that may wait to be sent.
const MOST_LATER: usize = 10_000;
const REFRESH_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const REFRESH_BUDGET: std::time::Duration = std::time::Duration::from_millis(500);

/// The clients of one worker: one a store, and there is more than one only while a reload changes it.
pub struct Clients {
    worker: usize,
    wall: Arc<Wall>,
    clients: RefCell<Vec<Rc<Client>>>,
}

impl Clients {
    pub fn new(worker: usize, wall: Arc<Wall>) -> Self {
        Self { worker, wall, clients: RefCell::default() }
    }

    pub fn of(&self, store: &Arc<Store>) -> Rc<Client> {
        let known = |client: &&Rc<Client>| Arc::ptr_eq(&client.store, store);
        if let Some(client) = self.clients.borrow().iter().find(known) {
            return client.clone();
        }
        let client = Client::start(store.clone(), self.worker);
        self.clients.borrow_mut().push(client.clone());
        self.keep_settled(&client);
        client
    }

    /// Connects to the store of a new snapshot before the first request needs it, and lets the others go.
    pub fn swap(&self, store: Option<&Arc<Store>>) {
        let known = store.map(|store| self.of(store));
        if let Some(client) = &known {
            self.keep_settled(client);
        }
        *self.clients.borrow_mut() = known.into_iter().collect();
    }

    /// One of the workers settles for all.
    fn keep_settled(&self, client: &Rc<Client>) {
        if self.worker == 0 {
            client.store.ledgers().into_iter().for_each(|ledger| settler::start(client, ledger, self.wall.clone()));
        }
    }

    /// The process drains: the other gateways get its share at once.
    pub fn farewell(&self) {
        if self.worker == 0 {
            self.clients.borrow().iter().cloned().for_each(keeper::farewell);
        }
    }
}
