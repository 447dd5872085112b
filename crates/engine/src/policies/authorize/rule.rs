//! One rule: it holds when all of its conditions do.

use super::expression::Expression;
use crate::claims::{Claim, List};
use crate::exchange::{Exchange, Method};
use crate::identity::{Consumer, Identity};
use crate::plan;
use crate::problem::Problem;

pub(super) struct Rule {
    pub(super) name: Box<str>,
    /// Otherwise it denies.
    pub(super) allow: bool,
    /// Empty: every method. Likewise for what follows.
    methods: Box<[Box<[u8]>]>,
    consumers: Box<[Box<str>]>,
    tiers: Box<[Box<str>]>,
    tags: Option<Wanted>,
    scopes: Option<Wanted>,
    claims: Box<[ClaimWanted]>,
    when: Option<Expression>,
}

/// A condition on a claim, by its path.
struct ClaimWanted {
    path: Box<[Box<str>]>,
    wanted: Wanted,
}

/// What a condition on something with several values asks for.
struct Wanted {
    all: bool,
    values: Box<[plan::Literal]>,
}

impl Rule {
    pub(super) fn compile(plan: &plan::Rule, policy: &plan::Authorize, index: usize) -> Result<Self, Problem> {
        let fault = |message| {
            let message = format!("rule `{}`: {message}", plan.name);
            Problem::new(format!("rules[{index}].when"), "config.bad_expression", message)
        };
        let when = plan.when.as_deref().map(Expression::compile).transpose().map_err(fault)?;
        // Roles and groups are claims with a name of their own in the document.
        let named = [(&policy.roles_claim, &plan.roles), (&policy.groups_claim, &plan.groups)];
        let named = named.into_iter().filter_map(|(path, wanted)| Some((path, wanted.as_ref()?)));
        let claims = named.chain(plan.claims.iter().map(|claim| (&claim.path, &claim.wanted)));
        Ok(Self {
            name: plan.name.as_str().into(),
            allow: plan.allow,
            methods: plan.methods.iter().map(|method| method.as_bytes().into()).collect(),
            consumers: boxed(&plan.consumers),
            tiers: boxed(&plan.tiers),
            tags: plan.tags.as_ref().map(Wanted::compile),
            scopes: plan.scopes.as_ref().map(Wanted::compile),
            claims: claims
                .map(|(path, wanted)| ClaimWanted { path: boxed(path), wanted: Wanted::compile(wanted) })
                .collect(),
            when,
        })
    }

    /// Whether it asks who calls.
    pub(super) fn is_about_identity(&self) -> bool {
        let plain = self.consumers.is_empty()
            && self.tiers.is_empty()
            && self.tags.is_none()
            && self.scopes.is_none()
            && self.claims.is_empty();
        !plain || self.when.as_ref().is_some_and(Expression::is_about_identity)
    }

    /// An error is what is wrong with the evaluation, for the log.
    pub(super) fn holds(&self, exchange: &Exchange) -> Result<bool, String> {
        if !self.takes_method(exchange) || !self.takes_caller(exchange) {
            return Ok(false);
        }
        self.when.as_ref().map_or(Ok(true), |when| when.holds(exchange))
    }

    fn takes_method(&self, exchange: &Exchange) -> bool {
        // Who may GET may HEAD, as with the methods of a route.
        let method = match exchange.request.method {
            Method::Head => b"GET",
            _ => exchange.request.method_name(),
        };
        let named = |name: &[u8]| self.methods.iter().any(|known| **known == *name);
        self.methods.is_empty() || named(method) || named(exchange.request.method_name())
    }

    fn takes_caller(&self, exchange: &Exchange) -> bool {
        let identity = exchange.identity.as_deref();
        let consumer = identity.and_then(|identity| identity.consumer.as_deref());
        let listed = |list: &[Box<str>], value: fn(&Consumer) -> Option<&str>| {
            list.is_empty() || consumer.and_then(value).is_some_and(|value| list.iter().any(|known| **known == *value))
        };
        listed(&self.consumers, |consumer| Some(&consumer.name))
            && listed(&self.tiers, |consumer| consumer.tier.as_deref())
            && self.tags.as_ref().is_none_or(|wanted| {
                consumer.is_some_and(|consumer| wanted.met(|tag| consumer.tags.iter().any(|own| is_text(tag, own))))
            })
            && self.scopes.as_ref().is_none_or(|wanted| {
                identity.is_some_and(|identity| wanted.met(|scope| scopes(identity).any(|own| is_text(scope, own))))
            })
            && self.claims.iter().all(|ClaimWanted { path, wanted }| {
                let claim = identity.and_then(|identity| identity.claim(path));
                claim.is_some_and(|claim| wanted.met(|value| holds_value(claim, value)))
            })
    }
}

impl Wanted {
    fn compile(plan: &plan::Wanted) -> Self {
        match plan {
            plan::Wanted::Any(values) => Self { all: false, values: values.as_slice().into() },
            plan::Wanted::All(values) => Self { all: true, values: values.as_slice().into() },
            // All of none: the claim only has to be there.
            plan::Wanted::Present => Self { all: true, values: Box::default() },
        }
    }

    fn met(&self, has: impl Fn(&plan::Literal) -> bool) -> bool {
        match self.all {
            true => self.values.iter().all(has),
            false => self.values.iter().any(has),
        }
    }
}

/// The scopes of a token: `scope`, separated by spaces (RFC 9068 section 2.2.3), or what other providers put into `scp`.
fn scopes(identity: &Identity) -> impl Iterator<Item = &str> {
    let claim = identity.claims.get("scope").or_else(|| identity.claims.get("scp"));
    let entries = claim.and_then(Claim::as_list).map(List::iter);
    let values = entries.into_iter().flatten().chain(claim);
    values.filter_map(Claim::as_str).flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty())
}

/// Whether a claim is a value, or a list that has it.
fn holds_value(claim: Claim<'_>, wanted: &plan::Literal) -> bool {
    let is = |value: Claim<'_>| match wanted {
        plan::Literal::Text(text) => value.as_str() == Some(text),
        plan::Literal::Integer(number) => value.as_i64() == Some(*number),
        plan::Literal::Truth(truth) => value.as_bool() == Some(*truth),
    };
    match claim {
        Claim::List(entries) => entries.iter().any(is),
        claim => is(claim),
    }
}

fn is_text(wanted: &plan::Literal, text: &str) -> bool {
    matches!(wanted, plan::Literal::Text(wanted) if wanted == text)
}

fn boxed(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}
