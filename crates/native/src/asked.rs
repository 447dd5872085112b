//! What Python asks of a service, checked: nothing in it can break the framing or lead elsewhere.

use std::borrow::Cow;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use tidegate_engine::bridge::{CallBody, CallRequest, target};
use tidegate_engine::head::Head;

use crate::answer::{add, is_token};
use crate::call::text;

type Pairs = Vec<(Cow<'static, str>, Cow<'static, str>)>;

/// Checks what is asked.
#[expect(clippy::too_many_arguments, reason = "one for each part of a request; they come from Python by position")]
pub fn request(
    service: &str,
    method: &str,
    path: &str,
    params: Option<&Bound<'_, PyAny>>,
    query: Option<&Bound<'_, PyAny>>,
    headers: Option<&Bound<'_, PyAny>>,
    content_type: Option<&str>,
    forward: Option<Vec<String>>,
    body: Option<&[u8]>,
    timeout: Option<f64>,
    most_bytes: usize,
    streams: bool,
) -> PyResult<CallRequest> {
    let method_name = method.to_ascii_uppercase();
    if method_name.is_empty() || !method_name.bytes().all(is_token) || method_name == "CONNECT" {
        return Err(PyValueError::new_err(format!("`{}` is no method of a call", method.escape_debug())));
    }
    let params = params.map(pairs).transpose()?;
    let query = query.map(pairs).transpose()?.unwrap_or_default();
    let target = target::write(path, params.as_deref(), &query).map_err(PyValueError::new_err)?;
    Ok(CallRequest {
        service: service.into(),
        method: method_name.into_bytes().into(),
        target,
        head: head(headers, content_type)?,
        forward: forward
            .unwrap_or_default()
            .into_iter()
            .map(|name| name.to_ascii_lowercase().into_bytes().into())
            .collect(),
        body: body.map_or(CallBody::Streamed, |body| CallBody::Whole(Bytes::copy_from_slice(body))),
        timeout_ms: timeout.map(milliseconds).transpose()?,
        most_bytes,
        streams,
    })
}

fn head(headers: Option<&Bound<'_, PyAny>>, content_type: Option<&str>) -> PyResult<Head> {
    let mut head = Head::default();
    for (name, value) in headers.map(pairs).transpose()?.unwrap_or_default() {
        if name.eq_ignore_ascii_case("host") {
            return Err(PyValueError::new_err("`host` is the service's own; set `host` there"));
        }
        add(&mut head, &name, &value)?;
    }
    if let Some(content_type) = content_type.filter(|_| !head.contains(b"content-type")) {
        add(&mut head, "content-type", content_type)?;
    }
    Ok(head)
}

fn milliseconds(seconds: f64) -> PyResult<u64> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!("expected a timeout in seconds, got {seconds}")));
    }
    Ok((seconds * 1000.0).ceil() as u64)
}

/// Names and values of a mapping, or of pairs; `None` leaves one out, and a list repeats its name.
fn pairs(given: &Bound<'_, PyAny>) -> PyResult<Pairs> {
    let py = given.py();
    let mut pairs = Pairs::new();
    if let Ok(dict) = given.cast::<PyDict>() {
        for (name, value) in dict.iter() {
            push(&mut pairs, &name, &value)?;
        }
        return Ok(pairs);
    }
    let items = match given.getattr_opt(intern!(py, "items"))? {
        Some(items) => items.call0()?,
        None => given.clone(),
    };
    for pair in items.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
        push(&mut pairs, &name, &value)?;
    }
    Ok(pairs)
}

fn push(pairs: &mut Pairs, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_none() {
        return Ok(());
    }
    let name: String = name.extract()?;
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        for value in value.try_iter()? {
            pairs.push((name.clone().into(), text(&value?)?.into()));
        }
        return Ok(());
    }
    pairs.push((name.into(), text(value)?.into()));
    Ok(())
}
