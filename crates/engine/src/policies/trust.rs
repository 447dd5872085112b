//! Who is believed about the client.
//!
//! Forwarding fields say who the client is, so they count only when a trusted proxy sent them. From everyone else they are
//! taken out before anything looks at the request, in every spelling that a service behind us may take for them: CGI and WSGI
//! servers turn `-` into `_`, so `X_Forwarded_For` reaches an application as `X-Forwarded-For`; some (lighttpd) turn every mark of a
//! name into it.

use std::net::IpAddr;

use tidegate_http1::Known;

use crate::exchange::Exchange;
use crate::head::Head;
use crate::network::Networks;

/// Settles who asks and removes what may not be believed. The engine calls it once an exchange, before it looks for a route.
pub fn admit(exchange: &mut Exchange) {
    let peer = exchange.connection.peer.ip().to_canonical();
    let trusted = exchange.snapshot.trusted_proxies.contains(peer);
    exchange.trusted = trusted;
    exchange.client_ip = peer;
    strip(&mut exchange.request.head, trusted);
    exchange.snapshot.owned.strip(&mut exchange.request.head);
    exchange.secure = exchange.connection.tls;
    if trusted {
        exchange.secure |= says_secure(&exchange.request.head);
        exchange.client_ip = client_ip(peer, &exchange.request.head, &exchange.snapshot.trusted_proxies);
    }
}

/// Whether a proxy says, in so many words, that its client came over TLS.
fn says_secure(head: &Head) -> bool {
    let mut lines = head.get_all(Known::XForwardedProto.name().as_bytes());
    matches!((lines.next(), lines.next()), (Some(scheme), None) if scheme.eq_ignore_ascii_case(b"https"))
}

/// Takes out forwarding fields that are not believed, and aliases whoever sent them: no proxy writes `X_Forwarded_For`.
fn strip(head: &mut Head, trusted: bool) {
    head.retain(|known, name, _| match known {
        Known::XForwardedFor
        | Known::XForwardedProto
        | Known::XForwardedHost
        | Known::XForwardedPort
        | Known::XRealIp
        | Known::Forwarded => trusted,
        Known::Other => match Spelling::of(name) {
            Spelling::Free => true,
            Spelling::Owned => trusted,
            Spelling::Alias => false,
        },
        _ => true,
    });
}

/// True for a trailer field that a service may take for a forwarding field; such a trailer is not passed on.
pub fn is_owned_in_trailers(name: &[u8]) -> bool {
    !matches!(Spelling::of(name), Spelling::Free)
}

/// What a field name that the codec does not know may be taken for.
#[derive(Debug, PartialEq, Eq)]
enum Spelling {
    Free,
    /// One of the `X-Forwarded-...` family, as it should be written.
    Owned,
    /// An owned name with another mark for `-`.
    Alias,
}

const FAMILY: &[u8] = b"x-forwarded";

impl Spelling {
    fn of(name: &[u8]) -> Self {
        // Nearly every name ends here, after two comparisons.
        if name.len() < b"x-real-ip".len() || name[0] | 0x20 != b'x' {
            return Self::Free;
        }
        let owned = match name.get(FAMILY.len()) {
            None => is_alias(name, b"x-real-ip") || is_alias(name, FAMILY),
            Some(byte) if is_mark(byte) => is_alias(&name[..FAMILY.len()], FAMILY),
            Some(_) => is_alias(name, b"x-request-id"),
        };
        match owned {
            false => Self::Free,
            true if name.iter().any(|byte| is_mark(byte) && *byte != b'-') => Self::Alias,
            true => Self::Owned,
        }
    }
}

/// Whether a service may take one name for the other: without regard to case, and to which mark (`-`, `_`, `.`, `!` ...) it has
/// where.
pub(crate) fn is_alias(name: &[u8], other: &[u8]) -> bool {
    let folded = |byte: &u8| if is_mark(byte) { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().map(folded).eq(other.iter().map(folded))
}

/// What is neither letter nor digit in the name of a field (RFC 9110 section 5.6.2).
pub(crate) fn is_mark(byte: &u8) -> bool {
    !byte.is_ascii_alphanumeric()
}

/// The rightmost address of `X-Forwarded-For` that is no trusted proxy; the last hop that is known when an entry makes no sense.
fn client_ip(peer: IpAddr, head: &Head, trusted: &Networks) -> IpAddr {
    let lines = || head.get_all(Known::XForwardedFor.name().as_bytes());
    let mut hop = peer;
    for line in (0..lines().count()).rev().filter_map(|index| lines().nth(index)) {
        for entry in line.rsplit(|byte| *byte == b',') {
            match address(entry.trim_ascii()) {
                None => return hop,
                Some(address) if !trusted.contains(address) => return address,
                Some(address) => hop = address,
            }
        }
    }
    hop
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
                return None;
            }
            address
        }
        None => match text.split_once(':') {
            Some((address, port)) if is_port(port) => address,
            _ => text,
        },
    };
    let address = bare.parse::<IpAddr>().ok()?.to_canonical();
    // No client has `0.0.0.0` or `::`.
    (!address.is_unspecified()).then_some(address)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::parse(&texts.iter().map(|text| text.to_string()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_trusted() {
        let trusted = networks(&["10.0.0.0/8", "2001:db8::/32"]);
        for (lines, client) in [
            (&["1.2.3.4"][..], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4, 10.0.0.9"], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4 ,10.0.0.9", "10.0.0.8"], "1.2.3.4"),
            (&["10.0.0.7, 10.0.0.9"], "10.0.0.7"),
            (&["6.6.6.6, nonsense, 10.0.0.9"], "10.0.0.9"),
            (&["6.6.6.6, nonsense"], "10.0.0.1"),
            (&["6.6.6.6,"], "10.0.0.1"),
            (&[], "10.0.0.1"),
            (&["1.2.3.4:5678, [2001:db8::5]:443"], "1.2.3.4"),
            (&["2001:db9::1, 10.0.0.9"], "2001:db9::1"),
            (&["[2001:db9::1], ::ffff:10.0.0.9"], "2001:db9::1"),
            (&["1.2.3.4:66666"], "10.0.0.1"),
            (&["unknown, 10.1.1.1"], "10.1.1.1"),
            (&["0.0.0.0, 10.1.1.1"], "10.1.1.1"),
            (&["6.6.6.6, ::"], "10.0.0.1"),
        ] {
            let mut head = Head::default();
            lines.iter().for_each(|line| head.add(b"X-Forwarded-For", line.as_bytes()));
            let peer = "10.0.0.1".parse().unwrap();
            assert_eq!(client_ip(peer, &head, &trusted), client.parse::<IpAddr>().unwrap(), "{lines:?}");
        }
    }

    #[test]
    fn fields_that_may_not_be_believed_are_taken_out_in_every_spelling() {
        for (name, from_anyone, from_a_trusted_proxy) in [
            ("X-Forwarded-For", false, true),
            ("x-forwarded-PROTO", false, true),
            ("X-Forwarded-Prefix", false, true),
            ("X-Forwarded", false, true),
            ("Forwarded", false, true),
            ("X-Real-IP", false, true),
            ("X_Forwarded_For", false, false),
            ("x.forwarded-for", false, false),
            ("X-Forwarded_Prefix", false, false),
            ("X_Real_IP", false, false),
            ("X_Request_Id", false, false),
            ("X!Forwarded~For", false, false),
            ("X-Forwarded|For", false, false),
            ("X*Real+IP", false, false),
            ("X-Request-Id", true, true),
            ("X-ForwardedFor", true, true),
            ("X-Reality", true, true),
            ("Via", true, true),
            ("Accept", true, true),
        ] {
            for (trusted, kept) in [(false, from_anyone), (true, from_a_trusted_proxy)] {
                let mut head = Head::default();
                head.add(name.as_bytes(), b"1");
                head.add(name.as_bytes(), b"2");
                strip(&mut head, trusted);
                assert_eq!(head.contains(name.as_bytes()), kept, "{name}, trusted: {trusted}");
            }
        }
    }
}
