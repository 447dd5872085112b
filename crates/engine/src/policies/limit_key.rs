//! Whose requests share a budget, and by which tier: what `rate_limit`, `quota` and `concurrency` ask alike.

use std::net::IpAddr;

use crate::claims::Claim;
use crate::exchange::Exchange;
use crate::plan::{self, Reference};
use crate::problem::Problem;
use crate::template::{Destination, Template};

pub struct LimitKey {
    /// The first whose references all have a value is taken, the last as it is. None: see [`write_caller`].
    keys: Box<[Box<[Piece]>]>,
    ipv6_prefix: u8,
}

enum Piece {
    Text(Box<[u8]>),
    /// The client's address, cut to the prefix.
    Address,
    Value(Template),
}

impl LimitKey {
    pub fn compile(keys: &[plan::Template], ipv6_prefix: u8) -> Result<Self, Problem> {
        let keys = keys.iter().map(|key| key.iter().map(Piece::compile).collect()).collect::<Result<_, _>>()?;
        Ok(Self { keys, ipv6_prefix: ipv6_prefix.min(128) })
    }

    /// Appends the key of a request: no two different keys give the same bytes, whatever their values hold.
    ///
    /// False when no key has a value for each of its references.
    pub fn write(&self, exchange: &Exchange, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        if self.keys.is_empty() {
            write_caller(exchange, self.ipv6_prefix, out);
            return true;
        }
        for (index, pieces) in self.keys.iter().enumerate() {
            out.truncate(start);
            out.push(index as u8);
            let mut complete = true;
            for piece in pieces {
                complete &= piece.write(exchange, self.ipv6_prefix, out);
            }
            if complete {
                return true;
            }
        }
        false
    }
}

impl LimitKey {
    /// As [`LimitKey::write`], but a request without a value is known by its caller, as if there were no key.
    ///
    /// False when it is nobody's own word: no key has a value, or there is none.
    pub fn write_or_caller(&self, exchange: &Exchange, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        if !self.keys.is_empty() && self.write(exchange, out) {
            return true;
        }
        out.truncate(start);
        write_caller(exchange, self.ipv6_prefix, out);
        false
    }
}

impl Piece {
    fn compile(part: &plan::Part) -> Result<Self, Problem> {
        Ok(match part {
            plan::Part::Text(text) => Self::Text(text.as_bytes().into()),
            plan::Part::Reference(Reference::ClientIp) => Self::Address,
            plan::Part::Reference(_) => Self::Value(value(std::slice::from_ref(part), "key")?),
        })
    }

    /// False when the request has no value for it.
    fn write(&self, exchange: &Exchange, ipv6_prefix: u8, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Address => write_address(exchange.client_ip, ipv6_prefix, out),
            // A value that cannot be rendered is not there.
            Self::Value(template) => drop(template.render(exchange, out)),
        }
        let length = out.len() - start;
        // Where it ends: `a` and `bc` are not `ab` and `c`.
        out.extend_from_slice(&(length as u32).to_le_bytes());
        length > 0 || matches!(self, Self::Text(_))
    }
}

/// A template for a value that is looked at here and goes nowhere.
pub fn value(template: &[plan::Part], path: &str) -> Result<Template, Problem> {
    Template::compile(template, Destination::Body)
        .map_err(|message| Problem::new(path.to_owned(), "config.bad_reference", message))
}

/// The consumer, else the subject with its issuer, else the address.
fn write_caller(exchange: &Exchange, ipv6_prefix: u8, out: &mut Vec<u8>) {
    let Some(identity) = exchange.identity.as_deref() else {
        out.push(b'a');
        return write_address(exchange.client_ip, ipv6_prefix, out);
    };
    if let Some(consumer) = &identity.consumer {
        out.push(b'c');
        out.extend_from_slice(consumer.name.as_bytes());
    } else if let Some(subject) = identity.subject() {
        out.push(b's');
        out.extend_from_slice(subject.as_bytes());
        // Two issuers may give the same subject to two people.
        if let Some(issuer) = identity.claims.get("iss").and_then(Claim::as_str) {
            out.push(0);
            out.extend_from_slice(issuer.as_bytes());
        }
    } else {
        out.push(b'a');
        write_address(exchange.client_ip, ipv6_prefix, out);
    }
}

fn write_address(address: IpAddr, ipv6_prefix: u8, out: &mut Vec<u8>) {
    match address.to_canonical() {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix)).unwrap_or(0);
            out.extend_from_slice(&(address.to_bits() & mask).to_be_bytes());
        }
    }
}

/// Chooses by tier.
pub struct Tiers {
    tier: Template,
    names: Box<[Box<[u8]>]>,
}

impl Tiers {
    pub fn compile<'a>(tier: &plan::Template, names: impl Iterator<Item = &'a String>) -> Result<Self, Problem> {
        Ok(Self { tier: value(tier, "tier")?, names: names.map(|name| name.as_bytes().into()).collect() })
    }

    /// 0 for callers of no tier that is named, else one more than the tier's place.
    pub fn of(&self, exchange: &Exchange, scratch: &mut Vec<u8>) -> usize {
        if self.names.is_empty() {
            return 0;
        }
        scratch.clear();
        if self.tier.render(exchange, scratch).is_err() {
            return 0;
        }
        self.names.iter().position(|name| **name == **scratch).map_or(0, |place| place + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_to_their_prefix() {
        let key = |address: &str, prefix| {
            let mut out = Vec::new();
            write_address(address.parse().unwrap(), prefix, &mut out);
            out
        };
        assert_eq!(key("2001:db8:1:2:aaaa::1", 64), key("2001:db8:1:2::", 64));
        assert_ne!(key("2001:db8:1:2::1", 64), key("2001:db8:1:3::1", 64));
        assert_ne!(key("2001:db8:1:2::1", 128), key("2001:db8:1:2::2", 128));
        assert_ne!(key("192.0.2.1", 16), key("192.0.2.2", 16));
        assert_eq!(key("::ffff:192.0.2.1", 64), key("192.0.2.1", 64));
    }
}
