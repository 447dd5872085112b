//! Networks in CIDR form, and how a client's address is written.

use std::io::Write;
use std::net::IpAddr;

use crate::worker::NO_ADDRESS;

/// How a client on a UNIX socket is written, in `trusted_proxies` and wherever else an address would stand; as in nginx.
pub const UNIX: &str = "unix:";

/// A set of networks; an IPv4 address that came mapped into IPv6 counts as IPv4.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    all: Vec<Network>,
    /// Clients on UNIX sockets, which have no address, are in it.
    unix: bool,
}

#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Networks {
    /// Parses `10.0.0.0/8`, `2001:db8::/32`, a single address, or `unix:`. Returns the index and the fault of the first bad one.
    pub fn parse(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut networks = Self::default();
        for (index, text) in texts.iter().enumerate() {
            match text == UNIX {
                true => networks.unix = true,
                false => networks.all.push(Network::parse(text).map_err(|message| (index, message))?),
            }
        }
        Ok(networks)
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && !self.unix
    }

    /// Of a client on a UNIX socket ([`NO_ADDRESS`]): whether `unix:` is in the set. No network has such clients.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            NO_ADDRESS => self.unix,
            address => self.all.iter().any(|network| network.contains(address)),
        }
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("expected an address or a network, got `{text}`"))?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => widest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= widest)
                .ok_or_else(|| format!("expected a prefix of 0 to {widest} bits, got `{prefix}`"))?,
        };
        Ok(Self { address, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(u128::from(network.to_bits()) << 96, u128::from(address.to_bits()) << 96, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), self.prefix)
            }
            _ => false,
        }
    }
}

fn same_prefix(left: u128, right: u128, bits: u8) -> bool {
    bits == 0 || (left ^ right) >> (128 - u32::from(bits)) == 0
}

/// Writes an address as text; several times faster than `Display` for IPv4.
pub fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => write!(out, "{address}").expect("a vector takes every byte"),
    }
}

/// Writes who a client is: its address, or [`UNIX`].
pub fn write_client(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        NO_ADDRESS => out.extend_from_slice(UNIX.as_bytes()),
        address => write_address(out, address),
    }
}

/// As [`write_client`].
pub fn client_text(address: IpAddr) -> String {
    let mut text = Vec::new();
    write_client(&mut text, address);
    String::from_utf8(text).expect("an address is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Networks::parse(&[network.to_string()]).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        for (network, address, held) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("2001:db8::/32", "2001:db9::5", false),
            ("0.0.0.0/0", "9.9.9.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("0.0.0.0/0", "0.0.0.0", false),
            ("unix:", "0.0.0.0", true),
            ("unix:", "::ffff:0.0.0.0", true),
            ("unix:", "127.0.0.1", false),
        ] {
            assert_eq!(contains(network, address), held, "{network} {address}");
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for text in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "2001:db8::1", "::1"] {
            let mut out = Vec::new();
            write_address(&mut out, text.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn a_bad_network_is_refused_with_its_index() {
        for bad in ["10.0.0.0/33", "10.0.0/8", "::/129", "", "a/8"] {
            let error = Networks::parse(&["10.0.0.0/8".into(), bad.into()]).unwrap_err();
            assert_eq!(error.0, 1, "{bad}");
        }
    }
}
