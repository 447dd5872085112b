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

/// How a request ended, as far as that decides whether it is charged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ending {
    /// What the client was told; `None` when it left before.
    status: Option<u16>,
    /// Its credentials were no good.
    refused_credentials: bool,
}

impl Ending {
    pub fn of(exchange: &Exchange) -> Self {
        let status = match (exchange.answer.status, exchange.notes.code) {
            (0, _) => None,
            (_, Some(Code::ClientGone)) if exchange.answer.status == Code::ClientGone.status() => None,
            (status, _) => Some(status),
        };
        Self { status, refused_credentials: exchange.refused_credentials }
    }
}

/// Which requests are charged.
pub struct Charge {
    count: Count,
    refund_failures: bool,
}

enum Count {
    /// By status, from and to; empty: all.
    Statuses(Box<[(u16, u16)]>),
    RefusedCredentials,
}

impl Charge {
    pub fn new(count: &plan::Count, refund_failures: bool) -> Self {
        match count {
            plan::Count::Statuses(statuses) => Self::by_status(statuses, refund_failures),
            plan::Count::RefusedCredentials => Self { count: Count::RefusedCredentials, refund_failures },
        }
    }

    pub fn by_status(statuses: &[(u16, u16)], refund_failures: bool) -> Self {
        Self { count: Count::Statuses(statuses.into()), refund_failures }
    }

    /// A client that left before its answer is charged: else it could have work done without end, and wait for none of it.
    pub fn counts(&self, ending: Ending) -> bool {
        let Some(status) = ending.status else { return true };
        match &self.count {
            Count::Statuses(ranges) => {
                let among = ranges.is_empty() || ranges.iter().any(|&(from, to)| (from..=to).contains(&status));
                among && !(self.refund_failures && status >= 500)
            }
            Count::RefusedCredentials => ending.refused_credentials,
        }
    }

    /// Nothing is ever given back.
    pub fn is_final(&self) -> bool {
        matches!(&self.count, Count::Statuses(ranges) if ranges.is_empty()) && !self.refund_failures
    }

    /// Only credentials that are no good are charged.
    pub fn is_of_refusals(&self) -> bool {
        matches!(self.count, Count::RefusedCredentials)
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

    fn ended(status: u16, refused_credentials: bool) -> Ending {
        Ending { status: Some(status), refused_credentials }
    }

    #[test]
    fn who_leaves_before_the_answer_is_charged() {
        for charge in [
            Charge::by_status(&[], false),
            Charge::by_status(&[(100, 399)], false),
            Charge::by_status(&[(400, 599)], true),
            Charge::new(&plan::Count::RefusedCredentials, false),
        ] {
            assert!(charge.counts(Ending::default()));
        }
        assert!(!Charge::by_status(&[(100, 399)], false).counts(ended(499, false)));
    }

    #[test]
    fn of_refused_credentials_nothing_else_is_charged() {
        let charge = Charge::new(&plan::Count::RefusedCredentials, false);
        for (ending, charged) in [(ended(401, true), true), (ended(401, false), false), (ended(503, false), false)] {
            assert_eq!(charge.counts(ending), charged, "{ending:?}");
        }
        assert!(!charge.is_final());
    }
}
