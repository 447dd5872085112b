//! Accepts connections on one worker and takes each to its protocol.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::buffer::Buffer;
use crate::exchange::Connection;
use crate::listener::socket::{Socket, Transport};
use crate::listener::tls::ServerTls;
use crate::listener::{bind, http1, http2, proxy_protocol};
use crate::plan;
use crate::telemetry::metrics::ListenerSeries;
use crate::worker::{Drain, NO_ADDRESS, Worker};

/// Milliseconds to wait when the process has no descriptor left, before the next accept.
const EXHAUSTED_MS: u64 = 50;

/// Milliseconds in which handshakes end that had begun when a listener closes: a long round trip, and one on this machine.
const HANDSHAKE_MS: u64 = 250;
const LOCAL_HANDSHAKE_MS: u64 = 5;

/// How a listener treats connections; replaced as one when the document changes, for the connections to come.
pub struct Settings {
    pub plan: plan::Listener,
    pub tls: Option<ServerTls>,
    pub limits: Rc<plan::ListenerLimits>,
    /// Begins when connections must not go on by what they showed under these settings.
    pub retired: Rc<Drain>,
}

/// What all workers count together for one listener.
#[derive(Default)]
pub struct Census {
    connections: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One listener on one worker.
pub struct Listener {
    pub name: Rc<str>,
    pub settings: RefCell<Rc<Settings>>,
    pub census: Arc<Census>,
    pub series: Arc<ListenerSeries>,
    closing: Notify,
    closed: Cell<bool>,
}

/// A place in the census, given back when the connection ends.
struct Place {
    census: Arc<Census>,
    /// `None` while it is not known, and for UNIX sockets: their clients have none.
    address: Option<IpAddr>,
}

/// An open connection in the worker's counts; leaves them when it ends, whatever way.
struct Open {
    worker: Rc<Worker>,
    series: Arc<ListenerSeries>,
}

impl Census {
    /// Counts a connection in, unless there are too many already.
    fn enter(self: &Arc<Self>, limits: &plan::ListenerLimits) -> Option<Place> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place { census: self.clone(), address: None };
        (before < limits.connections).then_some(place)
    }
}

impl Place {
    /// Counts the connection for its address too, unless that has too many already.
    fn belongs_to(&mut self, address: IpAddr, limits: &plan::ListenerLimits) -> bool {
        if address == NO_ADDRESS {
            return true;
        }
        let mut by_address = self.census.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= limits.connections_per_address {
            return false;
        }
        *count += 1;
        self.address = Some(address);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.census.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.census.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

impl Open {
    fn new(worker: &Rc<Worker>, series: &Arc<ListenerSeries>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        series.accepted(worker.index);
        Self { worker: worker.clone(), series: series.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.series.closed(self.worker.index);
        self.worker.connections.set(self.worker.connections.get() - 1);
        self.worker.drain.connection_ended();
    }
}

impl Settings {
    pub fn new(plan: plan::Listener, tls: Option<ServerTls>) -> Self {
        Self { limits: Rc::new(plan.limits.clone()), plan, tls, retired: Rc::default() }
    }

    /// Whether clients that were let in by `other` would show the same certificates here, to the same authorities.
    fn trusts_as(&self, other: &Self) -> bool {
        let trust =
            |plan: &plan::Listener| plan.tls.as_ref().map(|tls| (tls.client_certificates, tls.client_ca.clone()));
        trust(&self.plan) == trust(&other.plan)
    }

    fn needs_preparation(&self) -> bool {
        self.tls.is_some() || self.plan.proxy_protocol
    }
}

impl Listener {
    pub fn new(settings: Settings, census: Arc<Census>, series: Arc<ListenerSeries>) -> Rc<Self> {
        Rc::new(Self {
            name: settings.plan.name.as_str().into(),
            settings: RefCell::new(Rc::new(settings)),
            census,
            series,
            closing: Notify::new(),
            closed: Cell::new(false),
        })
    }

    /// Takes new settings; true when connections must close that are there already.
    ///
    /// A client certificate is verified when a connection begins. One whose authority is gone would else be good for as long
    /// as its connection is kept.
    pub fn reset(&self, mut settings: Settings) -> bool {
        let known = self.settings.borrow().clone();
        let stays = settings.trusts_as(&known);
        if stays {
            settings.retired = known.retired.clone();
        } else {
            known.retired.begin();
        }
        *self.settings.borrow_mut() = Rc::new(settings);
        !stays
    }

    /// Stops accepting; connections that wait in the queue are still taken, and each closes after the answer it is at.
    pub fn close(&self) {
        self.closed.set(true);
        self.settings.borrow().retired.begin();
        self.closing.notify_one();
    }
}

/// Accepts TCP connections until the listener closes.
pub async fn accept_tcp(worker: Rc<Worker>, listener: Rc<Listener>, socket: std::net::TcpListener) -> io::Result<()> {
    let socket = TcpListener::from_std(socket)?;
    while !listener.closed.get() {
        tokio::select! {
            biased;
            accepted = socket.accept() => took_tcp(&worker, &listener, accepted).await,
            () = listener.closing.notified() => {}
        }
    }
    // What the kernel has queued on this socket would be reset when it closes. The runtime may not have heard of it yet, so
    // the socket itself is asked: at once, and again when handshakes that had begun must have ended.
    let socket = socket.into_std()?;
    if bind::refuse_handshakes(&socket).is_ok() {
        take_queued(&worker, &listener, &socket).await?;
        let is_local = socket.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let patience = if is_local { LOCAL_HANDSHAKE_MS } else { HANDSHAKE_MS };
        worker.wheel.sleep_until(worker.now() + patience).await;
    }
    take_queued(&worker, &listener, &socket).await
}

async fn take_queued(worker: &Rc<Worker>, listener: &Rc<Listener>, socket: &std::net::TcpListener) -> io::Result<()> {
    while let Ok((stream, peer)) = socket.accept() {
        stream.set_nonblocking(true)?;
        took_tcp(worker, listener, TcpStream::from_std(stream).map(|stream| (stream, peer))).await;
    }
    Ok(())
}

async fn took_tcp(worker: &Rc<Worker>, listener: &Rc<Listener>, accepted: io::Result<(TcpStream, SocketAddr)>) {
    match accepted {
        Ok((stream, peer)) => {
            let _: io::Result<()> = stream.set_nodelay(true);
            let local = stream.local_addr().unwrap_or(peer);
            spawn(worker, listener, Transport::Tcp(stream), peer, local);
        }
        Err(error) => rest(worker, &error).await,
    }
}

/// Accepts on a UNIX socket until the listener closes.
pub async fn accept_unix(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    socket: std::os::unix::net::UnixListener,
) -> io::Result<()> {
    let socket = UnixListener::from_std(socket)?;
    let nowhere = SocketAddr::new(NO_ADDRESS, 0);
    while !listener.closed.get() {
        tokio::select! {
            biased;
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => spawn(&worker, &listener, Transport::Unix(stream), nowhere, nowhere),
                Err(error) => rest(&worker, &error).await,
            },
            () = listener.closing.notified() => {}
        }
    }
    let socket = socket.into_std()?;
    while let Ok((stream, _)) = socket.accept() {
        stream.set_nonblocking(true)?;
        spawn(&worker, &listener, Transport::Unix(UnixStream::from_std(stream)?), nowhere, nowhere);
    }
    Ok(())
}

/// An accept fails for one connection that is gone again, or because the process has no descriptor left: then it waits.
async fn rest(worker: &Rc<Worker>, error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(worker = worker.index, %error, "accept failed");
        worker.wheel.sleep_until(worker.now() + EXHAUSTED_MS).await;
    }
}

fn spawn(worker: &Rc<Worker>, listener: &Rc<Listener>, transport: Transport, peer: SocketAddr, local: SocketAddr) {
    let settings = listener.settings.borrow().clone();
    // Behind a PROXY header the peer is the proxy, and the client's address is not known yet.
    let known = !settings.plan.proxy_protocol;
    let entered = listener.census.enter(&settings.limits);
    let entered =
        entered.and_then(|mut place| (!known || place.belongs_to(peer.ip(), &settings.limits)).then_some(place));
    let Some(mut place) = entered else {
        listener.series.refused(worker.index);
        return;
    };
    let connection = Connection {
        peer,
        local,
        tls: settings.tls.is_some(),
        listener: listener.name.clone(),
        server_name: None,
        client_certificate: None,
    };
    let worker = worker.clone();
    let open = Open::new(&worker, &listener.series);
    tokio::task::spawn_local(async move {
        // The head must have begun to arrive in time, whatever comes before it.
        let due = worker.now() + settings.limits.head_timeout_ms;
        let prepared = match settings.needs_preparation() {
            false => Some((Socket::Plain(transport), connection)),
            true => tokio::select! {
                biased;
                prepared = prepare(transport, &settings, connection) => prepared,
                () = worker.wheel.sleep_until(due) => None,
            },
        };
        if let Some((socket, connection)) = prepared {
            if known || place.belongs_to(connection.peer.ip(), &settings.limits) {
                protocol(&worker, &settings, socket, connection).await;
            } else {
                open.series.refused(worker.index);
            }
        }
        // The place is free before the last one that drains is told.
        drop(place);
        drop(open);
    });
}

/// PROXY header and TLS handshake; the socket of a client that speaks HTTP instead comes back plain.
async fn prepare(
    mut transport: Transport,
    settings: &Settings,
    mut connection: Connection,
) -> Option<(Socket, Connection)> {
    if settings.plan.proxy_protocol
        && let Some(addresses) = proxy_protocol::read(&mut transport).await.ok()?
    {
        connection.peer = addresses.source;
        connection.local = addresses.destination;
    }
    let Some(tls) = &settings.tls else {
        return Some((Socket::Plain(transport), connection));
    };
    if transport.begins_like_http().await.ok()? {
        return Some((Socket::Plain(transport), connection));
    }
    let stream = TlsAcceptor::from(tls.config().clone()).accept(transport).await.ok()?;
    let socket = Socket::ServerTls(Box::new(stream));
    connection.server_name = socket.server_name().map(Into::into);
    connection.client_certificate = socket.peer_certificate().map(|certificate| certificate.as_ref().into());
    Some((socket, connection))
}

async fn protocol(worker: &Rc<Worker>, settings: &Rc<Settings>, socket: Socket, connection: Connection) {
    let connection = Rc::new(connection);
    let (limits, retired) = (settings.limits.clone(), settings.retired.clone());
    let buffer = Buffer::default();
    if settings.tls.is_some() && !socket.is_tls() {
        return http1::refuse_plain(worker.clone(), socket, connection, limits).await;
    }
    if socket.alpn() == Some(b"h2") {
        return http2::run(worker.clone(), socket, connection, limits, retired, buffer).await;
    }
    let prior_knowledge = settings.plan.http2 && !socket.is_tls();
    let half_close = settings.plan.half_close;
    let kind = http1::Kind { retired: retired.clone(), half_close, prior_knowledge };
    let other = http1::run(worker.clone(), socket, connection.clone(), limits.clone(), kind).await;
    if let Some((socket, first)) = other {
        http2::run(worker.clone(), socket, connection, limits, retired, first).await;
    }
}
