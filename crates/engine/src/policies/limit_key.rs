//! Whose requests share a budget, and by which tier: what `rate_limit`, `quota` and `concurrency` ask alike.

use std::net::IpAddr;

use serde_json::Value;

use crate::exchange::Exchange;
use crate::identity::Identity;
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
    /// A claim by its path, whole: a template would leave control characters out, and two callers could look alike.
    Claim(Box<[String]>),
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
            out.extend_from_slice(&(index as u32).to_le_bytes());
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

impl Piece {
    fn compile(part: &plan::Part) -> Result<Self, Problem> {
        Ok(match part {
            plan::Part::Text(text) => Self::Text(text.as_bytes().into()),
            plan::Part::Reference(Reference::ClientIp) => Self::Address,
            plan::Part::Reference(Reference::Claims(path)) => Self::Claim(path.clone().into()),
            plan::Part::Reference(_) => Self::Value(value(std::slice::from_ref(part), "key")?),
        })
    }

    /// False when the request has no value for it.
    fn write(&self, exchange: &Exchange, ipv6_prefix: u8, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Address => write_address(exchange.client_ip, ipv6_prefix, out),
            Self::Claim(path) => {
                if let Some(value) = exchange.identity.as_ref().and_then(|identity| identity.claim(path)) {
                    write_claim(value, out);
                }
            }
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

/// No two values give the same bytes: text is UTF-8, which has no byte 0xff.
fn write_claim(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        other => {
            out.push(0xff);
            out.extend_from_slice(other.to_string().as_bytes());
        }
    }
}

/// The consumer, else the subject with its issuer, else the address.
fn write_caller(exchange: &Exchange, ipv6_prefix: u8, out: &mut Vec<u8>) {
    let identity = exchange.identity.as_deref();
    if !identity.is_some_and(|identity| write_identity(identity, out)) {
        out.push(b'a');
        write_address(exchange.client_ip, ipv6_prefix, out);
    }
}

/// False, and nothing is written, when the identity names nobody.
fn write_identity(identity: &Identity, out: &mut Vec<u8>) -> bool {
    if let Some(consumer) = &identity.consumer {
        out.push(b'c');
        out.extend_from_slice(consumer.name.as_bytes());
        return true;
    }
    let Some(subject) = &identity.subject else { return false };
    // Two issuers may give the same subject to two people; without one, so may two kinds of credentials.
    let (kind, whose) = match identity.claims.get("iss").and_then(Value::as_str) {
        Some(issuer) => (b'i', issuer),
        None => (b'm', identity.method),
    };
    out.push(kind);
    // Its length says where it ends, whatever either of them holds.
    out.extend_from_slice(&(subject.len() as u32).to_le_bytes());
    out.extend_from_slice(subject.as_bytes());
    out.extend_from_slice(whose.as_bytes());
    true
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
    use serde_json::json;

    use super::*;

    #[test]
    fn nobody_gets_the_key_of_another_whatever_subject_and_issuer_hold() {
        let pieces = ["", "a", "b", "\0", "\0a", "a\0", "a\0b", "\u{1}\0\0\0a", ",", "a,b", "\n"];
        let mut seen = std::collections::HashSet::new();
        let mut count = 0;
        for subject in pieces {
            for issuer in pieces.map(Some).into_iter().chain([None]) {
                for method in ["jwt", "mtls"] {
                    let claims = issuer.map(|issuer| ("iss".to_owned(), json!(issuer))).into_iter().collect();
                    let identity = Identity { method, subject: Some(subject.into()), claims, ..Identity::default() };
                    let mut out = Vec::new();
                    assert!(write_identity(&identity, &mut out));
                    seen.insert(out);
                    count += 1;
                    if issuer.is_some() {
                        // The same person, however the issuer's word came.
                        break;
                    }
                }
            }
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn claims_stand_in_a_key_as_they_are() {
        let values = [
            json!("ab"),
            json!("a\0b"),
            json!("a\nb"),
            json!("a,b"),
            json!(["a", "b"]),
            json!("[\"a\",\"b\"]"),
            json!("7"),
            json!(7),
            json!(true),
            json!({"a": "b"}),
        ];
        let written: std::collections::HashSet<Vec<u8>> = values
            .iter()
            .map(|value| {
                let mut out = Vec::new();
                write_claim(value, &mut out);
                out
            })
            .collect();
        assert_eq!(written.len(), values.len());
    }

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
