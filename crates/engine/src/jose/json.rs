//! JSON objects in which no member comes twice, at any depth.
//!
//! RFC 7519 section 4 lets a recipient take the last of several members; two that read the same token differently are how one of
//! them is deceived, so here it is refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::claims::{Claims, Name, Writer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// No JSON, no object, not UTF-8, or nested deeper than 128.
    Malformed,
    Duplicate,
}

/// Parses an object and nothing beside it.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    parse_claims(bytes).map(|claims| claims.object().to_map())
}

/// As [`parse_object`], into one block.
pub(crate) fn parse_claims(bytes: &[u8]) -> Result<Claims, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Malformed)?;
    // Marks and lengths take a little more than the marks of JSON.
    let writer = Writer::with_capacity(bytes.len() + bytes.len() / 4 + 32);
    let mut target = Target { writer, twice: false };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = Strict(&mut target).deserialize(&mut deserializer);
    match (parsed, deserializer.end()) {
        (Ok(()), Ok(())) if target.writer.is_object() => Ok(target.writer.finish()),
        _ if target.twice => Err(JsonError::Duplicate),
        _ => Err(JsonError::Malformed),
    }
}

struct Target {
    writer: Writer,
    /// A member came twice.
    twice: bool,
}

/// Writes down the value that comes.
struct Strict<'a>(&'a mut Target);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.writer.null();
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.writer.truth(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.writer.signed(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.writer.unsigned(value);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.0.writer.float(value).then_some(()).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.writer.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let open = self.0.writer.open_list();
        while entries.next_element_seed(Strict(self.0))?.is_some() {}
        self.0.writer.close(open);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let open = self.0.writer.open_object();
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(NameOf(&mut self.0.writer))? {
            if !names.add(name, &self.0.writer) {
                self.0.twice = true;
                return Err(A::Error::custom("a member comes twice"));
            }
            members.next_value_seed(Strict(self.0))?;
        }
        self.0.writer.close(open);
        Ok(())
    }
}

/// Writes down the name that comes.
struct NameOf<'a>(&'a mut Writer);

impl<'de> DeserializeSeed<'de> for NameOf<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameOf<'_> {
    type Value = Name;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(self.0.name(name))
    }
}

/// An object with more members looks its names up by hash.
const FEW: usize = 16;

/// The names of one object so far.
#[derive(Default)]
struct Names {
    few: [Name; FEW],
    count: usize,
    many: HashSet<Box<[u8]>>,
}

impl Names {
    /// False for one that was there before.
    fn add(&mut self, name: Name, writer: &Writer) -> bool {
        let bytes = writer.name_at(name);
        if let Some(place) = self.few.get_mut(self.count) {
            *place = name;
            let before = &self.few[..self.count];
            self.count += 1;
            return !before.iter().any(|known| writer.name_at(*known) == bytes);
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().map(|known| Box::from(writer.name_at(*known))));
        }
        self.many.insert(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_as_serde_reads_them() {
        for text in [
            "{}",
            r#" {"a":1,"b":[true,null,-2,1.5e3,"x\u0041",{"c":{}}]} "#,
            r#"{"exp":18446744073709551615,"n":99999999999999999999}"#,
        ] {
            let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
            assert_eq!(parse_object(text.as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn a_member_that_comes_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"y":{"a":1,"a":2}}]}"#, r#"{"":1,"":"#] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonError::Duplicate), "{text}");
        }
    }

    #[test]
    fn a_member_that_comes_twice_is_found_among_many() {
        let object = |names: &[usize]| {
            let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":{{\"{name}\":0}}")).collect();
            format!("{{{}}}", members.join(","))
        };
        for count in [2, FEW - 1, FEW, FEW + 1, FEW + 2, 400] {
            let mut names: Vec<_> = (0..count).collect();
            assert_eq!(parse_object(object(&names).as_bytes()).map(|map| map.len()), Ok(count));
            for first in [0, count / 2, count - 1] {
                names.push(first);
                assert_eq!(parse_object(object(&names).as_bytes()), Err(JsonError::Duplicate), "{count} {first}");
                names.pop();
            }
        }
    }

    #[test]
    fn nothing_but_one_whole_object_will_do() {
        let deep = format!("{}1{}", "{\"a\":".repeat(4000), "}".repeat(4000));
        let arrays = format!("{{\"a\":{}", "[".repeat(4000));
        for text in [
            "",
            "[]",
            "1",
            "\"a\"",
            "null",
            "{",
            "{}{}",
            "{} x",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":1e999}",
            "\u{feff}{}",
            &deep,
            &arrays,
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonError::Malformed), "{text:.40}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError::Malformed));
    }
}
