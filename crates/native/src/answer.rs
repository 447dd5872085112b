//! The head of a handler's answer, checked: what user code says must not break the framing.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyList, PyTuple};
use tidegate_engine::bridge::{AnswerHead, Change, Changes};
use tidegate_engine::head::Head;

pub type Fields<'py> = Vec<(PyBackedStr, PyBackedStr)>;

/// Made anew for the connection the answer leaves by; a handler has no say in them.
const FRAMING: [&[u8]; 7] = [
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-connection",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

pub fn head(
    status: u16,
    content_type: Option<&str>,
    fields: Option<Fields<'_>>,
    length: Option<u64>,
) -> PyResult<AnswerHead> {
    if !(200..=599).contains(&status) {
        return Err(PyValueError::new_err(format!("expected a status from 200 to 599, got {status}")));
    }
    let mut head = Head::default();
    let fields = fields.unwrap_or_default();
    let typed = |(name, _): &(PyBackedStr, PyBackedStr)| name.eq_ignore_ascii_case("content-type");
    if let Some(content_type) = content_type.filter(|_| !fields.iter().any(typed)) {
        add(&mut head, "content-type", content_type)?;
    }
    for (name, value) in &fields {
        add(&mut head, name, value)?;
    }
    Ok(AnswerHead { status, head, length, changes: None, switches: false })
}

/// As [`head`], of fields in bytes as ASGI has them: any sequence of pairs. Gives the `content-length` that is among them, too.
pub fn head_of_bytes(
    status: u16,
    fields: &Bound<'_, PyAny>,
    length: Option<u64>,
) -> PyResult<(AnswerHead, Option<u64>)> {
    let mut answer = head(status, None, None, length)?;
    let mut announced = None;
    if let Ok(list) = fields.cast::<PyList>() {
        for field in list.iter() {
            add_bytes(&mut answer.head, &field, &mut announced)?;
        }
    } else {
        for field in fields.try_iter()? {
            add_bytes(&mut answer.head, &field?, &mut announced)?;
        }
    }
    Ok((answer, announced))
}

fn add_bytes(head: &mut Head, field: &Bound<'_, PyAny>, announced: &mut Option<u64>) -> PyResult<()> {
    let (name, value) = match field.cast::<PyTuple>() {
        Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
        _ => field.extract::<[Bound<'_, PyAny>; 2]>().map(|[name, value]| (name, value))?,
    };
    let (name, value) = (name.extract::<PyBackedBytes>()?, value.extract::<PyBackedBytes>()?);
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(PyValueError::new_err(format!("`{}` is no header name", name.escape_ascii())));
    }
    let lower = name.to_ascii_lowercase();
    if lower == b"content-length" {
        let length = std::str::from_utf8(&value).ok().and_then(|text| text.trim().parse().ok());
        *announced = Some(
            length.ok_or_else(|| PyValueError::new_err(format!("`{}` is no content-length", value.escape_ascii())))?,
        );
    }
    if FRAMING.contains(&lower.as_slice()) {
        return Ok(());
    }
    let value = value.trim_ascii();
    if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        let name = name.escape_ascii();
        return Err(PyValueError::new_err(format!("the value of header `{name}` has control characters")));
    }
    head.add(&lower, value);
    Ok(())
}

pub fn add(head: &mut Head, name: &str, value: &str) -> PyResult<()> {
    if let Some((name, value)) = field(name, value)? {
        head.add(&name, &value);
    }
    Ok(())
}

/// What a hook wants changed: names with their new value, or none; `true` adds one to those that are there.
pub type ChangedFields<'py> = Vec<(PyBackedStr, Option<PyBackedStr>, bool)>;

pub fn changes(status: Option<u16>, fields: &ChangedFields<'_>) -> PyResult<AnswerHead> {
    if let Some(status) = status.filter(|status| !(200..=599).contains(status) || matches!(status, 204 | 205 | 304)) {
        return Err(PyValueError::new_err(format!("expected a status of an answer with a body, got {status}")));
    }
    let mut changes = Changes { status, fields: Vec::with_capacity(fields.len()) };
    for (name, value, is_more) in fields {
        let Some((name, value)) = field(name, value.as_deref().unwrap_or_default())?
            .map(|(name, text)| (name.into_boxed_slice(), value.is_some().then(|| text.into_boxed_slice())))
        else {
            continue;
        };
        changes.fields.push(match value {
            None => Change::Remove(name),
            Some(value) if *is_more => Change::Add(name, value),
            Some(value) => Change::Set(name, value),
        });
    }
    Ok(AnswerHead { changes: Some(Box::new(changes)), ..AnswerHead::default() })
}

/// A field, checked, its name in lower case; `None` for those of framing.
fn field(name: &str, value: &str) -> PyResult<Option<(Vec<u8>, Vec<u8>)>> {
    let lower = name.to_ascii_lowercase();
    if lower.is_empty() || !lower.bytes().all(is_token) {
        return Err(PyValueError::new_err(format!("`{}` is no header name", name.escape_debug())));
    }
    if FRAMING.contains(&lower.as_bytes()) {
        return Ok(None);
    }
    let value = value.trim_matches([' ', '\t']);
    let bytes = if value.is_ascii() { value.as_bytes().to_vec() } else { latin1(name, value)? };
    if bytes.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return Err(PyValueError::new_err(format!("the value of header `{name}` has control characters")));
    }
    Ok(Some((lower.into_bytes(), bytes)))
}

fn latin1(name: &str, value: &str) -> PyResult<Vec<u8>> {
    let byte = |character| u8::try_from(u32::from(character)).ok();
    value
        .chars()
        .map(byte)
        .collect::<Option<_>>()
        .ok_or_else(|| PyValueError::new_err(format!("the value of header `{name}` is not Latin-1")))
}

/// `tchar` of RFC 9110 section 5.6.2.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
