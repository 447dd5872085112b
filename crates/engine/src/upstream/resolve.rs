//! Names to addresses, by the system's resolver, off the workers.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::snapshot::Snapshot;
use crate::upstream::target::Place;

/// How long addresses are believed; the system's resolver does not tell their time to live.
pub const REFRESH: Duration = Duration::from_secs(10);

/// Threads that wait for name servers, per runtime.
pub const THREADS: usize = 32;

/// Resolves a name, keeps the addresses for all, and returns them.
pub async fn resolve(host: &str, port: u16, addresses: &ArcSwap<Vec<SocketAddr>>) -> io::Result<Arc<Vec<SocketAddr>>> {
    let name = (host.to_owned(), port);
    let found = tokio::task::spawn_blocking(move || name.to_socket_addrs().map(Iterator::collect::<Vec<_>>))
        .await
        .map_err(io::Error::other)??;
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let found = Arc::new(found);
    addresses.store(found.clone());
    Ok(found)
}

/// The addresses of a name. While none is known, one caller looks it up and the others wait for what it finds: a name server
/// that does not answer must not gather a lookup for every request.
pub async fn known(
    host: &str,
    port: u16,
    addresses: &ArcSwap<Vec<SocketAddr>>,
    lookup: &tokio::sync::Mutex<()>,
) -> io::Result<Arc<Vec<SocketAddr>>> {
    let known = addresses.load_full();
    if !known.is_empty() {
        return Ok(known);
    }
    let _turn = lookup.lock().await;
    let known = addresses.load_full();
    if known.is_empty() { resolve(host, port, addresses).await } else { Ok(known) }
}

/// Resolves every name of a snapshot once. A name that fails keeps the addresses it had.
pub async fn refresh(snapshot: &Snapshot) {
    // All at once: a name server that is slow for one must not make the others old.
    let mut lookups = tokio::task::JoinSet::new();
    for service in &snapshot.services {
        for member in &service.targets.set().members {
            let (service, target) = (service.clone(), member.target.clone());
            lookups.spawn(async move {
                if let Place::Name { host, port, addresses, .. } = &target.place
                    && let Err(error) = resolve(host, *port, addresses).await
                {
                    tracing::warn!(service = %service.name, host = %host, %error, "resolve failed");
                }
            });
        }
    }
    while lookups.join_next().await.is_some() {}
}
