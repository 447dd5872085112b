//! Whether a call is made, or a view chosen.

use super::expression::Cel;
use super::place::{Compiler, Frame, Place, Values, Wanted};
use super::raw::{Kind, Raw};
use crate::claims::Claim;
use crate::exchange::Exchange;
use crate::plan::{Reference, ValueMatch, compose};
use crate::problem::Problem;
use crate::routing::{Lookup, ValueRegex};
use crate::template::write_value;

#[derive(Debug)]
pub struct When(Kinds);

#[derive(Debug)]
enum Kinds {
    Fields(Wanted, Box<[Condition]>),
    Cel(Box<Cel>),
}

#[derive(Debug)]
struct Condition {
    place: Place,
    /// Any will do; none: every value.
    values: Box<[Value]>,
    /// Otherwise it has to be missing.
    present: bool,
}

#[derive(Debug)]
enum Value {
    Exact(Box<[u8]>),
    Regex(ValueRegex),
}

impl When {
    pub fn compile(plan: &compose::When) -> Result<Self, Vec<Problem>> {
        match plan {
            compose::When::Cel(plan) => match Cel::compile(plan) {
                Ok(cel) => Ok(Self(Kinds::Cel(Box::new(cel)))),
                Err(message) => Err(vec![Problem::new("", "config.bad_expression", message)]),
            },
            compose::When::Fields(fields) => {
                let mut compiler = Compiler::default();
                let condition = |(source, values, present): &(compose::Source, Vec<ValueMatch>, bool)| Condition {
                    place: compiler.place(source),
                    values: values.iter().filter_map(|value| compiler.value(value)).collect(),
                    present: *present,
                };
                let conditions = fields.iter().map(condition).collect();
                match compiler.problems.is_empty() {
                    true => Ok(Self(Kinds::Fields(compiler.wanted, conditions))),
                    false => Err(compiler.problems),
                }
            }
        }
    }

    /// An error says in some words why an expression has no value.
    pub fn holds(&self, values: &impl Values) -> Result<bool, String> {
        match &self.0 {
            Kinds::Cel(cel) => cel.holds(values),
            Kinds::Fields(wanted, conditions) => {
                let frame = wanted.locate(values, usize::MAX);
                Ok(conditions.iter().all(|condition| condition.holds(&frame, values)))
            }
        }
    }
}

impl Compiler {
    fn value(&mut self, plan: &ValueMatch) -> Option<Value> {
        match plan {
            ValueMatch::Exact(text) => Some(Value::Exact(text.as_bytes().into())),
            ValueMatch::Regex(pattern) => match ValueRegex::compile(pattern) {
                Ok(regex) => Some(Value::Regex(regex)),
                Err(message) => {
                    self.problems.push(Problem::new("", "routing.bad_regex", message));
                    None
                }
            },
        }
    }
}

impl Condition {
    fn holds(&self, frame: &Frame<'_>, values: &impl Values) -> bool {
        let found = match &self.place {
            Place::Request(reference) => self.takes_request(reference, values.exchange()),
            Place::Index => false,
            Place::Found(..) => match self.place.list(frame) {
                Some(mut list) => list.any(|value| value.is_some_and(|value| self.takes_json(value))),
                None => self.place.raw(frame).is_some_and(|value| self.takes_json(value)),
            },
        };
        // Of a list that has to be there at all, one that is empty will do.
        let empty = self.values.is_empty() && self.place.list(frame).is_some();
        (found || empty) == self.present
    }

    fn takes(&self, text: &[u8]) -> bool {
        self.values.is_empty()
            || self.values.iter().any(|value| match value {
                Value::Exact(wanted) => **wanted == *text,
                Value::Regex(regex) => regex.is_match(text),
            })
    }

    /// `null` is not there.
    fn takes_json(&self, value: Raw<'_>) -> bool {
        match value.kind() {
            Kind::Null => false,
            Kind::Array | Kind::Object => self.values.is_empty(),
            Kind::Bool | Kind::Number => self.takes(value.bytes()),
            Kind::String => {
                let mut text = Vec::new();
                value.write_text(&mut text);
                self.takes(&text)
            }
        }
    }

    /// As the conditions of a route: any line of a header will do, any parameter of that name.
    fn takes_request(&self, reference: &Reference, exchange: &Exchange) -> bool {
        let mut text = Vec::new();
        match reference {
            Reference::Header(name) => exchange.any_header(name, &mut |value| self.takes(value)),
            Reference::Cookie(name) => exchange.any_cookie(name, &mut |value| self.takes(value)),
            Reference::Query(name) => exchange.any_query(name, &mut text, &mut |value| self.takes(value)),
            Reference::Claims(path) => {
                let claim = exchange.identity.as_deref().and_then(|identity| identity.claim(path));
                claim.is_some_and(|claim| self.takes_claim(claim))
            }
            Reference::ConsumerTags => {
                let identity = exchange.identity.as_deref();
                let consumer = identity.and_then(|identity| identity.consumer.as_deref());
                consumer.is_some_and(|consumer| consumer.tags.iter().any(|tag| self.takes(tag.as_bytes())))
            }
            reference => {
                write_value(reference, exchange, &mut text);
                !text.is_empty() && self.takes(&text)
            }
        }
    }

    /// A list has any of its values.
    fn takes_claim(&self, claim: Claim<'_>) -> bool {
        match claim {
            Claim::Null => false,
            Claim::Bool(truth) => self.takes(if truth { b"true" } else { b"false" }),
            Claim::Number(number) => self.takes(number.as_text().as_bytes()),
            Claim::Text(text) => self.takes(text.as_bytes()),
            Claim::List(entries) => {
                let is_list = |entry: &Claim<'_>| matches!(entry, Claim::List(_));
                self.values.is_empty() || entries.iter().any(|entry| !is_list(&entry) && self.takes_claim(entry))
            }
            Claim::Object(_) => self.values.is_empty(),
        }
    }
}
