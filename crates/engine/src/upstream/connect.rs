//! Opens connections to targets.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::{TcpStream, UnixStream};

use crate::clock::{Millis, NEVER};
use crate::listener::socket::Socket;
use crate::respond::{Code, Failure};
use crate::upstream::service::Service;
use crate::upstream::target::{Place, Target};
use crate::wheel::Alarm;
use crate::worker::Worker;

/// How long an address is ahead of the next one of the same name (RFC 8305 section 8).
const HEAD_START_MS: Millis = 250;

/// Opens a connection (and does the TLS handshake) before `due` on the engine's clock.
pub async fn connect(worker: &Worker, service: &Service, target: &Target, due: Millis) -> Result<Socket, Failure> {
    let started = worker.now();
    tokio::select! {
        biased;
        opened = open(worker, service, target) => opened,
        () = worker.wheel.sleep_until(due) => {
            let name = &target.name;
            let after = worker.now() - started;
            Err(Failure::with(
                Code::UpstreamConnectTimeout,
                format_args!("service {}: connect to {name} timed out after {after}ms", service.name),
            ))
        }
    }
}

async fn open(worker: &Worker, service: &Service, target: &Target) -> Result<Socket, Failure> {
    let failed = |error: io::Error| {
        Failure::with(
            Code::UpstreamConnectFailed,
            format_args!("service {}: connect to {}: {error}", service.name, target.name),
        )
    };
    let socket = match &target.place {
        Place::Unix(path) => Socket::from(UnixStream::connect(path).await.map_err(failed)?),
        Place::Address(address) => Socket::from(dial(*address).await.map_err(failed)?),
        Place::Name(name) => {
            let addresses = name.addresses(worker.now()).await.map_err(|error| {
                let host = &name.host;
                Failure::with(
                    Code::UpstreamUnresolved,
                    format_args!("service {}: resolve {host}: {error}", service.name),
                )
            })?;
            let (stream, index) = dial_any(worker, &addresses).await.map_err(failed)?;
            if index > 0 {
                name.prefer(addresses[index]);
            }
            Socket::from(stream)
        }
    };
    match &service.tls {
        None => Ok(socket),
        Some(tls) => tls.handshake(socket, &service.name).await,
    }
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Tries several addresses, each a little after the one before it, and takes the first that connects (RFC 8305 section 5).
/// Also says which.
async fn dial_any(worker: &Worker, addresses: &[SocketAddr]) -> io::Result<(TcpStream, usize)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut running = Vec::new();
    let mut waiting = addresses.iter().enumerate();
    let alarm = worker.wheel.alarm();
    loop {
        if let Some((index, address)) = waiting.next() {
            let address = *address;
            running.push(Box::pin(async move { (dial(address).await, index) }));
            alarm.set(worker.now() + HEAD_START_MS);
        } else if running.is_empty() {
            return Err(last);
        } else {
            alarm.set(NEVER);
        }
        match poll_fn(|cx| poll_race(cx, &mut running, &alarm)).await {
            Some((Ok(stream), index)) => return Ok((stream, index)),
            Some((Err(error), _)) => last = error,
            None => {}
        }
    }
}

type Dialled = (io::Result<TcpStream>, usize);

/// The first that ended, or nothing when it is time for another one.
fn poll_race<F: Future<Output = Dialled> + Unpin>(
    cx: &mut Context<'_>,
    running: &mut Vec<F>,
    alarm: &Alarm,
) -> Poll<Option<Dialled>> {
    for index in 0..running.len() {
        if let Poll::Ready(ended) = Pin::new(&mut running[index]).poll(cx) {
            drop(running.swap_remove(index));
            return Poll::Ready(Some(ended));
        }
    }
    alarm.poll(cx).map(|()| None)
}
