//! The PROXY protocol, versions 1 and 2: who the client of the proxy in front of us is.
//!
//! Specification: haproxy, `doc/proxy-protocol.txt`. A listener that asks for it takes no connection without it, since a
//! client that could leave the header out could also forge one.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, with its line end.
const V1_BYTES: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const V2_HEAD: usize = 16;
/// Addresses and TLVs of version 2 that we take; TLS details of the proxy (certificates) fit well.
const V2_BYTES: usize = 4096;

/// The addresses of the connection that the proxy took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes must come: at least this many in all.
    Partial(usize),
    /// The header ends after `length` bytes. Without addresses the proxy speaks for itself (a health check) or does not know.
    Complete { addresses: Option<Addresses>, length: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Neither version begins like this.
    NotProxy,
    /// A version 1 line that is not one.
    BadLine,
    /// Version or command of version 2 that do not exist.
    BadVersion,
    /// The addresses of version 2 do not fit their family.
    BadAddresses,
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotProxy => "no PROXY header",
            Self::BadLine => "malformed PROXY line",
            Self::BadVersion => "unknown PROXY version or command",
            Self::BadAddresses => "malformed PROXY addresses",
            Self::TooLong => "PROXY header too long",
        })
    }
}

impl std::error::Error for Fault {}

/// Reads the header off the front of a connection; whatever follows it stays unread. The caller bounds the time.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Addresses>> {
    let mut header = Vec::with_capacity(V1_BYTES);
    loop {
        match parse(&header).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))? {
            // No client has the address `0.0.0.0` or `::`: a proxy that says so does not know.
            Parsed::Complete { addresses, .. } => {
                return Ok(addresses.filter(|of| !of.source.ip().to_canonical().is_unspecified()));
            }
            Parsed::Partial(needed) => {
                let have = header.len();
                header.resize(needed, 0);
                stream.read_exact(&mut header[have..]).await?;
            }
        }
    }
}

/// Parses as much of a header as is there. `Partial` never asks for a byte behind the header.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    if bytes.is_empty() {
        return Ok(Parsed::Partial(V2_SIGNATURE.len()));
    }
    if is_prefix(bytes, V2_SIGNATURE) {
        return parse_v2(bytes);
    }
    if is_prefix(bytes, b"PROXY ") {
        return parse_v1(bytes);
    }
    Err(Fault::NotProxy)
}

fn is_prefix(bytes: &[u8], start: &[u8]) -> bool {
    let shared = bytes.len().min(start.len());
    bytes[..shared] == start[..shared]
}

// ---- version 1

fn parse_v1(bytes: &[u8]) -> Result<Parsed, Fault> {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let line = bytes[..end].strip_suffix(b"\r").ok_or(Fault::BadLine)?;
            let addresses = parse_line(line).ok_or(Fault::BadLine)?;
            Ok(Parsed::Complete { addresses, length: end + 1 })
        }
        None if bytes.len() >= V1_BYTES => Err(Fault::TooLong),
        // The shortest header is `PROXY UNKNOWN\r\n`; behind that, byte by byte, as nothing after the line may be taken.
        None => Ok(Parsed::Partial((bytes.len() + 1).max(b"PROXY UNKNOWN\r\n".len()))),
    }
}

fn parse_line(line: &[u8]) -> Option<Option<Addresses>> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut parts = line.split(' ');
    let (family, source, destination) = (parts.next()?, parts.next()?, parts.next()?);
    let (source_port, destination_port) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let parse: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    Some(Some(Addresses {
        source: SocketAddr::new(parse(source)?, parse_port(source_port)?),
        destination: SocketAddr::new(parse(destination)?, parse_port(destination_port)?),
    }))
}

/// Decimal digits without a sign or leading zeroes.
fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if digits && !padded { text.parse().ok() } else { None }
}

// ---- version 2

fn parse_v2(bytes: &[u8]) -> Result<Parsed, Fault> {
    if bytes.len() < V2_HEAD {
        return Ok(Parsed::Partial(V2_HEAD));
    }
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > V2_BYTES {
        return Err(Fault::TooLong);
    }
    let end = V2_HEAD + length;
    let Some(payload) = bytes.get(V2_HEAD..end) else {
        return Ok(Parsed::Partial(end));
    };
    let addresses = match bytes[12] {
        0x20 => None, // LOCAL: the proxy's own connection, whatever the rest says
        0x21 => parse_addresses(bytes[13], payload)?,
        _ => return Err(Fault::BadVersion),
    };
    Ok(Parsed::Complete { addresses, length: end })
}

/// TLVs behind the addresses are passed over.
fn parse_addresses(family: u8, payload: &[u8]) -> Result<Option<Addresses>, Fault> {
    let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
    match family {
        0x11 if payload.len() >= 12 => {
            let address = |at: usize| Ipv4Addr::new(payload[at], payload[at + 1], payload[at + 2], payload[at + 3]);
            Ok(Some(Addresses {
                source: SocketAddr::new(address(0).into(), word(8)),
                destination: SocketAddr::new(address(4).into(), word(10)),
            }))
        }
        0x21 if payload.len() >= 36 => {
            let address = |at: usize| Ipv6Addr::from(std::array::from_fn::<u16, 8, _>(|index| word(at + 2 * index)));
            Ok(Some(Addresses {
                source: SocketAddr::new(address(0).into(), word(32)),
                destination: SocketAddr::new(address(16).into(), word(34)),
            }))
        }
        // Unspecified, datagrams and UNIX sockets: a proxied stream whose address we cannot use.
        0x00 => Ok(None),
        0x31 if payload.len() >= 216 => Ok(None),
        _ => Err(Fault::BadAddresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn addresses(source: &str, destination: &str) -> Option<Addresses> {
        Some(Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    fn good() -> Vec<(Vec<u8>, Option<Addresses>)> {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];
        let mut v4_tlv = v4.to_vec();
        v4_tlv.extend([0x04, 0, 3, 1, 2, 3]);
        let mut v6 = vec![0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 80, 90);
        vec![
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n".to_vec(),
                addresses("192.0.2.1:56324", "198.51.100.7:443"),
            ),
            (b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".to_vec(), addresses("[2001:db8::1]:1", "[::1]:65535")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None),
            (v2(0x21, 0x11, &v4), addresses("192.0.2.1:56324", "198.51.100.7:443")),
            (v2(0x21, 0x11, &v4_tlv), addresses("192.0.2.1:56324", "198.51.100.7:443")),
            (v2(0x21, 0x21, &v6), addresses("[::1]:80", "[::2]:90")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x21, 0x00, &[9; 30]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ]
    }

    #[test]
    fn a_header_is_read_however_its_bytes_arrive() {
        for (bytes, expected) in good() {
            let mut with_more = bytes.clone();
            with_more.extend(b"GET / HTTP/1.1\r\n");
            let complete = Parsed::Complete { addresses: expected, length: bytes.len() };
            assert_eq!(parse(&with_more), Ok(complete), "{bytes:?}");
            for end in 0..bytes.len() {
                match parse(&bytes[..end]) {
                    Ok(Parsed::Partial(needed)) => assert!(needed > end && needed <= bytes.len(), "{bytes:?} {end}"),
                    other => panic!("{bytes:?} up to {end}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 120]].concat();
        for (bytes, fault) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), Fault::NotProxy),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4  192.0.2.1 198.51.100.7 1 443\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 056 443\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 +56 443\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP4 ::1 ::2 1 2\r\n".to_vec(), Fault::BadLine),
            (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), Fault::BadLine),
            (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), Fault::BadLine),
            (b"PROXY UNKNOWNX\r\n".to_vec(), Fault::BadLine),
            (long, Fault::TooLong),
            (v2(0x11, 0x11, &[0; 12]), Fault::BadVersion),
            (v2(0x22, 0x11, &[0; 12]), Fault::BadVersion),
            (v2(0x21, 0x11, &[0; 11]), Fault::BadAddresses),
            (v2(0x21, 0x21, &[0; 35]), Fault::BadAddresses),
            (v2(0x21, 0x12, &[0; 12]), Fault::BadAddresses),
            (v2(0x21, 0x41, &[0; 12]), Fault::BadAddresses),
            (v2(0x21, 0x11, &[0; 5000]), Fault::TooLong),
        ] {
            assert_eq!(parse(&bytes), Err(fault), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn reading_leaves_what_follows() {
        for (bytes, expected) in good() {
            let stream = [&bytes[..], b"rest"].concat();
            let mut left = &stream[..];
            assert_eq!(read(&mut left).await.unwrap(), expected);
            assert_eq!(left, b"rest");
        }
    }
}
