//! Lets a request on when a rule allows it, and none when none does.
//!
//! Rules are asked in the order of the document; the first that holds decides. A rule that cannot be evaluated decides too, and
//! denies: skipping it could skip the one that was to keep somebody out.

mod answers;
pub(crate) mod expression;
mod rule;
mod view;

use rule::Rule;

use crate::exchange::Exchange;
use crate::pipeline::Flow;
use crate::plan;
use crate::problem::{self, Problem};
use crate::respond::{Code, Failure};

pub struct Authorize {
    rules: Box<[Rule]>,
    /// Some rule that allows asks who calls: somebody who says so may be let on.
    about_identity: bool,
}

impl Authorize {
    pub fn compile(plan: &plan::Authorize) -> Result<Self, Vec<Problem>> {
        let rules = plan.rules.iter().enumerate();
        let rules: Box<[Rule]> = problem::all(rules.map(|(index, rule)| Rule::compile(rule, plan, index)))?;
        let about_identity = rules.iter().any(|rule| rule.allow && rule.is_about_identity());
        Ok(Self { rules, about_identity })
    }

    pub fn on_request(&self, exchange: &mut Exchange) -> Flow {
        for rule in &self.rules {
            match rule.holds(exchange) {
                Ok(false) => {}
                Ok(true) if rule.allow => return Flow::Continue,
                Ok(true) => return deny(exchange, Some(rule), rule.is_about_identity(), "the rule denies"),
                Err(fault) => return deny(exchange, Some(rule), rule.is_about_identity(), &fault),
            }
        }
        deny(exchange, None, self.about_identity, "no rule allows it")
    }
}

/// Refuses: with 401 where nobody has said who calls, and it could matter; with 403 otherwise (RFC 9110 section 15.5.4).
fn deny(exchange: &mut Exchange, rule: Option<&Rule>, about_identity: bool, why: &str) -> Flow {
    exchange.notes.rule = rule.map(|rule| rule.name.clone());
    if about_identity
        && exchange.identity.is_none()
        && let Some(authentication) = exchange.unmet.clone()
    {
        return authentication.ask(exchange);
    }
    Flow::Respond(Failure::with(Code::Forbidden, why))
}
