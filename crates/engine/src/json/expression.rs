//! Values that an expression makes of a request and of answers: the CEL of `authorize`, which sees calls by their names.

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt};
use cel::common::value::Val;

use super::place::Values;
use super::raw::Raw;
use super::string::write_string;
use crate::plan::compose;
use crate::policies::authorize::expression::Expression;

/// Levels of what an expression makes.
const MOST_LEVELS: usize = 64;

#[derive(Debug)]
pub(super) struct Cel {
    expression: Expression,
    calls: Box<[(Box<str>, u16)]>,
}

impl Cel {
    pub(super) fn compile(plan: &compose::Expression) -> Result<Self, String> {
        let names: Vec<&str> = plan.calls.iter().map(|(name, _)| name.as_str()).collect();
        let expression = Expression::compile_with(&plan.expression, &names)?;
        Ok(Self { expression, calls: plan.calls.iter().map(|(name, call)| (name.as_str().into(), *call)).collect() })
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = u16> {
        self.calls.iter().map(|(_, call)| *call)
    }

    pub(super) fn holds(&self, values: &impl Values) -> Result<bool, String> {
        self.evaluate(values, |value| match value.downcast_ref::<CelBool>() {
            Some(truth) => Ok(*truth.inner()),
            None => Err(format!("the value is of type {}, not bool", value.get_type().name())),
        })
    }

    /// Appends the value as JSON; `null` where there is none.
    pub(super) fn write(&self, values: &impl Values, out: &mut Vec<u8>) {
        let start = out.len();
        if self.evaluate(values, |value| write(value, MOST_LEVELS, out)).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"null");
        }
    }

    fn evaluate<T>(&self, values: &impl Values, take: impl FnOnce(&dyn Val) -> Result<T, String>) -> Result<T, String> {
        let calls = self.calls.iter().map(|(name, call)| (&**name, values.call(*call).unwrap_or(Raw::NULL)));
        let calls: Vec<(&str, Raw<'_>)> = calls.collect();
        self.expression.evaluate(values.exchange(), &calls, take)
    }
}

fn write(value: &dyn Val, levels: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let levels = levels.checked_sub(1).ok_or("the value is nested too deep")?;
    if value.downcast_ref::<CelNull>().is_some() {
        out.extend_from_slice(b"null");
    } else if let Some(truth) = value.downcast_ref::<CelBool>() {
        out.extend_from_slice(if *truth.inner() { b"true" } else { b"false" });
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        out.extend_from_slice(itoa::Buffer::new().format(*number.inner()).as_bytes());
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        out.extend_from_slice(itoa::Buffer::new().format(*number.inner()).as_bytes());
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        let number = serde_json::Number::from_f64(*number.inner()).ok_or("the value is not a finite number")?;
        out.extend_from_slice(number.to_string().as_bytes());
    } else if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        write_string(text.inner().as_bytes(), out);
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return write_list(list, levels, out);
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        return write_map(map, levels, out);
    } else {
        return Err(format!("a value of type {} is no JSON", value.get_type().name()));
    }
    Ok(())
}

fn write_list(list: &CelList<'_>, levels: usize, out: &mut Vec<u8>) -> Result<(), String> {
    out.push(b'[');
    for (at, value) in list.inner().iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(&**value, levels, out)?;
    }
    out.push(b']');
    Ok(())
}

/// In the order of the names: the library keeps none.
fn write_map(map: &CelMap<'_>, levels: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let mut members = Vec::with_capacity(map.inner().len());
    for (name, value) in map.inner() {
        let name = name.inner().downcast_ref::<CelString<'_>>().ok_or("the name of a member is no string")?;
        members.push((name.inner(), value));
    }
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name.as_bytes(), out);
        out.push(b':');
        write(&**value, levels, out)?;
    }
    out.push(b'}');
    Ok(())
}
