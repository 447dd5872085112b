//! Tells the service who asked, by which way: `X-Forwarded-*`, `Forwarded` (RFC 7239) and `Via` (RFC 9110 section 7.6.3).
//!
//! What a trusted proxy in front of us said is continued: addresses are appended, and its protocol, host and port stand. What
//! anyone else said is gone already, see [`crate::policies::trust`].

use std::net::IpAddr;

use tidegate_http1::{Known, is_token};

use crate::exchange::{Exchange, Protocol};
use crate::head::Head;
use crate::network::write_address;
use crate::plan;
use crate::worker::NO_ADDRESS;

pub struct Forwarded {
    x_forwarded: bool,
    forwarded: bool,
    via: bool,
}

impl Forwarded {
    pub fn compile(plan: &plan::Forwarded) -> Self {
        Self { x_forwarded: plan.x_forwarded, forwarded: plan.forwarded, via: plan.via }
    }

    pub fn on_request(&self, exchange: &mut Exchange) {
        if self.x_forwarded {
            write_x_forwarded(exchange);
        }
        if self.forwarded {
            write_forwarded(exchange);
        }
        if self.via {
            exchange.request.head.add_known(Known::Via, b"via", via(exchange.request.protocol));
        }
    }

    /// Adds `Via` to an answer that came by way of a service; one that the gateway made has come by no other hop.
    pub fn on_response(&self, exchange: &mut Exchange) {
        if let (true, Some(protocol)) = (self.via, exchange.answer.protocol) {
            exchange.answer.head.add_known(Known::Via, b"via", via(protocol));
        }
    }
}

fn via(received: Protocol) -> &'static [u8] {
    match received {
        Protocol::Http10 => b"1.0 tidegate",
        Protocol::Http11 => b"1.1 tidegate",
        Protocol::Http2 => b"2 tidegate",
    }
}

fn write_x_forwarded(exchange: &mut Exchange) {
    if has_address(exchange) {
        append(exchange, Known::XForwardedFor, |out, exchange| write_address(out, peer(exchange)));
    }
    let tls = exchange.connection.tls;
    let (continues, scratch) = (exchange.trusted, &mut exchange.scratch);
    let request = &mut exchange.request;
    let stands = |head: &Head, known| continues && head.get_known(known).is_some();
    if !stands(&request.head, Known::XForwardedProto) {
        request.head.add_known(Known::XForwardedProto, b"x-forwarded-proto", scheme(tls));
    }
    scratch.clear();
    scratch.extend_from_slice(request.authority());
    if !scratch.is_empty() && !stands(&request.head, Known::XForwardedHost) {
        request.head.add_known(Known::XForwardedHost, b"x-forwarded-host", scratch);
    }
    if !stands(&request.head, Known::XForwardedPort) {
        request.head.add_known(Known::XForwardedPort, b"x-forwarded-port", port(scratch, tls));
    }
}

/// Appends one element: who asked, under which host, by which scheme. What is no token is quoted (RFC 7239 section 4).
fn write_forwarded(exchange: &mut Exchange) {
    append(exchange, Known::Forwarded, |out, exchange| {
        let peer = peer(exchange);
        out.extend_from_slice(b"for=");
        if !has_address(exchange) {
            out.extend_from_slice(b"unknown");
        } else if peer.is_ipv6() {
            out.extend_from_slice(b"\"[");
            write_address(out, peer);
            out.extend_from_slice(b"]\"");
        } else {
            write_address(out, peer);
        }
        let authority = exchange.request.authority();
        if !authority.is_empty() {
            out.extend_from_slice(b";host=");
            write_token_or_quoted(out, authority);
        }
        out.extend_from_slice(b";proto=");
        out.extend_from_slice(scheme(exchange.connection.tls));
    });
}

/// Sets the field to what a trusted proxy sent in it and one element more.
fn append(exchange: &mut Exchange, known: Known, write: impl Fn(&mut Vec<u8>, &Exchange)) {
    let mut value = std::mem::take(&mut exchange.scratch);
    value.clear();
    let name = known.name().as_bytes();
    if exchange.trusted {
        for line in exchange.request.head.get_all(name).filter(|line| !line.is_empty()) {
            value.extend_from_slice(line);
            value.extend_from_slice(b", ");
        }
        exchange.request.head.remove_known(known);
    }
    write(&mut value, exchange);
    exchange.request.head.add_known(known, name, &value);
    exchange.scratch = value;
}

fn peer(exchange: &Exchange) -> IpAddr {
    exchange.connection.peer.ip().to_canonical()
}

/// A peer on a UNIX socket has none.
fn has_address(exchange: &Exchange) -> bool {
    exchange.connection.peer.ip() != NO_ADDRESS
}

fn scheme(tls: bool) -> &'static [u8] {
    if tls { b"https" } else { b"http" }
}

/// The port the client meant: the one it named, or the scheme's. Our own may lie behind a port mapping that nobody else knows.
fn port(authority: &[u8], tls: bool) -> &[u8] {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match authority.len().checked_sub(digits + 1).map(|colon| authority[colon]) {
        Some(b':') if digits > 0 => &authority[authority.len() - digits..],
        _ if tls => b"443",
        _ => b"80",
    }
}

fn write_token_or_quoted(out: &mut Vec<u8>, value: &[u8]) {
    if is_token(value) {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_the_client_meant() {
        for (authority, tls, expected) in [
            ("example.com", false, "80"),
            ("example.com", true, "443"),
            ("example.com:8443", true, "8443"),
            ("[2001:db8::1]", false, "80"),
            ("[2001:db8::1]:81", false, "81"),
            ("", false, "80"),
            ("10.0.0.1", false, "80"),
        ] {
            assert_eq!(port(authority.as_bytes(), tls), expected.as_bytes(), "{authority}");
        }
    }

    #[test]
    fn what_is_no_token_is_quoted() {
        for (value, expected) in
            [("example.com", "example.com"), ("a:80", "\"a:80\""), ("[::1]", "\"[::1]\""), ("a\"\\", "\"a\\\"\\\\\"")]
        {
            let mut out = Vec::new();
            write_token_or_quoted(&mut out, value.as_bytes());
            assert_eq!(out, expected.as_bytes());
        }
    }
}
