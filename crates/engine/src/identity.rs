//! Who calls: what a credential proved, and the consumer it belongs to.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::pipeline::Pipeline;

/// Someone the document or the store knows by name.
pub struct Consumer {
    pub name: Box<str>,
    /// `false`: the document switches it off.
    pub enabled: bool,
    /// The commercial plan: `free`, `business`, ...
    pub tier: Option<Box<str>>,
    pub tags: Vec<Box<str>>,
    /// Its own policies; the nearest of all levels.
    pub pipeline: Pipeline,
}

/// The consumers of the document, by name.
#[derive(Default)]
pub struct Consumers {
    by_name: FxHashMap<Box<str>, Arc<Consumer>>,
}

impl Consumers {
    pub fn new(consumers: impl IntoIterator<Item = Consumer>) -> Self {
        let by_name = consumers.into_iter().map(|consumer| (consumer.name.clone(), Arc::new(consumer))).collect();
        Self { by_name }
    }

    pub fn by_name(&self, name: &str) -> Option<&Arc<Consumer>> {
        self.by_name.get(name)
    }
}

/// What a credential proved. Immutable, and shared by all exchanges that show the same credential.
#[derive(Clone, Default)]
pub struct Identity {
    /// The policy that proved it: `jwt`, `api_key`, ...
    pub method: &'static str,
    pub subject: Option<Box<str>>,
    /// Empty where the credential carries none.
    pub claims: Map<String, Value>,
    pub consumer: Option<Arc<Consumer>>,
    /// Header lines for the service, ready to be written: name in lower case, value without control bytes.
    pub lines: Vec<Line>,
    /// Unix seconds after which it proves nothing any more.
    pub expires: Option<u64>,
}

/// Name and value of a header.
pub type Line = (Box<[u8]>, Box<[u8]>);

impl Identity {
    /// A claim by its path: `["realm_access", "roles"]`.
    pub fn claim<S: AsRef<str>>(&self, path: &[S]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        // A claim may have dots in its name, as `https://example.com/role` does; the path is tried as a name first.
        if !rest.is_empty()
            && let Some(value) = self.dotted(path)
        {
            return Some(value);
        }
        rest.iter().try_fold(self.claims.get(first.as_ref())?, |value, name| value.get(name.as_ref()))
    }

    /// The claim whose name is the path with its dots.
    fn dotted<S: AsRef<str>>(&self, path: &[S]) -> Option<&Value> {
        let is_it = |name: &str| {
            let mut rest = Some(name);
            for (index, part) in path.iter().enumerate() {
                let dot = if index > 0 { "." } else { "" };
                rest = rest.and_then(|rest| rest.strip_prefix(dot)).and_then(|rest| rest.strip_prefix(part.as_ref()));
            }
            rest == Some("")
        };
        self.claims.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value)
    }

    /// This identity with all that another credential of the same request proved; where both speak, this one wins.
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.subject = both.subject.or_else(|| other.subject.clone());
        both.consumer = both.consumer.or_else(|| other.consumer.clone());
        for (name, value) in &other.claims {
            if !both.claims.contains_key(name) {
                both.claims.insert(name.clone(), value.clone());
            }
        }
        for line in &other.lines {
            if !both.lines.iter().any(|(name, _)| *name == line.0) {
                both.lines.push(line.clone());
            }
        }
        both.expires = both.expires.into_iter().chain(other.expires).min();
        both
    }
}

impl fmt::Debug for Identity {
    /// Claims are personal data: they do not go into logs by accident.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({})", self.method)
    }
}

/// Appends a claim as one line of text: arrays joined by comma, objects as JSON, without control characters.
pub fn write_claim(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::String(text) => write_clean(text, out),
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_claim(entry, out);
            }
        }
        other => write_clean(&other.to_string(), out),
    }
}

/// Appends text with a mark for each control character: left out, or a blank at an end, it would make one name of two.
pub fn write_clean(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| byte.is_ascii_control()) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        if byte.is_ascii_control() { out.extend_from_slice("\u{fffd}".as_bytes()) } else { out.push(byte) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Identity { claims, ..Identity::default() }
    }

    fn path(text: &str) -> Vec<&str> {
        text.split('.').collect()
    }

    #[test]
    fn a_claim_is_found_by_its_path_or_by_a_name_with_dots() {
        let identity = identity(serde_json::json!({"a": {"b": 1}, "https://x.example/role": "r", "c": 2}));
        for (asked, found) in [
            ("a.b", Some(serde_json::json!(1))),
            ("https://x.example/role", Some(serde_json::json!("r"))),
            ("c", Some(serde_json::json!(2))),
            ("c.d", None),
            ("d", None),
        ] {
            assert_eq!(identity.claim(&path(asked)), found.as_ref(), "{asked}");
        }
    }

    #[test]
    fn a_claim_is_one_line_whatever_it_holds() {
        for (value, line) in [
            (serde_json::json!("a\r\nx-admin: 1"), "a\u{fffd}\u{fffd}x-admin: 1"),
            (serde_json::json!("adm\0in\u{7f}"), "adm\u{fffd}in\u{fffd}"),
            (serde_json::json!(["a", "b\n", 3, true]), "a,b\u{fffd},3,true"),
            (serde_json::json!({"a": "b\n"}), "{\"a\":\"b\\n\"}"),
            (serde_json::json!(null), ""),
            (serde_json::json!(1.5), "1.5"),
        ] {
            let mut out = Vec::new();
            write_claim(&value, &mut out);
            assert_eq!(out, line.as_bytes(), "{value}");
        }
    }

    #[test]
    fn where_two_credentials_speak_the_first_wins() {
        let mut first = identity(serde_json::json!({"sub": "one"}));
        first.expires = Some(20);
        let mut other = identity(serde_json::json!({"sub": "two", "aud": "x"}));
        other.subject = Some("two".into());
        other.expires = Some(10);
        let both = first.with(&other);
        assert_eq!(both.claims, identity(serde_json::json!({"sub": "one", "aud": "x"})).claims);
        assert_eq!((both.subject.as_deref(), both.expires), (Some("two"), Some(10)));
    }
}
