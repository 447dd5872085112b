//! What an expression sees of the answers of calls: members of objects, converted only when it names them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Sizer};
use cel::common::types::{self, CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, Val};

use super::expression::TOO_LARGE;
use super::view::key;
use crate::json::{Kind, Raw};

type Converted<'a> = Result<Box<dyn Val + 'a>, ExecutionError>;

/// How much of claims and answers an expression may look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// Values that one look may bring.
    pub(super) most: usize,
    /// Values that all looks of an evaluation may yet bring: a loop may ask for the same again and again.
    pub(super) left: &'a AtomicUsize,
}

/// An object that is looked into by name.
#[derive(Debug, Clone, Copy)]
struct Object<'a> {
    raw: Raw<'a>,
    bounds: Bounds<'a>,
}

/// An answer as the library has it.
pub(super) fn answer<'a>(raw: Raw<'a>, bounds: Bounds<'a>) -> Converted<'a> {
    match raw.kind() {
        Kind::Object => Ok(Box::new(Object { raw, bounds })),
        _ => bounds.convert(raw),
    }
}

impl Bounds<'_> {
    /// One look: it is told how many values it may bring, and takes off what it does.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut usize) -> T) -> T {
        let most = self.most.min(self.left.load(Ordering::Relaxed));
        let mut left = most;
        let found = look(&mut left);
        // The library wants what is shared between threads; it is one that evaluates.
        self.left.fetch_sub(most - left, Ordering::Relaxed);
        found
    }

    fn convert<'a>(&self, raw: Raw<'a>) -> Converted<'a> {
        self.look(|left| convert(raw, left))
    }
}

impl<'a> Object<'a> {
    fn find(&self, name: &str) -> Converted<'a> {
        let member = self.raw.member(name).ok_or_else(|| ExecutionError::no_such_key(name))?;
        match member.kind() {
            Kind::Object => Ok(Box::new(Object { raw: member, bounds: self.bounds })),
            _ => self.bounds.convert(member),
        }
    }
}

impl Val for Object<'_> {
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

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
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

impl Container for Object<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.raw.member(key(value)?).is_some())
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        (self.raw.members().count() as i64).into()
    }
}

/// `left` is how many values there may be yet. A value is nested no deeper than documents are.
fn convert<'a>(raw: Raw<'a>, left: &mut usize) -> Converted<'a> {
    *left = left.checked_sub(1).ok_or_else(|| ExecutionError::InternalError(TOO_LARGE.into()))?;
    Ok(match raw.kind() {
        Kind::Null => Box::new(CelNull),
        Kind::Bool => Box::new(CelBool::from(raw.bytes() == b"true")),
        Kind::String => Box::new(CelString::from(text(raw))),
        Kind::Number => number(raw),
        Kind::Array => {
            let values: Result<Vec<_>, _> = raw.items().map(|value| convert(value, left)).collect();
            Box::new(CelList::from(values?))
        }
        Kind::Object => {
            let mut map = HashMap::new();
            for (name, value) in raw.members() {
                map.insert(name.text().into(), convert(value, left)?);
            }
            Box::new(CelMap::from(map))
        }
    })
}

fn text(raw: Raw<'_>) -> String {
    let mut text = Vec::new();
    raw.write_text(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A whole number is exact as far as the library goes, and a double beyond.
fn number<'a>(raw: Raw<'_>) -> Box<dyn Val + 'a> {
    let text = std::str::from_utf8(raw.bytes()).unwrap_or_default();
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(number), _) => Box::new(CelInt::from(number)),
        (_, Ok(number)) => Box::new(CelUInt::from(number)),
        _ => Box::new(CelDouble::from(text.parse().unwrap_or(f64::NAN))),
    }
}
