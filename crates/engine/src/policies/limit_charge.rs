//! What a request is charged, and which answers count: what `rate_limit` and `quota` ask alike.

use crate::exchange::Exchange;
use crate::plan;
use crate::policies::limit_key::value;
use crate::problem::Problem;
use crate::respond::Code;
use crate::template::Template;

/// A cost that comes with the request may not be more.
const LARGEST_COST: u64 = 1_000_000;

pub enum Cost {
    Fixed(u64),
    Template(Template),
}

impl Cost {
    pub fn compile(plan: &plan::Cost) -> Result<Self, Problem> {
        Ok(match plan {
            plan::Cost::Fixed(cost) => Self::Fixed(*cost),
            plan::Cost::Template(template) => Self::Template(value(template, "cost")?),
        })
    }

    pub fn of(&self, exchange: &Exchange, text: &mut Vec<u8>) -> u64 {
        match self {
            Self::Fixed(cost) => *cost,
            Self::Template(template) => {
                text.clear();
                let rendered = template.render(exchange, text).is_ok();
                if rendered { number(text).map_or(1, |cost| cost.clamp(1, LARGEST_COST)) } else { 1 }
            }
        }
    }
}

/// A number however long it is: one beyond all bounds must not cost less than a large one.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let add = |sum: u64, byte| Some(sum.saturating_mul(10).saturating_add(digit(byte)?));
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// The status that the client was told; `None` when it left before.
pub fn told_status(exchange: &Exchange) -> Option<u16> {
    match (exchange.answer.status, exchange.notes.code) {
        (0, _) => None,
        (_, Some(Code::ClientGone)) if exchange.answer.status == Code::ClientGone.status() => None,
        (status, _) => Some(status),
    }
}

/// Which answers are charged.
pub struct Charge {
    /// Statuses, from and to; empty: all.
    count: Box<[(u16, u16)]>,
    refund_failures: bool,
}

impl Charge {
    pub fn new(count: &[(u16, u16)], refund_failures: bool) -> Self {
        Self { count: count.into(), refund_failures }
    }

    /// A client that left before its answer is charged: else it could have work done without end, and wait for none of it.
    pub fn counts(&self, status: Option<u16>) -> bool {
        let Some(status) = status else { return true };
        let among = self.count.is_empty() || self.count.iter().any(|&(from, to)| (from..=to).contains(&status));
        among && !(self.refund_failures && status >= 500)
    }

    /// No answer is ever given back.
    pub fn is_final(&self) -> bool {
        self.count.is_empty() && !self.refund_failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_a_number_however_long() {
        let long = "9".repeat(60);
        for (text, cost) in [
            ("7", Some(7)),
            (" +7 ", Some(7)),
            ("18446744073709551616", Some(u64::MAX)),
            (&long, Some(u64::MAX)),
            ("", None),
            ("+", None),
            ("-1", None),
            ("1e3", None),
            ("1.5", None),
            ("0x9", None),
        ] {
            assert_eq!(number(text.as_bytes()), cost, "{text}");
        }
    }

    #[test]
    fn who_leaves_before_the_answer_is_charged() {
        for charge in [Charge::new(&[], false), Charge::new(&[(100, 399)], false), Charge::new(&[(400, 599)], true)] {
            assert!(charge.counts(None));
        }
        assert!(!Charge::new(&[(100, 399)], false).counts(Some(499)));
    }
}
