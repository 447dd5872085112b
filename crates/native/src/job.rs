//! One request as Python sees it: nothing is converted before it is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{import_exception, intern};
use tidegate_engine::bridge::{self, Read, Sent};
use tidegate_engine::network::client_text;
use tidegate_engine::respond::Code;

use crate::answer::{ChangedFields, Fields, changes, head, head_of_bytes};
use crate::scope::scope;

import_exception!(tidegate.errors, ClientGone);

#[pyclass(frozen, module = "tidegate._native")]
pub struct Job(pub Arc<bridge::Job>);

#[pymethods]
impl Job {
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    #[getter]
    fn handler(&self) -> u32 {
        self.0.handler
    }

    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match &*self.0.request.method {
            b"GET" => intern!(py, "GET").clone(),
            b"POST" => intern!(py, "POST").clone(),
            other => latin1(py, other),
        }
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.request.path)
    }

    #[getter]
    fn query<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, self.0.request.query.as_deref().unwrap_or_default())
    }

    #[getter]
    fn authority<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.request.authority)
    }

    #[getter]
    fn scheme<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let scheme = if self.0.request.tls { intern!(py, "https") } else { intern!(py, "http") };
        scheme.clone()
    }

    #[getter]
    fn version(&self) -> &'static str {
        self.0.request.version
    }

    #[getter]
    fn client(&self) -> String {
        self.0.request.client_ip.map(client_text).unwrap_or_default()
    }

    #[getter]
    fn request_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.request.id)
    }

    #[getter]
    fn route(&self) -> &str {
        &self.0.request.route
    }

    /// As a fallback: what happened to the call.
    #[getter]
    fn instead_of(&self) -> Option<&'static str> {
        self.0.request.instead_of
    }

    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let params = PyDict::new(py);
        for (name, value) in &self.0.request.captures {
            params.set_item(&**name, String::from_utf8_lossy(&percent_decoded(value)))?;
        }
        Ok(params)
    }

    /// The first value of a header, in any case.
    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        self.0.request.head.get(name.as_bytes()).map(|value| latin1(py, value))
    }

    /// Every header, names in lower case.
    fn headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyString>, Bound<'py, PyString>)> {
        let fields = self.0.request.head.iter();
        fields.map(|(_, name, value)| (latin1(py, &name.to_ascii_lowercase()), latin1(py, value))).collect()
    }

    /// It asks to switch to WebSocket.
    #[getter]
    fn websocket(&self) -> bool {
        self.0.request.websocket
    }

    /// The scope for an ASGI application: a copy of `template` with what this request brings.
    fn scope<'py>(&self, template: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        scope(template, &self.0.request)
    }

    #[getter]
    fn gone(&self) -> bool {
        self.0.is_gone()
    }

    /// The whole body, when all of it is there.
    fn take_body<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.take_body().map(|body| PyBytes::new(py, &body))
    }

    /// The next piece; empty at the end, `None` while nothing is there.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        piece(py, self.0.read())
    }

    fn read_blocking<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let read = py.detach(|| self.0.read_blocking());
        piece(py, read)
    }

    fn answer(
        &self,
        status: u16,
        content_type: Option<&str>,
        fields: Option<Fields<'_>>,
        body: &[u8],
    ) -> PyResult<bool> {
        let head = head(status, content_type, fields, Some(body.len() as u64))?;
        Ok(self.0.answer(head, Bytes::copy_from_slice(body)))
    }

    fn start(&self, status: u16, content_type: Option<&str>, fields: Option<Fields<'_>>) -> PyResult<bool> {
        Ok(self.0.start(head(status, content_type, fields, None)?))
    }

    /// As `answer`, with fields in bytes. A `content-length` among them must be true.
    fn answer_bytes(&self, status: u16, fields: &Bound<'_, PyAny>, body: &[u8]) -> PyResult<bool> {
        let (mut head, announced) = head_of_bytes(status, fields, Some(body.len() as u64))?;
        if *self.0.request.method == *b"HEAD" {
            // An empty body says nothing about what a GET would have.
            head.length = announced.or(head.length.filter(|length| *length > 0));
        } else if let Some(announced) = announced.filter(|_| !matches!(status, 204 | 304))
            && announced != body.len() as u64
        {
            let length = body.len();
            return Err(PyValueError::new_err(format!("content-length says {announced}, and the body has {length}")));
        }
        Ok(self.0.answer(head, Bytes::copy_from_slice(body)))
    }

    /// As `start`, with fields in bytes; the length of the body that they announce, where it must be kept.
    fn start_bytes(&self, status: u16, fields: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        let (mut head, announced) = head_of_bytes(status, fields, None)?;
        head.length = announced;
        self.0.start(head);
        let bodiless = *self.0.request.method == *b"HEAD" || matches!(status, 204 | 304);
        Ok(announced.filter(|_| !bodiless))
    }

    /// Switches to WebSocket: from here on `read` and `send` are its bytes. False when nobody wants it any more.
    fn switch(&self, fields: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (mut head, _) = head_of_bytes(200, fields, None)?;
        head.switches = true;
        Ok(self.0.start(head))
    }

    /// True when more may be sent at once.
    fn send(&self, chunk: &[u8]) -> PyResult<bool> {
        sent(self.0.send(Bytes::copy_from_slice(chunk)))
    }

    fn send_blocking(&self, py: Python<'_>, chunk: &[u8]) -> PyResult<bool> {
        let chunk = Bytes::copy_from_slice(chunk);
        sent(py.detach(|| self.0.send_blocking(chunk)))
    }

    fn end(&self) {
        self.0.end();
    }

    /// As `fail_as`, with members that the document has beside the usual ones: JSON, each with a comma before it.
    fn refuse(&self, code: &str, detail: &str, members: &[u8]) -> PyResult<()> {
        self.0.refuse(code_of(code)?, detail, Some(members.into()));
        Ok(())
    }

    /// Answers with the problem document of a code, as when the gateway itself had failed so.
    fn fail_as(&self, code: &str, detail: &str) -> PyResult<()> {
        self.0.fail(code_of(code)?, detail);
        Ok(())
    }

    /// As a hook: the exchange goes on, with these changes.
    fn go_on(&self, status: Option<u16>, fields: ChangedFields<'_>) -> PyResult<bool> {
        Ok(self.0.answer(changes(status, &fields)?, Bytes::new()))
    }

    /// As a hook: the status of the answer, once there is one.
    #[getter]
    fn given_status(&self) -> Option<u16> {
        self.0.request.given.as_ref().map(|given| given.status)
    }

    fn given_header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        self.0.request.given.as_ref()?.head.get(name.as_bytes()).map(|value| latin1(py, value))
    }

    /// Every header of the answer, names in lower case.
    fn given_headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyString>, Bound<'py, PyString>)> {
        let fields = self.0.request.given.iter().flat_map(|given| given.head.iter());
        fields.map(|(_, name, value)| (latin1(py, &name.to_ascii_lowercase()), latin1(py, value))).collect()
    }

    /// Microseconds that the exchange took.
    #[getter]
    fn given_duration(&self) -> u64 {
        self.0.request.given.as_ref().map_or(0, |given| given.duration_micros)
    }

    #[getter]
    fn given_code(&self) -> Option<&'static str> {
        self.0.request.given.as_ref()?.code.map(Code::word)
    }

    fn bad_content(&self, detail: &str) {
        self.0.fail(Code::BadContent, detail);
    }

    fn fail(&self, detail: &str) {
        self.0.fail(Code::HandlerFailed, detail);
    }
}

fn code_of(word: &str) -> PyResult<Code> {
    let code = Code::ALL.iter().copied().find(|code| code.word() == word);
    code.ok_or_else(|| PyValueError::new_err(format!("there is no code `{word}`")))
}

fn piece(py: Python<'_>, read: Read) -> PyResult<Option<Bound<'_, PyBytes>>> {
    match read {
        Read::Chunk(chunk) => Ok(Some(PyBytes::new(py, &chunk))),
        Read::End => Ok(Some(PyBytes::new(py, b""))),
        Read::Wait => Ok(None),
        Read::Gone => Err(gone()),
    }
}

fn sent(sent: Sent) -> PyResult<bool> {
    match sent {
        Sent::More => Ok(true),
        Sent::Full => Ok(false),
        Sent::Gone => Err(gone()),
    }
}

fn gone() -> PyErr {
    ClientGone::new_err("the client left before its answer was complete")
}

/// Header text: every byte is a character, as WSGI and most servers have it.
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &bytes.iter().map(|byte| char::from(*byte)).collect::<String>()),
    }
}

pub fn percent_decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return bytes.into();
    }
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded.into()
}
