//! Hosts: their one form, and the index that finds the routes of one.

use rustc_hash::FxHashMap;
use std::fmt;

/// The longest name that DNS has, without the dot of the root (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

/// Why a `Host` (or `:authority`) was refused. The client gets 400 with [`HostError::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError;

impl HostError {
    pub fn code(self) -> &'static str {
        "bad_host"
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the host is not a name, an IPv4 address or an IPv6 address in brackets")
    }
}

impl std::error::Error for HostError {}

/// Brings a host into the form that routes are matched by: lower case, without port and trailing dot.
///
/// An IPv6 literal keeps its brackets. An empty host stays empty and matches only routes without hosts. `scratch` is used
/// only when letters change. Names are letters, digits, `-`, `_` and dots between labels that are not empty, and no longer
/// than DNS knows them; all else, user information above all, is refused.
pub fn normalise_host<'a>(host: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], HostError> {
    let name = match host {
        [b'[', ..] => {
            let end = host.iter().position(|&byte| byte == b']').ok_or(HostError)?;
            check_port(&host[end + 1..])?;
            check_ipv6(&host[1..end])?;
            &host[..=end]
        }
        _ => {
            let end = host.iter().position(|&byte| byte == b':').unwrap_or(host.len());
            check_port(&host[end..])?;
            let name = host[..end].strip_suffix(b".").unwrap_or(&host[..end]);
            check_name(name, end)?;
            name
        }
    };
    if !name.iter().any(u8::is_ascii_uppercase) {
        return Ok(name);
    }
    scratch.clear();
    scratch.extend(name.iter().map(u8::to_ascii_lowercase));
    Ok(scratch)
}

/// Nothing, `:` or `:` with a port (RFC 3986 allows the empty port).
fn check_port(port: &[u8]) -> Result<(), HostError> {
    match port {
        [] | [b':'] => Ok(()),
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0'));
            if number <= 65535 { Ok(()) } else { Err(HostError) }
        }
        _ => Err(HostError),
    }
}

fn check_ipv6(address: &[u8]) -> Result<(), HostError> {
    let text = std::str::from_utf8(address).map_err(|_| HostError)?;
    text.parse::<std::net::Ipv6Addr>().map(drop).map_err(|_| HostError)
}

/// `written` is the length with the trailing dot: a lone `.` is no name.
fn check_name(name: &[u8], written: usize) -> Result<(), HostError> {
    // The search for wildcards costs a hash of what follows for each dot.
    if name.len() > LONGEST_NAME {
        return Err(HostError);
    }
    let mut label = 0;
    for &byte in name {
        match byte {
            b'.' if label == 0 => return Err(HostError),
            b'.' => label = 0,
            b'-' | b'_' => label += 1,
            byte if byte.is_ascii_alphanumeric() => label += 1,
            _ => return Err(HostError),
        }
    }
    if label == 0 && written > 0 { Err(HostError) } else { Ok(()) }
}

/// Finds the buckets of routes that a host may use.
///
/// Buckets are numbered in the order of precedence: exact names as the document first names them, then wildcards, the
/// longer first, then the bucket of the routes without hosts, which is always there.
pub(super) struct Hosts {
    exact: FxHashMap<Box<[u8]>, u32>,
    /// By what follows the `*`, with its dot.
    wildcard: FxHashMap<Box<[u8]>, u32>,
    any: u32,
}

impl Hosts {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let mut exact = FxHashMap::default();
        let mut suffixes: Vec<&str> = Vec::new();
        for pattern in patterns {
            match pattern.strip_prefix('*') {
                Some(suffix) => suffixes.push(suffix),
                None => {
                    let next = exact.len() as u32;
                    exact.entry(pattern.as_bytes().into()).or_insert(next);
                }
            }
        }
        suffixes.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        suffixes.dedup();
        let first = exact.len() as u32;
        let any = first + suffixes.len() as u32;
        let wildcard = (first..).zip(suffixes).map(|(bucket, suffix)| (suffix.as_bytes().into(), bucket)).collect();
        Self { exact, wildcard, any }
    }

    /// How many buckets there are.
    pub(super) fn len(&self) -> usize {
        self.any as usize + 1
    }

    /// The bucket of a host as the plan writes it.
    pub(super) fn bucket_of(&self, pattern: Option<&str>) -> u32 {
        match pattern {
            None => self.any,
            Some(pattern) => match pattern.strip_prefix('*') {
                Some(suffix) => self.wildcard[suffix.as_bytes()],
                None => self.exact[pattern.as_bytes()],
            },
        }
    }

    /// Calls `visit` with each bucket that takes this host, in the order of precedence, until it says `true`.
    #[inline]
    pub(super) fn visit(&self, host: &[u8], mut visit: impl FnMut(u32) -> bool) -> bool {
        if self.exact_bucket(host).is_some_and(|&bucket| visit(bucket)) {
            return true;
        }
        if !self.wildcard.is_empty() {
            // The first dot gives the longest suffix; position 0 would leave no label for the `*`.
            for (at, _) in host.iter().enumerate().filter(|&(at, &byte)| byte == b'.' && at > 0) {
                if self.wildcard.get(&host[at..]).is_some_and(|&bucket| visit(bucket)) {
                    return true;
                }
            }
        }
        visit(self.any)
    }

    /// Calls `visit` with the bucket of a host as the plan writes it, and with each that takes all its hosts.
    pub(super) fn visit_wider(&self, pattern: Option<&str>, mut visit: impl FnMut(u32)) {
        match pattern {
            None => visit(self.any),
            Some(pattern) => {
                // `*.a.b` goes on with `.a.b`, which leaves no label for a `*` of its own.
                let host = pattern.strip_prefix('*').unwrap_or(pattern);
                if host.len() < pattern.len() {
                    visit(self.bucket_of(Some(pattern)));
                }
                self.visit(host.as_bytes(), |bucket| {
                    visit(bucket);
                    false
                });
            }
        }
    }

    fn exact_bucket(&self, host: &[u8]) -> Option<&u32> {
        if self.exact.is_empty() { None } else { self.exact.get(host) }
    }
}
