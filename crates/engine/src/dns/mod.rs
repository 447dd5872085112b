//! Names to addresses, with how long they hold.
//!
//! `hosts` first, then name servers: those of the document, else those of `resolv.conf`. A name that these do not know is
//! asked of the system, which may know more (mDNS, LDAP), unless the document has servers of its own.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::dns::message::{Data, Kind, Reply};
use crate::dns::system::Servers;
use crate::plan::{self, AddressFamily};
use crate::problem::Problem;

pub mod client;
pub mod message;
pub mod system;

/// How long addresses are believed that the system gave, which does not say.
const SYSTEM_TTL: Duration = Duration::from_secs(10);
/// Aliases that are followed from one answer to the next.
const MOST_HOPS: usize = 8;
/// Addresses of one name that are used.
const MOST_ADDRESSES: usize = 1000;

/// Hosts of service records for which no server answers in time, before the whole lookup is given up: each costs a timeout.
const MOST_SILENT_HOSTS: usize = 4;

/// How a document wants names to be looked up.
pub struct Resolver {
    pub plan: plan::Resolver,
    /// Of the document; none: the system's.
    servers: Vec<SocketAddr>,
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    pub found: Vec<Found>,
    /// How long it holds.
    pub lasting: Duration,
    /// A family that could not be asked for: what was known of it may still hold.
    pub missing: Option<AddressFamily>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub address: SocketAddr,
    /// Of a service record; else 1.
    pub weight: u16,
    /// Of a service record; else 0.
    pub priority: u16,
}

/// The addresses of a host.
struct Host {
    addresses: Vec<IpAddr>,
    lasting: Duration,
    missing: Option<AddressFamily>,
}

impl Resolver {
    /// For when there is none that could be used.
    pub fn of_nothing() -> Self {
        Self { plan: plan::Resolver::of_nothing(), servers: Vec::new() }
    }

    pub fn compile(plan: &plan::Resolver) -> Result<Self, Problem> {
        let mut servers = Vec::with_capacity(plan.servers.len());
        for (index, text) in plan.servers.iter().enumerate() {
            let problem = || Problem::new(format!("servers[{index}]"), "config.bad_address", "expected `IP:PORT`");
            servers.push(text.parse().map_err(|_| problem())?);
        }
        Ok(Self { plan: plan.clone(), servers })
    }

    /// The addresses of a host, IPv6 and IPv4 in turn (RFC 8305 section 4).
    pub async fn host(&self, host: &str, port: u16) -> io::Result<Looked> {
        let Host { addresses, lasting, missing } = self.addresses(host).await?;
        let found = addresses.into_iter().take(MOST_ADDRESSES);
        let found = found.map(|ip| Found { address: SocketAddr::new(ip, port), weight: 1, priority: 0 }).collect();
        Ok(Looked { found, lasting: self.bounded(lasting), missing })
    }

    /// Where the service records of a name lead (RFC 2782).
    pub async fn service(&self, name: &str) -> io::Result<Looked> {
        let (records, mut lasting) = self.records(name, Kind::Srv).await?;
        let mut looked = Looked { found: Vec::new(), lasting, missing: None };
        let (mut failed, mut silent) = (nothing(name), 0);
        for record in records {
            let Data::Service { priority, weight, port, host } = record else { continue };
            // A single dot says that there is no such service.
            if host.is_empty() || port == 0 || looked.found.len() >= MOST_ADDRESSES {
                continue;
            }
            match self.addresses(&host).await {
                Ok(of_host) => {
                    lasting = lasting.min(of_host.lasting);
                    looked.missing = looked.missing.or(of_host.missing);
                    let found = |ip| Found { address: SocketAddr::new(ip, port), weight: weight.max(1), priority };
                    looked.found.extend(of_host.addresses.into_iter().map(found));
                }
                Err(error) => {
                    silent += usize::from(error.kind() == io::ErrorKind::TimedOut);
                    if silent >= MOST_SILENT_HOSTS {
                        return Err(error);
                    }
                    failed = error;
                }
            }
        }
        looked.found.truncate(MOST_ADDRESSES);
        looked.lasting = self.bounded(lasting);
        if looked.found.is_empty() { Err(failed) } else { Ok(looked) }
    }

    fn bounded(&self, lasting: Duration) -> Duration {
        let [least, most] = [self.plan.minimum_ttl_ms, self.plan.maximum_ttl_ms].map(Duration::from_millis);
        lasting.clamp(least.min(most), most)
    }

    /// At least one address.
    async fn addresses(&self, host: &str) -> io::Result<Host> {
        let known = match special(host) {
            Some(known) => Some(known),
            None => fs::read_to_string(system::HOSTS).ok().map(|text| system::hosts(&text, host)),
        };
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            return self.of_family(known, host);
        }
        let (v4, v6) = tokio::join!(
            self.family(host, Kind::A, AddressFamily::Ipv4),
            self.family(host, Kind::Aaaa, AddressFamily::Ipv6)
        );
        let (v4, v6, missing) = match (v4, v6) {
            (Err(error), Err(_)) => return Err(error),
            (Ok(v4), Ok(v6)) => (v4, v6, None),
            (Ok(v4), Err(error)) if v4.0.is_empty() => return Err(error),
            (Err(error), Ok(v6)) if v6.0.is_empty() => return Err(error),
            (Ok(v4), Err(_)) => (v4, (Vec::new(), Duration::MAX), Some(AddressFamily::Ipv6)),
            (Err(_), Ok(v6)) => ((Vec::new(), Duration::MAX), v6, Some(AddressFamily::Ipv4)),
        };
        let addresses = interleaved(v6.0, v4.0);
        if !addresses.is_empty() {
            return Ok(Host { addresses, lasting: v4.1.min(v6.1), missing });
        }
        if !self.servers.is_empty() || host.ends_with(".invalid") {
            return Err(nothing(host));
        }
        self.of_family(of_system(host).await?, host)
    }

    fn of_family(&self, mut addresses: Vec<IpAddr>, host: &str) -> io::Result<Host> {
        addresses.retain(|address| match self.plan.family {
            AddressFamily::Any => true,
            AddressFamily::Ipv4 => address.is_ipv4(),
            AddressFamily::Ipv6 => address.is_ipv6(),
        });
        if addresses.is_empty() {
            return Err(nothing(host));
        }
        Ok(Host { addresses, lasting: SYSTEM_TTL, missing: None })
    }

    /// The addresses of one family; none where nobody has any, or none are wanted.
    async fn family(&self, host: &str, kind: Kind, family: AddressFamily) -> io::Result<(Vec<IpAddr>, Duration)> {
        if self.plan.family != AddressFamily::Any && self.plan.family != family {
            return Ok((Vec::new(), Duration::MAX));
        }
        let (records, lasting) = self.records(host, kind).await?;
        let address = |record| match record {
            Data::Address(address) => Some(address),
            Data::Service { .. } => None,
        };
        Ok((records.into_iter().filter_map(address).collect(), lasting))
    }

    /// The records of a name, or of the first name with a search domain that has any.
    async fn records(&self, name: &str, kind: Kind) -> io::Result<(Vec<Data>, Duration)> {
        if name.ends_with(".invalid") {
            return Ok((Vec::new(), Duration::MAX));
        }
        let servers = self.asked();
        for candidate in candidates(name, &servers) {
            let found = follow(&servers, candidate, kind).await?;
            if !found.0.is_empty() {
                return Ok(found);
            }
        }
        Ok((Vec::new(), Duration::MAX))
    }

    /// Whom to ask. What the system says is read each time: it may change.
    fn asked(&self) -> Servers {
        if self.servers.is_empty() {
            return system::servers(&fs::read_to_string(system::RESOLV_CONF).unwrap_or_default());
        }
        Servers {
            addresses: self.servers.clone(),
            timeout: Duration::from_millis(self.plan.timeout_ms),
            attempts: self.plan.attempts,
            search: self.plan.search.clone(),
            dots: 1,
        }
    }
}

/// Asks, and asks for what an answer only names, until there are records or nothing.
async fn follow(servers: &Servers, mut name: String, kind: Kind) -> io::Result<(Vec<Data>, Duration)> {
    let mut lasting = u32::MAX;
    for _ in 0..MOST_HOPS {
        if servers.addresses.is_empty() {
            break;
        }
        match client::ask(&servers.addresses, servers.timeout, servers.attempts, &name, kind).await? {
            Reply::Records(records, seconds) => {
                return Ok((records, Duration::from_secs(u64::from(seconds.min(lasting)))));
            }
            Reply::Nothing => break,
            Reply::Alias(alias, seconds) => {
                lasting = lasting.min(seconds);
                name = alias;
            }
        }
    }
    Ok((Vec::new(), Duration::MAX))
}

/// The names to ask for, as `resolv.conf` says.
fn candidates(name: &str, servers: &Servers) -> Vec<String> {
    let dots = name.bytes().filter(|byte| *byte == b'.').count();
    let searched = servers.search.iter().map(|domain| format!("{name}.{domain}"));
    match dots >= servers.dots {
        true => std::iter::once(name.to_owned()).chain(searched).collect(),
        false => searched.chain([name.to_owned()]).collect(),
    }
}

/// Names that are never asked for (RFC 6761 section 6.3).
fn special(host: &str) -> Option<Vec<IpAddr>> {
    let local = host == "localhost" || host.ends_with(".localhost");
    local.then(|| vec![IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)])
}

fn interleaved(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut out = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return out;
        }
        out.extend(one.into_iter().chain(other));
    }
}

async fn of_system(host: &str) -> io::Result<Vec<IpAddr>> {
    let name = (host.to_owned(), 0);
    let found = tokio::task::spawn_blocking(move || name.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    let mut found: Vec<IpAddr> = found.await.map_err(io::Error::other)??.iter().map(|address| address.ip()).collect();
    found.dedup();
    Ok(found)
}

fn nothing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(interleaved(vec![c], vec![a, b]), [c, a, b]);
    }

    #[test]
    fn short_names_are_searched_first() {
        let mut servers = system::servers("search a.example b.example\noptions ndots:2\n");
        assert_eq!(candidates("db", &servers), ["db.a.example", "db.b.example", "db"]);
        servers.dots = 0;
        assert_eq!(candidates("db", &servers), ["db", "db.a.example", "db.b.example"]);
    }
}
