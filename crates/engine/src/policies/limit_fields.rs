//! What the client is told of its limits: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), which
//! are lists of structured fields (RFC 9651), and `Retry-After`.

use crate::exchange::Exchange;
use crate::head::Head;
use crate::limits::{Algorithm, Micros, NEVER, Rule, Told};
use crate::policies::Local;

const SECOND: Micros = 1_000_000;

/// A limit as it stands in both fields.
pub struct Item {
    /// `"name"`
    name: Box<[u8]>,
    /// `"name";q=100;w=60`
    policy: Box<[u8]>,
}

impl Item {
    /// A name has no character that a string would have to escape: the document sees to it.
    pub fn new(name: &str, rule: &Rule) -> Self {
        let parameters = &rule.parameters;
        // A bucket is whole again after a time that its rate and size make, not after a window.
        let window = match parameters.algorithm {
            Algorithm::TokenBucket => {
                let micros = u128::from(parameters.burst) * u128::from(parameters.window);
                micros.div_ceil(u128::from(parameters.amount)) as u64
            }
            _ => parameters.window,
        };
        Self::of(name, rule.most(), window)
    }

    /// So much in a time.
    pub fn of(name: &str, most: u64, window: Micros) -> Self {
        // The draft has no window below a second, so such a one is left out.
        let window = if window < SECOND { String::new() } else { format!(";w={}", window.div_ceil(SECOND)) };
        let policy = format!("\"{name}\";q={most}{window}");
        Self { name: format!("\"{name}\"").into_bytes().into(), policy: policy.into_bytes().into() }
    }
}

/// Takes out what the service says in these fields, once: nobody but the gateway says how much the client may.
pub fn begin(exchange: &mut Exchange) {
    if !std::mem::replace(&mut exchange.tells_limits, true) {
        exchange.answer.head.remove(b"ratelimit-policy");
        exchange.answer.head.remove(b"ratelimit");
    }
}

/// Adds a line to both fields; nothing when there is no limit to tell of.
pub fn add_told<'a>(head: &mut Head, limits: impl Iterator<Item = (&'a Item, Told)> + Clone) {
    if limits.clone().next().is_none() {
        return;
    }
    head.add_with(b"ratelimit-policy", |out| {
        for (index, (item, _)) in limits.clone().enumerate() {
            out.extend_from_slice(if index > 0 { b", " } else { b"" });
            out.extend_from_slice(&item.policy);
        }
    });
    head.add_with(b"ratelimit", |out| {
        for (index, (item, told)) in limits.enumerate() {
            out.extend_from_slice(if index > 0 { b", " } else { b"" });
            write(out, item, told);
        }
    });
}

/// Adds a line to both fields, which are lists and may have several: what is left, and for how many seconds.
pub fn add(head: &mut Head, limits: impl Iterator<Item = (Item, u64, u64)>) {
    let (mut policies, mut budgets) = (Vec::new(), Vec::new());
    for (item, remaining, seconds) in limits {
        for out in [&mut policies, &mut budgets] {
            out.extend_from_slice(if out.is_empty() { b"" } else { b", " });
        }
        policies.extend_from_slice(&item.policy);
        budgets.extend_from_slice(&item.name);
        budgets.extend_from_slice(b";r=");
        write_number(&mut budgets, remaining);
        budgets.extend_from_slice(b";t=");
        write_number(&mut budgets, seconds);
    }
    head.add(b"ratelimit-policy", &policies);
    head.add(b"ratelimit", &budgets);
}

fn write(out: &mut Vec<u8>, item: &Item, told: Told) {
    out.extend_from_slice(&item.name);
    out.extend_from_slice(b";r=");
    write_number(out, told.reading.remaining);
    // Beside `Retry-After`, both speak of the same moment.
    let until = if told.passed || told.wait == NEVER { told.reading.reset } else { told.wait };
    out.extend_from_slice(b";t=");
    write_number(out, until.div_ceil(SECOND));
}

/// Up to a tenth of the wait is added, and a second, so that those who were refused together do not come back together.
pub fn set_retry_after(head: &mut Head, wait: Micros, local: &Local) {
    let seconds = wait.div_ceil(SECOND).max(1);
    let jitter = local.random_below(seconds / 10 + 2);
    head.remove(b"retry-after");
    head.add_with(b"retry-after", |out| write_number(out, seconds + jitter));
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
