//! What the system says of names: `resolv.conf` and `hosts`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub const RESOLV_CONF: &str = "/etc/resolv.conf";
pub const HOSTS: &str = "/etc/hosts";
/// As many servers as the system itself asks.
const MOST_SERVERS: usize = 3;

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    pub addresses: Vec<SocketAddr>,
    /// How long one of them is waited for.
    pub timeout: Duration,
    /// How often all of them are asked.
    pub attempts: u32,
    /// Put behind names with fewer dots than `dots` before these are asked for as they are.
    pub search: Vec<String>,
    pub dots: usize,
}

/// Reads `resolv.conf`; what it does not say is as resolv.conf(5) says.
pub fn servers(text: &str) -> Servers {
    let mut servers =
        Servers { addresses: Vec::new(), timeout: Duration::from_secs(5), attempts: 2, search: Vec::new(), dots: 1 };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                servers.addresses.extend(address.map(|address| SocketAddr::new(address, 53)));
            }
            Some("search" | "domain") => {
                servers.search = words.map(|word| word.trim_end_matches('.').to_ascii_lowercase()).collect();
                servers.search.retain(|domain| !domain.is_empty());
            }
            Some("options") => words.for_each(|word| option(word, &mut servers)),
            _ => {}
        }
    }
    servers.addresses.truncate(MOST_SERVERS);
    servers
}

fn option(word: &str, servers: &mut Servers) {
    let Some((name, value)) = word.split_once(':') else { return };
    let Ok(value) = value.parse::<u32>() else { return };
    match name {
        "ndots" => servers.dots = value.min(15) as usize,
        "timeout" => servers.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
        "attempts" => servers.attempts = value.clamp(1, 5),
        _ => {}
    }
}

/// The addresses that `hosts` has for a name.
pub fn hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        if words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_system_reads_it() {
        let text = "# made by hand\nnameserver 10.0.0.2\nnameserver fd00::53 \nnameserver nonsense\ndomain old.example\n\
            search a.example B.example.\noptions ndots:5 timeout:1 attempts:9 rotate edns0\nsortlist 1.2.3.4\n";
        let servers = servers(text);
        assert_eq!(servers.addresses, ["10.0.0.2:53", "[fd00::53]:53"].map(|text| text.parse().unwrap()));
        assert_eq!(servers.search, ["a.example", "b.example"]);
        assert_eq!((servers.dots, servers.timeout, servers.attempts), (5, Duration::from_secs(1), 5));
    }

    #[test]
    fn hosts_have_several_names_and_addresses() {
        let text =
            "127.0.0.1 localhost # me\n::1 LOCALHOST ip6-localhost\n10.0.0.9 db db.internal\n#10.0.0.8 db\nbad db\n";
        assert_eq!(hosts(text, "localhost"), ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(hosts(text, "db"), ["10.0.0.9".parse::<IpAddr>().unwrap()]);
        assert!(hosts(text, "me").is_empty());
    }
}
