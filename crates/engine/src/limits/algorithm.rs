//! Five ways to count, as pure functions: what is kept of a key, a time and a cost go in, a decision comes out.
//!
//! Times are microseconds on one line whose zero is the Unix epoch, so that windows stand where people expect them, at full
//! minutes and hours. Integers only: nothing is rounded in favour of anybody. `docs/concepts/limits.md` has the bounds.
//!
//! A time that lies behind what a key has seen already is taken for the latest it has seen: workers read their clocks at
//! slightly different moments. One that lies more than a window behind comes from a clock that was set back: see
//! [`Rule::set_back`].

use serde::Deserialize;

use crate::limits::bucket::Bucket;
use crate::limits::log::Log;
use crate::limits::window::Window;

/// Microseconds since the Unix epoch, or between two moments.
pub type Micros = u64;

/// No waiting helps: the cost is more than the limit ever allows.
pub const NEVER: Micros = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    FixedWindow,
    SlidingWindow,
    SlidingLog,
    TokenBucket,
    LeakyBucket,
}

/// A limit in numbers: `amount` in `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parameters {
    pub algorithm: Algorithm,
    pub amount: u64,
    pub window: Micros,
    /// `token_bucket`: how many may come at once.
    pub burst: u64,
    /// `leaky_bucket`: the longest delay.
    pub delay: Micros,
}

/// A limit, compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub parameters: Parameters,
    counted: Counted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Fixed(Window),
    Sliding(Window),
    Log(Window),
    Token(Bucket),
    Leaky(Bucket),
}

/// What is kept of one key; all zeros is a key that has used nothing.
///
/// Windows: their start, and the counts of this and the previous one. Buckets: when they were looked at last, and how full
/// they were. Logs: when they were charged last; the log itself is kept elsewhere, and `value` is its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    pub at: Micros,
    pub value: u64,
}

/// Whether a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Pass {
        /// The cell once the request is charged.
        next: Cell,
        /// How long the request must be held.
        delay: Micros,
    },
    Refuse {
        /// After which it would pass, if nothing else comes; or [`NEVER`].
        wait: Micros,
    },
}

/// How much of the budget is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    pub remaining: u64,
    /// Until nothing of the budget is used any more, if nothing else comes.
    pub reset: Micros,
    /// The part that is used, of [`WHOLE`].
    pub used: u16,
}

/// A budget that is used up.
pub const WHOLE: u16 = 0x7fff;

/// No amount may be more: two of them share a word.
pub const LARGEST: u64 = u32::MAX as u64;
/// A log keeps a time for each request.
pub const LARGEST_LOG: u64 = 10_000;

impl Rule {
    /// The error is a message for people.
    pub fn new(parameters: Parameters) -> Result<Self, &'static str> {
        let Parameters { algorithm, amount, window, burst, delay } = parameters;
        if amount == 0 || amount > LARGEST || window == 0 || window > NEVER >> 20 {
            return Err("a limit allows at least one request in a window");
        }
        let whole = Window { amount, length: window };
        let counted = match algorithm {
            Algorithm::FixedWindow => Counted::Fixed(whole),
            Algorithm::SlidingWindow => Counted::Sliding(whole),
            Algorithm::SlidingLog if amount > LARGEST_LOG => {
                return Err("a `sliding_log` keeps at most 10000 requests");
            }
            Algorithm::SlidingLog => Counted::Log(whole),
            Algorithm::TokenBucket => Counted::Token(Bucket::token(amount, window, burst)?),
            Algorithm::LeakyBucket => Counted::Leaky(Bucket::leaky(amount, window, delay)?),
        };
        Ok(Self { parameters, counted })
    }

    /// The part of one among several that share the limit: rounded down, but never nothing.
    pub fn divided_by(&self, parts: u32) -> Self {
        let part = |amount: u64| (amount / u64::from(parts.max(1))).max(1);
        let Parameters { amount, burst, .. } = self.parameters;
        let parameters = Parameters { amount: part(amount), burst: part(burst), ..self.parameters };
        Self::new(parameters).unwrap_or(*self)
    }

    /// Its cells hold numbers of logs.
    pub fn keeps_log(&self) -> bool {
        matches!(self.counted, Counted::Log(_))
    }

    /// Its cells hold levels that mean nothing at another rate.
    pub fn is_bucket(&self) -> bool {
        matches!(self.counted, Counted::Token(_) | Counted::Leaky(_))
    }

    /// The kind as a letter, and its numbers: windows have amount and length, buckets rate, unit, capacity and window.
    pub(super) fn wire(&self) -> (char, [u64; 4]) {
        let of = |[rate, unit, capacity]: [u64; 3]| [rate, unit, capacity, self.parameters.window];
        match &self.counted {
            Counted::Fixed(window) => ('f', [window.amount, window.length, 0, 0]),
            Counted::Sliding(window) => ('s', [window.amount, window.length, 0, 0]),
            Counted::Log(window) => ('l', [window.amount, window.length, 0, 0]),
            Counted::Token(bucket) => ('t', of(bucket.wire())),
            Counted::Leaky(bucket) => ('k', of(bucket.wire())),
        }
    }

    /// The most that can be used at once.
    pub fn most(&self) -> u64 {
        match self.parameters.algorithm {
            Algorithm::TokenBucket => self.parameters.burst,
            _ => self.parameters.amount,
        }
    }

    /// Decides on a request; changes nothing.
    pub fn decide(&self, cell: Cell, log: Option<&Log>, now: Micros, cost: u64) -> Decision {
        match &self.counted {
            Counted::Fixed(window) => window.decide_fixed(cell, now, cost),
            Counted::Sliding(window) => window.decide_sliding(cell, now, cost),
            Counted::Log(window) => match log.unwrap_or(&Log::EMPTY).decide(*window, now, cost) {
                None => Decision::Pass { next: Cell { at: now.max(cell.at), ..cell }, delay: 0 },
                Some(wait) => Decision::Refuse { wait },
            },
            Counted::Token(bucket) => bucket.decide_token(cell, now, cost),
            Counted::Leaky(bucket) => bucket.decide_leaky(cell, now, cost),
        }
    }

    pub fn read(&self, cell: Cell, log: Option<&Log>, now: Micros) -> Reading {
        match &self.counted {
            Counted::Fixed(window) => window.read_fixed(cell, now),
            Counted::Sliding(window) => window.read_sliding(cell, now),
            Counted::Log(window) => log.unwrap_or(&Log::EMPTY).read(*window, now),
            Counted::Token(bucket) | Counted::Leaky(bucket) => bucket.read(cell, now),
        }
    }

    /// Whether what was kept of a key can only come from a clock that was set back since.
    pub fn is_ahead(&self, cell: Cell, now: Micros) -> bool {
        cell.at.saturating_sub(now) > self.parameters.window
    }

    /// Moves a key that [is ahead](Self::is_ahead) to now, with all that it has used: nobody gains a request by the change,
    /// and nobody waits for the time that the clock has lost.
    pub fn set_back(&self, cell: Cell, log: Option<&mut Log>, now: Micros) -> Cell {
        let at = match &self.counted {
            Counted::Fixed(window) | Counted::Sliding(window) => now - now % window.length,
            Counted::Log(_) | Counted::Token(_) | Counted::Leaky(_) => now,
        };
        if let Some(log) = log {
            log.set_back(now);
        }
        Cell { at, ..cell }
    }

    /// Gives back what a request was charged at `charged`; what has expired meanwhile is not given twice.
    pub fn give_back(&self, cell: Cell, charged: Micros, now: Micros, cost: u64) -> Cell {
        match &self.counted {
            Counted::Fixed(window) => window.give_back_fixed(cell, charged, cost),
            Counted::Sliding(window) => window.give_back_sliding(cell, charged, now, cost),
            Counted::Log(_) => cell,
            Counted::Token(bucket) | Counted::Leaky(bucket) => bucket.give_back(cell, now, cost),
        }
    }

    /// Charges a log; for the other algorithms the cell of the decision is all there is to keep.
    pub(super) fn charge_log(&self, log: &mut Log, now: Micros, cost: u64) {
        if let Counted::Log(window) = self.counted {
            log.charge(window, now, cost);
        }
    }
}

/// `part` of `whole` as a [`Reading::used`].
pub(super) fn share(part: u64, whole: u64) -> u16 {
    ((part as f64 / whole as f64) * f64::from(WHOLE)).min(f64::from(WHOLE)) as u16
}
