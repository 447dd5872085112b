//! In what two answers differ. Names and places, never values: those may be secrets.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use crate::head::Head;
use crate::identity::Line;
use crate::plan;

/// Names of members, and of headers, that are told of one difference.
const MOST_PLACES: usize = 50;

pub struct Compare {
    ignore_headers: Box<[Box<[u8]>]>,
    ignore_members: Box<[Box<[Box<str>]>]>,
    pub body_bytes: usize,
}

/// An answer, as far as it is compared.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    fields: Vec<Line>,
    /// `None`: it was too long.
    body: Option<Bytes>,
}

impl Answer {
    pub fn new(status: u16, head: &Head, body: Option<Bytes>) -> Self {
        let field = |(_, name, value): (_, &[u8], &[u8])| (name.to_ascii_lowercase().into(), value.into());
        Self { status, fields: head.iter().map(field).collect(), body }
    }

    fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(known, _)| **known == *name).map(|(_, value)| &**value)
    }

    fn json(&self) -> Option<Value> {
        let of_json = |value: &[u8]| {
            let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            kind.eq_ignore_ascii_case(b"application/json") || kind.to_ascii_lowercase().ends_with(b"+json")
        };
        let is_plain = self.values(b"content-encoding").next().is_none();
        let is_json = is_plain && self.values(b"content-type").any(of_json);
        serde_json::from_slice(self.body.as_deref().filter(|_| is_json)?).ok()
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Of the original and of the copy.
    pub status: Option<(u16, u16)>,
    /// Names of those that are not the same.
    pub headers: Vec<String>,
    /// Places in JSON (RFC 6901), or empty text for the body as a whole.
    pub body: Vec<String>,
    /// A body was too long to be compared.
    pub skipped: bool,
}

/// Places in the outcomes of [`super::COMPARED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Same,
    Status,
    Headers,
    Body,
    Skipped,
}

impl Difference {
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        let found = [
            (self.status.is_some(), Outcome::Status),
            (!self.headers.is_empty(), Outcome::Headers),
            (!self.body.is_empty(), Outcome::Body),
            (self.skipped, Outcome::Skipped),
        ];
        let same = !found.iter().any(|(is, _)| *is);
        found.into_iter().chain([(same, Outcome::Same)]).filter(|(is, _)| *is).map(|(_, outcome)| outcome)
    }
}

impl Compare {
    pub fn compile(plan: &plan::Compare) -> Self {
        let member = |names: &Vec<String>| names.iter().map(|name| name.as_str().into()).collect();
        Self {
            ignore_headers: plan.ignore_headers.iter().map(|name| name.as_bytes().into()).collect(),
            ignore_members: plan.ignore_members.iter().map(member).collect(),
            body_bytes: plan.body_bytes,
        }
    }

    pub fn compare(&self, original: &Answer, copy: &Answer) -> Difference {
        let mut difference = Difference {
            status: (original.status != copy.status).then_some((original.status, copy.status)),
            headers: self.headers(original, copy),
            ..Difference::default()
        };
        match (&original.body, &copy.body) {
            (Some(left), Some(right)) if left == right => {}
            (Some(_), Some(_)) => match (original.json(), copy.json()) {
                (Some(left), Some(right)) => self.json(&left, &right, &mut Vec::new(), &mut difference.body),
                _ => difference.body.push(String::new()),
            },
            _ => difference.skipped = true,
        }
        difference
    }

    fn headers(&self, original: &Answer, copy: &Answer) -> Vec<String> {
        let names: BTreeSet<&[u8]> = original.fields.iter().chain(&copy.fields).map(|(name, _)| &**name).collect();
        let differs = |name: &&[u8]| !original.values(name).eq(copy.values(name));
        let ignored = |name: &&[u8]| self.ignore_headers.iter().any(|known| **known == **name);
        let differing = names.into_iter().filter(|name| !ignored(name) && differs(name));
        differing.take(MOST_PLACES).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// Notes where two values differ: the innermost places, within bounds.
    fn json(&self, left: &Value, right: &Value, at: &mut Vec<String>, found: &mut Vec<String>) {
        if found.len() >= MOST_PLACES || left == right || self.is_ignored(at) {
            return;
        }
        match (left, right) {
            (Value::Object(left), Value::Object(right)) => {
                let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
                for name in names {
                    at.push(name.clone());
                    match (left.get(name), right.get(name)) {
                        (Some(left), Some(right)) => self.json(left, right, at, found),
                        _ => self.note(at, found),
                    }
                    at.pop();
                }
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (index, (left, right)) in left.iter().zip(right).enumerate() {
                    at.push(index.to_string());
                    self.json(left, right, at, found);
                    at.pop();
                }
            }
            _ => self.note(at, found),
        }
    }

    fn note(&self, at: &[String], found: &mut Vec<String>) {
        if found.len() < MOST_PLACES && !self.is_ignored(at) {
            let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            found.push(at.iter().map(escaped).collect());
        }
    }

    fn is_ignored(&self, at: &[String]) -> bool {
        self.ignore_members.iter().any(|member| {
            let fits = |name: &str, found: &str| name == "*" || name == found;
            member.len() == at.len() && member.iter().zip(at).all(|(name, found)| fits(name, found))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)], body: &'static str) -> Answer {
        let mut head = Head::default();
        fields.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
        Answer::new(status, &head, Some(Bytes::from_static(body.as_bytes())))
    }

    fn json(body: &'static str) -> Answer {
        answer(200, &[("content-type", "application/json")], body)
    }

    fn compare() -> Compare {
        let member = |text: &str| text.split('.').map(Into::into).collect();
        Compare {
            ignore_headers: [b"date".as_slice().into()].into(),
            ignore_members: [member("at"), member("items.*.id")].into(),
            body_bytes: 100,
        }
    }

    #[test]
    fn equal_answers_are_the_same_whatever_is_ignored() {
        let left = answer(200, &[("Date", "a"), ("x-a", "1")], "hi");
        let right = answer(200, &[("date", "b"), ("X-A", "1")], "hi");
        let difference = compare().compare(&left, &right);
        assert_eq!(difference, Difference::default());
        assert_eq!(difference.outcomes().collect::<Vec<_>>(), [Outcome::Same]);
    }

    #[test]
    fn status_headers_and_bodies_are_told_apart() {
        let left = answer(200, &[("x-a", "1"), ("x-b", "1")], "hi");
        let right = answer(500, &[("x-a", "2"), ("x-c", "1")], "ho");
        let difference = compare().compare(&left, &right);
        assert_eq!(difference.status, Some((200, 500)));
        assert_eq!(difference.headers, ["x-a", "x-b", "x-c"]);
        assert_eq!(difference.body, [""]);
        assert_eq!(difference.outcomes().count(), 3);
    }

    #[test]
    fn json_is_compared_by_members_and_order_does_not_matter() {
        for (left, right, places) in [
            (r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#, &[][..]),
            (r#"{"a":{"b":[1,2]}}"#, r#"{"a":{"b":[1,3]}}"#, &["/a/b/1"][..]),
            (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, &["/a"][..]),
            (r#"{"a/b~":1}"#, r#"{}"#, &["/a~1b~0"][..]),
            (r#"{"at":1,"items":[{"id":1,"n":1}]}"#, r#"{"at":2,"items":[{"id":2,"n":2}]}"#, &["/items/0/n"][..]),
            (r#"[1]"#, r#"{}"#, &[""][..]),
        ] {
            assert_eq!(compare().compare(&json(left), &json(right)).body, places, "{left} {right}");
        }
    }

    #[test]
    fn many_differences_are_told_within_bounds() {
        let array = |value: char| format!("[{}]", vec![value.to_string(); 1000].join(",")).leak() as &'static str;
        let difference = compare().compare(&json(array('1')), &json(array('2')));
        assert_eq!(difference.body.len(), MOST_PLACES);
    }

    #[test]
    fn what_is_too_long_is_skipped() {
        let mut long = json("{}");
        long.body = None;
        assert_eq!(compare().compare(&long, &json("{}")).outcomes().collect::<Vec<_>>(), [Outcome::Skipped]);
    }
}
