//! What an expression sees: parts of the exchange, looked up one by one and only when it names them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{self, CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

use super::answers::{self, Bounds};
use super::expression::{Expression, PATTERN, TOO_LARGE};
use crate::claims::Claim;
use crate::exchange::{Exchange, Request};
use crate::identity::{Consumer, Identity};
use crate::json::Raw;
use crate::network::client_text;
use crate::path::decode_form;
use crate::routing::query_pairs;

/// The variables and their fields; `claims` has any.
pub(super) const FIELDS: [(&str, &[&str]); 5] = [
    ("request", &["method", "path", "host", "scheme", "headers", "query"]),
    ("client", &["ip"]),
    ("consumer", &["name", "tier", "tags"]),
    ("identity", &["method", "subject"]),
    ("claims", &[]),
];

/// The exchange behind the variables; nothing is copied until it is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    request: &'a Request,
    secure: bool,
    client: IpAddr,
    identity: Option<&'a Identity>,
    bounds: Bounds<'a>,
}

type Found<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

impl<'a> View<'a> {
    pub(super) fn of(exchange: &'a Exchange, most_values: usize, left: &'a AtomicUsize) -> Self {
        Self {
            request: &exchange.request,
            secure: exchange.secure,
            client: exchange.client_ip,
            identity: exchange.identity.as_deref(),
            bounds: Bounds { most: most_values, left },
        }
    }

    fn consumer(&self) -> Option<&'a Consumer> {
        self.identity?.consumer.as_deref()
    }

    /// A field of one of the variables; `None` where there is nothing.
    fn field(&self, root: &str, name: &str) -> Option<Box<dyn Val + 'a>> {
        let request = self.request;
        Some(match (root, name) {
            ("request", "method") => text(request.method_name()),
            ("request", "path") => text(&request.path),
            ("request", "host") => text(&request.host),
            ("request", "scheme") => text(if self.secure { b"https" } else { b"http" }),
            ("request", "headers") => Box::new(Fields::Headers(request)),
            ("request", "query") => Box::new(Fields::Query(request)),
            ("client", "ip") => Box::new(CelString::from(client_text(self.client))),
            ("consumer", "name") => Box::new(CelString::from(&*self.consumer()?.name)),
            ("consumer", "tier") => Box::new(CelString::from(self.consumer()?.tier.as_deref()?)),
            ("consumer", "tags") => {
                let tag = |tag: &'a str| -> Box<dyn Val + 'a> { Box::new(CelString::from(tag)) };
                Box::new(CelList::from(self.consumer()?.tags.iter().map(|name| tag(name)).collect::<Vec<_>>()))
            }
            ("identity", "method") => Box::new(CelString::from(self.identity?.method)),
            ("identity", "subject") => Box::new(CelString::from(self.identity?.subject()?)),
            _ => return None,
        })
    }

    fn claim(&self, name: &str) -> Result<Box<dyn Val + 'a>, ExecutionError> {
        let claim = self.identity.and_then(|identity| identity.claims.get(name));
        let claim = claim.ok_or_else(|| ExecutionError::no_such_key(name))?;
        self.bounds.look(|left| convert(claim, left))
    }
}

/// What is looked up by name: the fields of a variable, claims, headers, parameters of the query.
#[derive(Debug, Clone, Copy)]
enum Fields<'a> {
    Of(View<'a>, &'static str),
    Headers(&'a Request),
    Query(&'a Request),
}

impl<'a> Fields<'a> {
    fn find(&self, name: &str) -> Result<Box<dyn Val + 'a>, ExecutionError> {
        let found = match *self {
            Self::Of(view, "claims") => return view.claim(name),
            Self::Of(view, root) => view.field(root, name),
            Self::Headers(request) => header(request, name),
            Self::Query(request) => {
                let mut pairs = query_pairs(request.query().unwrap_or_default());
                let pair = pairs.find(|(key, _)| decode_form(key).eq(name.bytes()));
                pair.map(|(_, value)| -> Box<dyn Val + 'a> {
                    let value: Vec<u8> = decode_form(value).collect();
                    Box::new(CelString::from(String::from_utf8_lossy(&value).into_owned()))
                })
            }
        };
        found.ok_or_else(|| ExecutionError::no_such_key(name))
    }
}

/// All lines of a header, as one (RFC 9110 section 5.3).
fn header<'a>(request: &'a Request, name: &str) -> Option<Box<dyn Val + 'a>> {
    if name.eq_ignore_ascii_case("host") {
        // It was taken out of the head.
        return Some(text(request.authority()));
    }
    let mut lines = request.head.get_all(name.as_bytes());
    let first = lines.next()?;
    let Some(second) = lines.next() else { return Some(text(first)) };
    let all: Vec<&[u8]> = [first, second].into_iter().chain(lines).collect();
    Some(Box::new(CelString::from(String::from_utf8_lossy(&all.join(b", ".as_slice())).into_owned())))
}

impl Val for Fields<'_> {
    fn get_type(&self) -> &Type {
        &types::MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &types::MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Fields<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Found<'b, 'v>
    where
        Self: 'v,
    {
        self.find(key(index)?).map(CowVal::Owned)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.find(key(index)?)
    }
}

impl Container for Fields<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        match self.find(key(value)?) {
            Ok(_) => Ok(true),
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn key(index: &dyn Val) -> Result<&str, ExecutionError> {
    let unexpected = || ExecutionError::UnexpectedType { got: index.get_type().name().into(), want: "string".into() };
    index.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or_else(unexpected)
}

/// Variables by name, for one evaluation.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    pub(super) view: View<'a>,
    pub(super) expression: &'a Expression,
    /// Answers of calls, by the names of the calls.
    pub(super) answers: &'a [(&'a str, Raw<'a>)],
}

impl Variables<'_> {
    fn answer<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let (_, raw) = self.answers.iter().find(|(known, _)| *known == name)?;
        match answers::answer(*raw, self.view.bounds) {
            Ok(value) => Some(CowVal::Owned(value)),
            Err(_) => {
                // There is no way to say so here; who evaluates looks at what is left.
                self.view.bounds.left.store(0, Ordering::Relaxed);
                None
            }
        }
    }
}

impl VariableResolver for Variables<'_> {
    /// The library asks for `request.path` first, and for `request` when there is no such variable.
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(number) = name.strip_prefix(PATTERN) {
            let pattern = self.expression.pattern(number.parse().ok()?)?;
            return Some(CowVal::Borrowed(pattern));
        }
        match name.split_once('.') {
            None if self.answers.iter().any(|(known, _)| *known == name) => self.answer(name),
            None => {
                let (root, _) = FIELDS.iter().find(|(root, _)| *root == name)?;
                Some(CowVal::owned(Fields::Of(self.view, root)))
            }
            Some(("claims", _)) => None,
            Some((root, field)) => self.view.field(root, field).map(CowVal::Owned),
        }
    }
}

fn text<'a>(bytes: &'a [u8]) -> Box<dyn Val + 'a> {
    Box::new(match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => CelString::from(text),
        Cow::Owned(text) => CelString::from(text),
    })
}

/// A claim as the library has it. `left` is how many values there may be yet: a token with a list without end costs no more
/// than one that is refused.
fn convert<'a>(claim: Claim<'a>, left: &mut usize) -> Result<Box<dyn Val + 'a>, ExecutionError> {
    *left = left.checked_sub(1).ok_or_else(|| ExecutionError::InternalError(TOO_LARGE.into()))?;
    Ok(match claim {
        Claim::Null => Box::new(CelNull),
        Claim::Bool(truth) => Box::new(CelBool::from(truth)),
        Claim::Text(text) => Box::new(CelString::from(text)),
        Claim::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64())),
        },
        Claim::List(entries) => {
            let values: Result<Vec<_>, _> = entries.iter().map(|entry| convert(entry, left)).collect();
            Box::new(CelList::from(values?))
        }
        Claim::Object(object) => {
            let mut map = HashMap::new();
            for (name, value) in object.iter() {
                map.insert(name.into(), convert(value, left)?);
            }
            Box::new(CelMap::from(map))
        }
    })
}
