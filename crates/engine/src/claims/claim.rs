//! One claim, where it lies in the block.

use std::iter::FusedIterator;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::block::{FALSE, HEAD, LENGTH, LIST, NULL, NUMBER, OBJECT, TEXT, TRUE, length_at};

/// A value of JSON.
#[derive(Clone, Copy)]
pub enum Claim<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Text(&'a str),
    List(List<'a>),
    Object(Object<'a>),
}

/// A number, as `serde_json` writes it.
#[derive(Clone, Copy)]
pub struct Number<'a>(&'a str);

/// Values one after the other.
#[derive(Clone, Copy)]
pub struct List<'a>(&'a str);

/// Values by name; none comes twice.
#[derive(Clone, Copy)]
pub struct Object<'a>(pub(super) &'a str);

/// Goes through the members of an object.
#[derive(Clone)]
pub struct Members<'a>(&'a str);

/// Goes through the values of a list.
#[derive(Clone)]
pub struct Entries<'a>(&'a str);

impl<'a> Claim<'a> {
    /// The value that begins here; and what stands behind it.
    fn split(block: &'a str) -> (Self, &'a str) {
        let (body, rest) = block[HEAD..].split_at(length_at(block.as_bytes(), 1));
        let claim = match block.as_bytes()[0] {
            NULL => Self::Null,
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            NUMBER => Self::Number(Number(body)),
            TEXT => Self::Text(body),
            LIST => Self::List(List(body)),
            OBJECT => Self::Object(Object(body)),
            other => unreachable!("no kind has the sign {other}"),
        };
        (claim, rest)
    }

    /// A member of an object; other values have none.
    pub fn get(self, name: &str) -> Option<Self> {
        if let Self::Object(object) = self { object.get(name) } else { None }
    }

    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    pub fn as_str(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn as_bool(self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(truth) } else { None }
    }

    pub fn as_list(self) -> Option<List<'a>> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    pub fn as_i64(self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    pub fn as_u64(self) -> Option<u64> {
        if let Self::Number(number) = self { number.as_u64() } else { None }
    }

    pub fn as_f64(self) -> Option<f64> {
        if let Self::Number(number) = self { Some(number.as_f64()) } else { None }
    }

    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Number(number) => number.to_value(),
            Self::Text(text) => Value::String(text.to_owned()),
            Self::List(list) => Value::Array(list.iter().map(Self::to_value).collect()),
            Self::Object(object) => object.to_value(),
        }
    }
}

impl<'a> Number<'a> {
    pub fn as_text(self) -> &'a str {
        self.0
    }

    pub fn as_i64(self) -> Option<i64> {
        self.0.parse().ok()
    }

    pub fn as_u64(self) -> Option<u64> {
        self.0.parse().ok()
    }

    pub fn as_f64(self) -> f64 {
        // What was written from a number is read back as that number.
        self.as_u64().map_or_else(|| self.0.parse().unwrap_or(f64::NAN), |whole| whole as f64)
    }

    fn to_value(self) -> Value {
        match (self.as_u64(), self.as_i64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(whole)) => whole.into(),
            (None, None) => self.as_f64().into(),
        }
    }
}

impl<'a> List<'a> {
    pub fn iter(self) -> Entries<'a> {
        Entries(self.0)
    }

    /// The values as they lie in the block.
    pub(super) fn block(self) -> &'a str {
        self.0
    }
}

impl<'a> Object<'a> {
    pub fn get(self, name: &str) -> Option<Claim<'a>> {
        let bytes = self.0.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let start = at + LENGTH;
            let end = start + length_at(bytes, at);
            if bytes[start..end] == *name.as_bytes() {
                return Some(Claim::split(&self.0[end..]).0);
            }
            at = end + HEAD + length_at(bytes, end + 1);
        }
        None
    }

    pub fn iter(self) -> Members<'a> {
        Members(self.0)
    }

    pub fn to_map(self) -> Map<String, Value> {
        self.iter().map(|(name, claim)| (name.to_owned(), claim.to_value())).collect()
    }

    pub fn to_value(self) -> Value {
        Value::Object(self.to_map())
    }

    pub(super) fn block(self) -> &'a str {
        self.0
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Claim<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (name, rest) = self.0[LENGTH..].split_at(length_at(self.0.as_bytes(), 0));
        let (claim, rest) = Claim::split(rest);
        self.0 = rest;
        Some((name, claim))
    }
}

impl FusedIterator for Members<'_> {}

impl<'a> Iterator for Entries<'a> {
    type Item = Claim<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (claim, rest) = Claim::split(self.0);
        self.0 = rest;
        Some(claim)
    }
}

impl FusedIterator for Entries<'_> {}

impl Serialize for Claim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => number.to_value().serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list.iter()),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object<'_> {
    /// By name, as `serde_json` writes objects: the same claims are the same text, in whatever order they came.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: Vec<_> = self.iter().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, claim) in members {
            map.serialize_entry(name, &claim)?;
        }
        map.end()
    }
}
