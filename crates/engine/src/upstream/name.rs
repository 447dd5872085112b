//! A name that targets are found by, and what it led to last.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::{Millis, NEVER};
use crate::dns::{Found, Looked, Resolver};
use crate::plan::{AddressFamily, Resolve};

/// The first wait after a lookup that failed, and the longest one.
const FIRST_PAUSE_MS: Millis = 1_000;
const LONGEST_PAUSE_MS: Millis = 30_000;
/// The longest one while nothing is known at all: requests fail until the next lookup.
const LONGEST_UNKNOWN_MS: Millis = 2_000;

pub struct Name {
    pub host: Box<str>,
    /// 0 where service records say.
    pub port: u16,
    pub resolve: Resolve,
    pub resolver: Arc<Resolver>,
    /// Empty until it resolved once; a lookup that fails leaves it as it was.
    known: ArcSwap<Vec<Found>>,
    /// Held by the one lookup that all wait for.
    lookup: tokio::sync::Mutex<()>,
    /// When to look again.
    due: AtomicU64,
    failures: AtomicU32,
    /// Why the last lookup failed, for requests until the next one.
    failure: Mutex<Option<(io::ErrorKind, String)>>,
    /// The address that answered when the first one did not; forgotten with the next lookup.
    preferred: Mutex<Option<SocketAddr>>,
}

impl Name {
    pub fn new(host: &str, port: u16, resolve: Resolve, resolver: &Arc<Resolver>) -> Self {
        Self {
            host: host.into(),
            port,
            resolve,
            resolver: resolver.clone(),
            known: ArcSwap::default(),
            lookup: tokio::sync::Mutex::default(),
            due: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            failure: Mutex::default(),
            preferred: Mutex::default(),
        }
    }

    /// What it led to last.
    pub fn known(&self) -> Arc<Vec<Found>> {
        self.known.load_full()
    }

    /// The addresses to try, in this order. While none is known one caller looks the name up and the others wait for what it
    /// finds, or fail with it: a name server that does not answer must not gather a lookup for every request.
    pub async fn addresses(&self, now: Millis) -> io::Result<Vec<SocketAddr>> {
        if self.known.load().is_empty() {
            let _turn = self.lookup.lock().await;
            if self.known.load().is_empty() {
                self.failed_until(now)?;
                self.look_up_in_turn(now).await?;
            }
        }
        let mut addresses: Vec<SocketAddr> = self.known.load().iter().map(|found| found.address).collect();
        if let Some(preferred) = *self.preferred.lock().unwrap_or_else(PoisonError::into_inner)
            && let Some(place) = addresses.iter().position(|address| *address == preferred)
        {
            addresses[..=place].rotate_right(1);
        }
        Ok(addresses)
    }

    /// An address took the connection that another one, before it, did not.
    pub fn prefer(&self, address: SocketAddr) {
        *self.preferred.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// When to look again; [`NEVER`] while somebody does.
    pub fn due(&self) -> Millis {
        self.due.load(Relaxed)
    }

    /// Announces a lookup.
    pub fn begin(&self) {
        self.due.store(NEVER, Relaxed);
    }

    /// Looks the name up. True when it leads elsewhere than before.
    pub async fn look_up(&self, now: Millis) -> io::Result<bool> {
        let _turn = self.lookup.lock().await;
        self.look_up_in_turn(now).await
    }

    async fn look_up_in_turn(&self, now: Millis) -> io::Result<bool> {
        let looked = match self.resolve {
            Resolve::One | Resolve::Each => self.resolver.host(&self.host, self.port).await,
            Resolve::Srv => self.resolver.service(&self.host).await,
        };
        match looked {
            Ok(looked) => {
                self.failures.store(0, Relaxed);
                *self.failure() = None;
                let lasting = Millis::try_from(looked.lasting.as_millis()).unwrap_or(NEVER);
                self.due.store(now.saturating_add(lasting.max(1)), Relaxed);
                Ok(self.take(looked))
            }
            Err(error) => {
                let failures = self.failures.fetch_add(1, Relaxed).min(5);
                let longest = if self.known.load().is_empty() { LONGEST_UNKNOWN_MS } else { LONGEST_PAUSE_MS };
                let pause = (FIRST_PAUSE_MS << failures).min(longest);
                *self.failure() = Some((error.kind(), error.to_string()));
                self.due.store(now.saturating_add(pause), Relaxed);
                Err(error)
            }
        }
    }

    /// The failure that still holds.
    fn failed_until(&self, now: Millis) -> io::Result<()> {
        match &*self.failure() {
            Some((kind, message)) if (now..NEVER).contains(&self.due()) => Err(io::Error::new(*kind, message.clone())),
            _ => Ok(()),
        }
    }

    fn failure(&self) -> MutexGuard<'_, Option<(io::ErrorKind, String)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, looked: Looked) -> bool {
        let before = self.known();
        let mut found = looked.found;
        // Nobody has said that they are gone.
        let missing = before.iter().filter(|known| match looked.missing {
            Some(AddressFamily::Ipv4) => known.address.is_ipv4(),
            Some(AddressFamily::Ipv6) => known.address.is_ipv6(),
            Some(AddressFamily::Any) | None => false,
        });
        found.extend(missing);
        *self.preferred.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if is_the_same(&before, &found) {
            // Servers turn the order of addresses; the first that were told are as good as those.
            return false;
        }
        self.known.store(Arc::new(found));
        true
    }
}

fn is_the_same(before: &[Found], found: &[Found]) -> bool {
    before.len() == found.len() && found.iter().all(|one| before.contains(one))
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resolve {
            Resolve::Srv => write!(formatter, "{}", self.host),
            Resolve::One | Resolve::Each => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}
