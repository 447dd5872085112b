//! An answer made of the answers of several calls.

use serde::Deserialize;

use super::{Calling, Reference, Secret, ValueMatch};

/// A graph of calls and the answer made of theirs. Calls are numbered in the order of the document.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// For all calls and the answer.
    pub timeout_ms: u64,
    pub calls: Vec<Call>,
    /// The first whose `when` holds makes the answer; else `response` does.
    pub views: Vec<View>,
    pub response: Shape,
    /// Calls that `response` refers to.
    pub needs: Vec<u16>,
    /// `?fields=` selects members of the answer.
    pub fields: bool,
    /// A partial answer that is an object gets a member `errors`.
    pub errors: bool,
    pub server_timing: bool,
    /// Requests for one answer; each item of a `for_each` counts.
    pub max_calls: u32,
    /// Bytes of one call's answer.
    pub answer_bytes: usize,
    /// Levels of nesting of one answer.
    pub max_depth: usize,
    /// Something refers to the client's body, which is JSON then.
    pub reads_body: bool,
}

/// One request to a service, or one for each item of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub name: String,
    pub proxy: ComposeProxy,
    pub method: String,
    /// Without a query.
    pub path: Vec<Part>,
    pub query: Vec<(String, Vec<Part>)>,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<Part>)>,
    /// Headers of the client that go along; lower case.
    pub forward_headers: Vec<String>,
    pub body: Option<Shape>,
    pub timeout_ms: Option<u64>,
    /// Where it does not hold, the call is not made, and that is no failure.
    pub when: Option<When>,
    pub for_each: Option<ForEach>,
    pub optional: bool,
    /// JSON that takes the place of an answer that did not come.
    pub default: String,
    /// A call that is made when this one has failed.
    pub fallback: Option<u16>,
    /// A client error of the service's is the answer's status.
    pub pass_errors: bool,
    /// Statuses that are success: the first and the last of each range.
    pub expect: Vec<(u16, u16)>,
    /// An equal request of another call in the same exchange is this one.
    pub share: bool,
    /// Calls that it refers to, whichever way.
    pub needs: Vec<u16>,
}

/// The service of a call, and how it is called.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposeProxy {
    pub service: String,
    /// `None`: as the service says.
    pub calling: Option<Box<Calling>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForEach {
    pub over: Source,
    pub concurrency: u32,
    /// Equal requests are sent once.
    pub distinct: bool,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    Text(Secret),
    Source(Source),
}

/// Where a value comes from.
///
/// The steps of a path are names of members; digits are also the index of an element, and `*` is every element.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    Request(Reference),
    /// The answer of a call.
    Call(u16, Vec<String>),
    /// An item of a loop. Items are numbered over all loops around, the outermost first; that of the call is the outermost.
    Item(u16, Vec<String>),
    /// Of the innermost loop, from 0.
    Index,
    /// The client's body.
    Body(Vec<String>),
}

/// JSON with holes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// JSON as it is.
    Constant(Secret),
    /// The value unchanged; `null` where there is none.
    Value(Source),
    /// A string of texts and values.
    Text(Vec<Part>),
    Object(Vec<(String, Shape)>),
    Array(Vec<Shape>),
    /// The first that is not `null`.
    First(Vec<Shape>),
    /// The value without these members, each given by its steps.
    Without {
        from: Source,
        members: Vec<Vec<String>>,
    },
    /// The value with these members alone.
    Only {
        from: Source,
        members: Vec<Vec<String>>,
    },
    /// A list of a value for each item. Lists that are shorter than the longest give `null`.
    ForEach {
        over: Vec<Source>,
        value: Box<Shape>,
    },
    Cel(Expression),
}

/// A CEL expression, and the calls that it names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    pub expression: String,
    pub calls: Vec<(String, u16)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// All of them must hold: the source is there or it is not, and when it is, any of the values will do; none: every value.
    Fields(Vec<(Source, Vec<ValueMatch>, bool)>),
    Cel(Expression),
}

/// Another shape for some requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    pub name: String,
    pub when: When,
    pub response: Shape,
    /// Calls that `response` refers to.
    pub needs: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn sources_and_shapes_are_written_as_their_names_with_what_they_hold() {
        for (plan, source) in [
            (json!({"request": {"path": "id"}}), Source::Request(Reference::Path("id".into()))),
            (json!({"call": [2, ["a", "*"]]}), Source::Call(2, vec!["a".into(), "*".into()])),
            (json!({"item": [0, []]}), Source::Item(0, vec![])),
            (json!("index"), Source::Index),
            (json!({"body": ["a"]}), Source::Body(vec!["a".into()])),
        ] {
            assert_eq!(from_value::<Source>(plan).unwrap(), source);
        }
        let shape = json!({"object": [
            ["a", {"constant": "1"}],
            ["b", {"for_each": {"over": [{"call": [0, []]}], "value": {"first": [{"value": "index"}]}}}],
            ["c", {"without": {"from": {"call": [0, []]}, "members": [["x", "y"]]}}],
            ["d", {"text": [{"text": "x"}, {"source": "index"}]}],
            ["e", {"cel": {"expression": "order.x", "calls": [["order", 0]]}}],
        ]});
        assert!(matches!(from_value::<Shape>(shape).unwrap(), Shape::Object(members) if members.len() == 5));
        let when = json!({"fields": [[{"call": [0, ["a"]]}, [{"exact": "x"}], true]]});
        assert!(from_value::<When>(when).is_ok());
        assert!(from_value::<Shape>(json!({"without": {"from": "index", "members": [], "other": 1}})).is_err());
    }
}
