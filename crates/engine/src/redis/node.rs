//! One server of a store, as one worker reaches it: connects, and connects again when that ends.

use std::cell::RefCell;
use std::io;
use std::net::ToSocketAddrs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::listener::socket::Socket;
use crate::redis::link::Link;
use crate::redis::store::Store;
use crate::redis::{StoreError, handshake};

/// Longest time to connect, TLS and greeting included. No request waits for it longer than its own budget.
const CONNECT: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A connection that held for less is no sign that the next one will.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

pub struct Node {
    pub address: Rc<str>,
    store: Arc<Store>,
    state: RefCell<State>,
    changed: Notify,
}

enum State {
    /// A first attempt is under way: worth waiting for.
    Connecting,
    Up(Rc<Link>),
    /// The last attempt failed; another follows.
    Down,
}

impl Node {
    /// A node that begins to connect.
    pub fn start(address: Rc<str>, store: Arc<Store>) -> Rc<Self> {
        let state = RefCell::new(State::Connecting);
        let node = Rc::new(Self { address, store, state, changed: Notify::new() });
        spawn_local(keep_connected(Rc::downgrade(&node)));
        node
    }

    /// The connection. While a first attempt is under way it is waited for until `due`; between later ones it is not.
    pub async fn link(&self, due: Instant) -> Result<Rc<Link>, StoreError> {
        loop {
            let changed = self.changed.notified();
            match &*self.state.borrow() {
                State::Up(link) => return Ok(link.clone()),
                State::Down => return Err(StoreError::Unreachable),
                State::Connecting => {}
            }
            timeout_at(due, changed).await.map_err(|_| StoreError::Unreachable)?;
        }
    }

    fn set(&self, state: State) {
        *self.state.borrow_mut() = state;
        self.changed.notify_waiters();
    }

    async fn open(&self) -> Result<Socket, String> {
        let plan = &self.store.plan;
        let mut socket = dial(&self.address).await.map_err(|error| error.to_string())?;
        if let Some(tls) = &self.store.tls {
            let shaken = tls.handshake(socket, "redis").await;
            socket = shaken.map_err(|failure| failure.detail.map_or_else(String::new, String::from))?;
        }
        handshake::greet(&mut socket, plan).await?;
        Ok(socket)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let State::Up(link) = &*self.state.borrow() {
            link.close();
        }
    }
}

/// Connects, carries, and begins again, until the node is dropped.
async fn keep_connected(node: std::rc::Weak<Node>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(held) = node.upgrade() else { return };
        let opened = timeout(CONNECT, held.open()).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no connection within {}ms", CONNECT.as_millis())));
        match opened {
            Ok(socket) => {
                let link = Rc::new(Link::default());
                held.store.connected(&held.address);
                held.set(State::Up(link.clone()));
                drop(held);
                let began = Instant::now();
                let ended = link.drive(socket).await;
                let Some(held) = node.upgrade() else { return };
                held.store.complain(&held.address, &ended);
                if began.elapsed() > LONG_ENOUGH {
                    pause = FIRST_PAUSE;
                    held.set(State::Connecting);
                    continue;
                }
                held.set(State::Down);
            }
            Err(error) => {
                held.store.complain(&held.address, &error);
                held.set(State::Down);
                drop(held);
            }
        }
        // Workers and gateways that lost their connection together do not come back together.
        sleep(pause * 3 / 4 + pause * u32::from(jitter()) / 512).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn jitter() -> u8 {
    let mut byte = [0];
    // Without randomness there is no jitter, and nothing worse.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

async fn dial(address: &str) -> io::Result<Socket> {
    if let Some(path) = address.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
        return Ok(UnixStream::connect(path).await?.into());
    }
    // Resolved anew each time: a fail-over by DNS is followed, and it is no request that waits.
    let name = address.to_owned();
    let found = tokio::task::spawn_blocking(move || name.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found.await.map_err(io::Error::other)?? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream.into());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
