//! Conditions on headers, query parameters and cookies.

use super::lookup::Lookup;
use super::regex::{Flavour, Regexes, SharedRegex};
use crate::plan;
use crate::problem::Problem;

/// All conditions of one route, and its methods that have no bit of their own.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) other_methods: Vec<Box<[u8]>>,
    headers: Vec<Condition>,
    query: Vec<Condition>,
    cookies: Vec<Condition>,
}

struct Condition {
    name: Box<str>,
    /// Empty: the name must be there.
    values: Vec<Value>,
}

enum Value {
    Exact(Box<[u8]>),
    Regex(SharedRegex),
}

impl Conditions {
    /// `index` is the route's place in the plan.
    pub(super) fn compile(
        route: &plan::Route,
        index: usize,
        regexes: &mut Regexes<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut compile = |field: &str, matches: &[plan::FieldMatch]| {
            let mut compiled = Vec::with_capacity(matches.len());
            for (at, condition) in matches.iter().enumerate() {
                let place = format!("routes[{index}].{field}[{at}]");
                compiled.push(Condition::compile(condition, &place, regexes, problems));
            }
            compiled
        };
        Self {
            other_methods: Vec::new(),
            headers: compile("headers", &route.headers),
            query: compile("query", &route.query),
            cookies: compile("cookies", &route.cookies),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty() && self.cookies.is_empty()
    }

    pub(super) fn hold(&self, request: &impl Lookup, scratch: &mut Vec<u8>) -> bool {
        self.headers.iter().all(|it| it.holds_for_header(request))
            && self.query.iter().all(|it| it.holds_for_query(request, scratch))
            && self.cookies.iter().all(|it| it.holds_for_cookie(request))
    }

    /// Calls `failed` with the field (`header`, `query`, `cookie`), the name, and whether the name is there at all.
    pub(super) fn failures(&self, request: &impl Lookup, failed: &mut dyn FnMut(&'static str, &str, bool)) {
        let mut scratch = Vec::new();
        for it in self.headers.iter().filter(|it| !it.holds_for_header(request)) {
            failed("header", &it.name, request.any_header(&it.name, &mut |_| true));
        }
        for it in self.query.iter() {
            if !it.holds_for_query(request, &mut scratch) {
                failed("query", &it.name, request.any_query(&it.name, &mut scratch, &mut |_| true));
            }
        }
        for it in self.cookies.iter().filter(|it| !it.holds_for_cookie(request)) {
            failed("cookie", &it.name, request.any_cookie(&it.name, &mut |_| true));
        }
    }
}

impl Condition {
    fn compile(
        condition: &plan::FieldMatch,
        place: &str,
        regexes: &mut Regexes<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut values = Vec::with_capacity(condition.values.len());
        for (at, value) in condition.values.iter().enumerate() {
            match value {
                plan::ValueMatch::Exact(text) => values.push(Value::Exact(text.as_bytes().into())),
                plan::ValueMatch::Regex(pattern) => match regexes.get(pattern, Flavour::Value) {
                    Ok(regex) => values.push(Value::Regex(regex)),
                    Err(message) => {
                        let place = format!("{place}.values[{at}]");
                        problems.push(Problem::new(place, "routing.bad_regex", message));
                    }
                },
            }
        }
        Self { name: condition.name.as_str().into(), values }
    }

    fn takes(&self, value: &[u8]) -> bool {
        self.values.is_empty()
            || self.values.iter().any(|it| match it {
                Value::Exact(text) => **text == *value,
                Value::Regex(regex) => regex.is_match(value),
            })
    }

    fn holds_for_header(&self, request: &impl Lookup) -> bool {
        request.any_header(&self.name, &mut |value| self.takes(value))
    }

    fn holds_for_query(&self, request: &impl Lookup, scratch: &mut Vec<u8>) -> bool {
        request.any_query(&self.name, scratch, &mut |value| self.takes(value))
    }

    fn holds_for_cookie(&self, request: &impl Lookup) -> bool {
        request.any_cookie(&self.name, &mut |value| self.takes(value))
    }
}
