//! Who calls: what a credential proved, and the consumer it belongs to.

mod lines;
mod subject;

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::claims::{Claim, Claims};
use crate::pipeline::Pipeline;
pub use lines::Lines;
pub use subject::Subject;

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
    pub subject: Subject,
    /// Empty where the credential carries none.
    pub claims: Claims,
    pub consumer: Option<Arc<Consumer>>,
    /// Header lines for the service.
    pub lines: Lines,
    /// Unix seconds after which it proves nothing any more.
    pub expires: Option<u64>,
}

/// Name and value of a header.
pub type Line = (Box<[u8]>, Box<[u8]>);

impl Identity {
    /// Whom it speaks of, where it says so.
    pub fn subject(&self) -> Option<&str> {
        self.subject.text(&self.claims)
    }

    /// Makes the text at a path of the claims its subject.
    pub fn take_subject<S: AsRef<str>>(&mut self, path: &[S]) {
        let text = self.claim(path).and_then(Claim::as_str);
        self.subject = text.map_or(Subject::Nobody, |text| Subject::of(text, &self.claims));
    }

    /// What claims and lines take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.claims.as_text().len() + self.lines.as_bytes().len()
    }

    /// A claim by its path: `["realm_access", "roles"]`.
    pub fn claim<S: AsRef<str>>(&self, path: &[S]) -> Option<Claim<'_>> {
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
    fn dotted<S: AsRef<str>>(&self, path: &[S]) -> Option<Claim<'_>> {
        let is_it = |name: &str| {
            let mut rest = Some(name);
            for (index, part) in path.iter().enumerate() {
                let dot = if index > 0 { "." } else { "" };
                rest = rest.and_then(|rest| rest.strip_prefix(dot)).and_then(|rest| rest.strip_prefix(part.as_ref()));
            }
            rest == Some("")
        };
        self.claims.iter().find(|(name, _)| is_it(name)).map(|(_, claim)| claim)
    }

    /// This identity with all that another credential of the same request proved; where both speak, this one wins.
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.subject = self.subject().or_else(|| other.subject()).map(Into::into).unwrap_or_default();
        both.consumer = both.consumer.or_else(|| other.consumer.clone());
        both.claims = self.claims.with(&other.claims);
        for (name, value) in other.lines.iter() {
            if !both.lines.contains(name) {
                both.lines.push(name, value);
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
pub fn write_claim(claim: Claim<'_>, out: &mut Vec<u8>) {
    match claim {
        Claim::Null => {}
        Claim::Bool(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
        Claim::Number(number) => out.extend_from_slice(number.as_text().as_bytes()),
        Claim::Text(text) => write_clean(text, out),
        Claim::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_claim(entry, out);
            }
        }
        Claim::Object(object) => {
            let text = serde_json::to_string(&object).expect("names are texts");
            write_clean(&text, out);
        }
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
    use serde_json::Value;

    use super::*;

    fn identity(claims: Value) -> Identity {
        Identity { claims: claims.as_object().expect("claims are an object").into(), ..Identity::default() }
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
            assert_eq!(identity.claim(&path(asked)).map(Claim::to_value), found, "{asked}");
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
            write_claim(identity(serde_json::json!({"it": value})).claims.get("it").unwrap(), &mut out);
            assert_eq!(out, line.as_bytes(), "{value}");
        }
    }

    #[test]
    fn the_subject_is_a_text_among_the_claims() {
        let claims = serde_json::json!({"sub": "ann", "empty": "", "deep": {"id": "a\nn"}, "number": 1});
        let mut identity = identity(claims);
        for (asked, subject) in
            [("sub", Some("ann")), ("empty", Some("")), ("deep.id", Some("a\nn")), ("number", None), ("none", None)]
        {
            identity.take_subject(&path(asked));
            assert_eq!(identity.subject(), subject, "{asked}");
            assert_eq!(identity.clone().subject(), subject, "{asked}");
            let other = Identity { claims: identity.claims.clone(), ..Identity::default() };
            assert_eq!(other.with(&identity).subject(), subject, "{asked}");
        }
        identity.subject = "bob".into();
        assert_eq!(identity.subject(), Some("bob"));
    }

    #[test]
    fn where_two_credentials_speak_the_first_wins() {
        let mut first = identity(serde_json::json!({"sub": "one"}));
        first.expires = Some(20);
        let mut other = identity(serde_json::json!({"sub": "two", "aud": "x"}));
        other.subject = "two".into();
        other.expires = Some(10);
        let both = first.with(&other);
        assert_eq!(both.claims.object().to_value(), serde_json::json!({"sub": "one", "aud": "x"}));
        assert_eq!((both.subject(), both.expires), (Some("two"), Some(10)));
    }
}
