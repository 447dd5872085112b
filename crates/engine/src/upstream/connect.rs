//! Opens connections to targets.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, UnixStream};

use crate::clock::Millis;
use crate::listener::socket::Socket;
use crate::respond::{Code, Failure};
use crate::upstream::resolve;
use crate::upstream::service::Service;
use crate::upstream::target::{Place, Target};
use crate::worker::Worker;

/// Opens a connection (and does the TLS handshake) before `due` on the engine's clock.
pub async fn connect(worker: &Worker, service: &Service, target: &Target, due: Millis) -> Result<Socket, Failure> {
    let started = worker.now();
    tokio::select! {
        biased;
        opened = open(service, target) => opened,
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

async fn open(service: &Service, target: &Target) -> Result<Socket, Failure> {
    let failed = |error: io::Error| {
        Failure::with(
            Code::UpstreamConnectFailed,
            format_args!("service {}: connect to {}: {error}", service.name, target.name),
        )
    };
    let socket = match &target.place {
        Place::Unix(path) => Socket::from(UnixStream::connect(path).await.map_err(failed)?),
        Place::Address(address) => Socket::from(dial(*address).await.map_err(failed)?),
        Place::Name { host, port, addresses, lookup } => {
            let known = resolve::known(host, *port, addresses, lookup).await;
            let addresses = known.map_err(|error| {
                Failure::with(
                    Code::UpstreamUnresolved,
                    format_args!("service {}: resolve {host}: {error}", service.name),
                )
            })?;
            Socket::from(dial_any(&addresses).await.map_err(failed)?)
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

/// Tries one address after another.
async fn dial_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match dial(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
