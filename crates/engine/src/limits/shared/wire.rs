//! How limits and keys look to the store.

use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::limits::algorithm::{Cell, Decision, Micros, NEVER, Reading, Rule, share};
use crate::limits::quota::QuotaAsk;
use crate::limits::table::Told;
use crate::redis::Reply;
use crate::redis::client::Arguments;

/// Numbers of the scripts are doubles; half of what they count exactly leaves room for sums.
const EXACT: u64 = 1 << 52;

/// Whether the scripts can do the arithmetic of a limit without rounding.
pub fn is_exact(rule: &Rule) -> bool {
    rule.wire().1.iter().all(|&number| number <= EXACT)
}

/// A limit's name among all of gateways that share a store. A `/` in its own name is escaped: the limit `b/quota/c` of the
/// route `a` is not the limit `c` of the route `a/quota/b`.
pub fn full_name(scope: &str, policy: &str, name: &str) -> String {
    format!("{scope}/{policy}/{}", name.replace('/', "%2F"))
}

/// A limit's part of its keys: two limits that count differently never share one.
#[derive(Debug, Clone)]
pub struct Scope(Arc<Named>);

impl Scope {
    /// `name`: unique among the limits of all gateways that share a store, such as `route/orders/rate_limit/0`.
    pub fn new(name: &str, rule: &Rule) -> Self {
        let (kind, numbers) = rule.wire();
        // A changed amount of a window goes on with the count it has; a level means nothing at another rate.
        let mark = match kind {
            't' | 'k' => format!("{}/{}", numbers[0], numbers[1]),
            _ => numbers[1].to_string(),
        };
        Self(Arc::new(Named::new(&format!("{name}:{kind}{mark}"))))
    }

    pub fn named(&self) -> &Arc<Named> {
        &self.0
    }

    /// The key of a request; see [`Named::key`].
    pub fn key(&self, prefix: &str, text: &[u8]) -> Vec<u8> {
        self.0.key(prefix, text)
    }
}

/// What is kept for the keys of requests under one name.
#[derive(Debug, Clone)]
pub struct Named(Box<str>);

impl Named {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// For quotas; `name`: unique among those of all gateways that share a store.
    pub fn quota(name: &str) -> Self {
        Self::new(&format!("{name}:q"))
    }

    /// The key of a request: what it is limited by is hashed, since it may be long, secret, or chosen to look like another.
    ///
    /// The hash is a cluster's tag, so all limits with the same key are on one server.
    pub fn key(&self, prefix: &str, text: &[u8]) -> Vec<u8> {
        self.key_of(prefix, &Hash::of(text))
    }

    /// As [`Named::key`], of what was hashed already.
    pub fn key_of(&self, prefix: &str, hash: &Hash) -> Vec<u8> {
        let mut key = String::with_capacity(prefix.len() + 36 + self.0.len());
        key.push_str(prefix);
        hash.write_tag(&mut key);
        key.push(':');
        key.push_str(&self.0);
        key.into_bytes()
    }
}

/// What a request is limited by, in half a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 16]);

impl Hash {
    pub fn of(text: &[u8]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&digest(&SHA256, text).as_ref()[..16]);
        Self(half)
    }

    /// In braces, which choose the server in a cluster.
    pub fn write_tag(&self, key: &mut String) {
        key.push('{');
        for byte in self.0 {
            write!(key, "{byte:02x}").expect("a string takes every character");
        }
        key.push('}');
    }
}

/// One limit of a question, without its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub what: What,
    pub cost: u64,
    pub shadow: bool,
}

/// How something is counted.
#[derive(Debug, Clone, Copy)]
pub enum What {
    Rule(Rule),
    /// So much in a calendar period, whose bounds this gateway knows and the store does not: in microseconds.
    Quota {
        amount: u64,
        start: Micros,
        end: Micros,
    },
}

impl What {
    pub fn quota(ask: &QuotaAsk) -> Self {
        let micros = |seconds: i64| (seconds.max(0) as u64).saturating_mul(1_000_000);
        Self::Quota { amount: ask.amount, start: micros(ask.period.start), end: micros(ask.period.end) }
    }

    /// A cost that the scripts could not reckon with, and that no budget ever has room for.
    pub fn is_hopeless(&self, cost: u64) -> bool {
        let unit = match self.wire() {
            ('t' | 'k', numbers) => numbers[1],
            _ => 1,
        };
        cost.saturating_mul(unit) > EXACT
    }

    fn wire(&self) -> (char, [u64; 4]) {
        match *self {
            Self::Rule(rule) => rule.wire(),
            Self::Quota { amount, start, end } => ('q', [amount, start, end, 0]),
        }
    }
}

impl Asked {
    pub fn is_hopeless(&self) -> bool {
        self.what.is_hopeless(self.cost)
    }

    pub fn write(&self, arguments: &mut Arguments) {
        let (kind, numbers) = self.what.wire();
        arguments.word(&[kind as u8]);
        arguments.word(if self.shadow { b"1" } else { b"0" });
        arguments.number(self.cost as i64);
        numbers.iter().for_each(|&number| arguments.number(number as i64));
    }

    pub fn write_refund(&self, charged: Micros, arguments: &mut Arguments) {
        let (kind, numbers) = self.what.wire();
        arguments.word(&[kind as u8]);
        arguments.number(self.cost as i64);
        arguments.number(charged as i64);
        numbers.iter().for_each(|&number| arguments.number(number as i64));
    }

    /// What became of the limit, from what was kept of it before; `goes`: nothing refused the request.
    pub fn told(&self, kept: [u64; 3], now: Micros, goes: bool) -> Told {
        let rule = match self.what {
            What::Rule(rule) if rule.keeps_log() => return self.told_log(&rule, kept, now, goes),
            What::Rule(rule) => rule,
            What::Quota { amount, start, end } => return self.told_quota(amount, (start, end), kept, now, goes),
        };
        let value = match rule.wire().0 {
            't' | 'k' => kept[1],
            _ => kept[2] << 32 | kept[1],
        };
        let cell = Cell { at: kept[0], value };
        let (passed, wait, next) = match rule.decide(cell, None, now, self.cost) {
            Decision::Pass { next, delay } if goes => (true, delay, Some(next)),
            Decision::Pass { .. } => (true, 0, None),
            Decision::Refuse { wait } => (false, wait, None),
        };
        let reading = rule.read(next.unwrap_or(cell), None, now);
        Told { passed, charged: next.is_some(), at: next.map_or(0, |next| now.max(next.at)), wait, reading }
    }

    fn told_quota(&self, amount: u64, bounds: (Micros, Micros), kept: [u64; 3], now: Micros, goes: bool) -> Told {
        let (start, end) = bounds;
        let at = kept[0].max(start);
        let used = if kept[0] >= start { kept[1] } else { 0 };
        let passed = used + self.cost <= amount;
        let charged = passed && goes && self.cost > 0;
        let wait = match passed {
            true => 0,
            false if self.cost > amount => NEVER,
            false => end.saturating_sub(now),
        };
        let used = if charged { used + self.cost } else { used };
        let reset = if used == 0 { 0 } else { end.saturating_sub(now) };
        let reading = Reading { remaining: amount.saturating_sub(used), reset, used: share(used, amount) };
        Told { passed, charged, at, wait, reading }
    }

    fn told_log(&self, rule: &Rule, [newest, length, blocking]: [u64; 3], now: Micros, goes: bool) -> Told {
        let (amount, window) = (rule.parameters.amount, rule.parameters.window);
        let passed = length + self.cost <= amount;
        let charged = passed && goes;
        let wait = match passed {
            true => 0,
            false if self.cost > amount => NEVER,
            false => (blocking + window).saturating_sub(now),
        };
        let (count, newest) =
            if charged && self.cost > 0 { (length + self.cost, newest.max(now)) } else { (length, newest) };
        let reset = if count == 0 { 0 } else { (newest + window).saturating_sub(now) };
        let reading = Reading { remaining: amount.saturating_sub(count), reset, used: share(count, amount) };
        Told { passed, charged, at: if charged { now.max(newest) } else { 0 }, wait, reading }
    }

    /// What is told of a limit that [`Asked::is_hopeless`]; nothing is known of its budget.
    pub fn told_hopeless(&self) -> Told {
        let remaining = match self.what {
            What::Rule(rule) => rule.most(),
            What::Quota { amount, .. } => amount,
        };
        let reading = Reading { remaining, reset: 0, used: 0 };
        Told { passed: false, charged: false, at: 0, wait: NEVER, reading }
    }
}

/// The three numbers that are told of a limit.
pub(super) fn kept(replies: &[Reply]) -> Option<[u64; 3]> {
    let number = |reply: &Reply| reply.integer().and_then(|number| u64::try_from(number).ok());
    Some([number(&replies[0])?, number(&replies[1])?, number(&replies[2])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both were `route/a/quota/b/quota/c`.
    #[test]
    fn two_limits_have_two_names() {
        assert_ne!(full_name("route/a", "quota", "b/quota/c"), full_name("route/a/quota/b", "quota", "c"));
        assert_eq!(full_name("route/a", "quota", "b"), "route/a/quota/b");
    }
}
