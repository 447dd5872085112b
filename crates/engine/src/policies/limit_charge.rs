//! What a request is charged, and which answers count: what `rate_limit` and `quota` ask alike.

use crate::exchange::Exchange;
use crate::plan;
use crate::policies::limit_key::value;
use crate::problem::Problem;
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
                let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<u64>().ok());
                number.filter(|_| rendered).map_or(1, |cost| cost.clamp(1, LARGEST_COST))
            }
        }
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

    pub fn counts(&self, status: u16) -> bool {
        let among = self.count.is_empty() || self.count.iter().any(|&(from, to)| (from..=to).contains(&status));
        among && !(self.refund_failures && status >= 500)
    }

    /// No answer is ever given back.
    pub fn is_final(&self) -> bool {
        self.count.is_empty() && !self.refund_failures
    }
}
