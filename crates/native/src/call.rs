//! A call to a service, as Python awaits it: a future of asyncio and a coroutine in one.
//!
//! As a future it is awaited by `gather`, `wait_for` and tasks without a task of its own; as a coroutine it goes where only
//! those are taken, as in `TaskGroup.create_task`. It is settled outside of the loop's own queue: when its answer is there, the
//! loop's next batch runs whoever waits for it at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeWarning, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{import_exception, intern};
use tidegate_engine::bridge::{self, CallAnswer, CallFailure, Read, Sent};
use tidegate_engine::head::Head;
use tidegate_engine::json::{Document, Fault};
use tidegate_engine::respond::{Code, Failure};

use crate::job::latin1;

import_exception!(asyncio, CancelledError);
import_exception!(asyncio, InvalidStateError);
import_exception!(tidegate.errors, ClientGone);

/// The calls that somebody waits for, by their numbers.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<u64, Py<Call>>>);

impl Waiting {
    fn calls(&self) -> MutexGuard<'_, HashMap<u64, Py<Call>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self, number: u64) -> Option<Py<Call>> {
        self.calls().remove(&number)
    }
}

#[pyclass(frozen, module = "tidegate._native", weakref)]
pub struct Call {
    pub call: Arc<bridge::Call>,
    waiting: Arc<Waiting>,
    event_loop: Option<Py<PyAny>>,
    state: Mutex<State>,
}

/// A function, with the context it runs in.
type Callback = (Py<PyAny>, Option<Py<PyAny>>);

#[derive(Default)]
struct State {
    settled: Option<Result<Py<PyAny>, PyErr>>,
    /// With what `cancel` was told.
    cancelled: Option<Option<Py<PyAny>>>,
    callbacks: Vec<Callback>,
    /// Of the protocol between asyncio's tasks and futures.
    blocking: bool,
    /// Somebody wanted to know what came of it.
    awaited: bool,
}

impl Call {
    pub fn new(call: Arc<bridge::Call>, waiting: Arc<Waiting>, event_loop: Option<Py<PyAny>>) -> Self {
        Self { call, waiting, event_loop, state: Mutex::default() }
    }

    /// Never held while Python runs, which may hand the interpreter's lock over.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns what came of it into what Python gets, once.
    fn settle(&self, py: Python<'_>) {
        let Some(outcome) = self.call.take() else { return };
        let settled = match outcome {
            Ok(answer) => response(py, &self.call, answer),
            Err(CallFailure::Failed(failure)) => Err(failed(py, &self.call.request.service, &failure)),
            Err(CallFailure::UnknownService(names)) => Err(unknown(py, &self.call.request.service, &names)),
            Err(CallFailure::Gone) => Err(gone()),
        };
        self.state().settled = Some(settled);
    }

    fn outcome(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.settle(py);
        let mut state = self.state();
        state.awaited = true;
        if let Some(message) = &state.cancelled {
            return Err(match message {
                Some(message) => CancelledError::new_err((message.clone_ref(py),)),
                None => CancelledError::new_err(()),
            });
        }
        match &state.settled {
            Some(Ok(result)) => Ok(Some(result.clone_ref(py))),
            Some(Err(error)) => Err(error.clone_ref(py)),
            None => Ok(None),
        }
    }

    fn is_over(&self) -> bool {
        let state = self.state();
        state.cancelled.is_some() || state.settled.is_some() || self.call.is_settled()
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let event_loop = self.event_loop.as_ref().map(|event_loop| event_loop.bind(py));
        event_loop.ok_or_else(|| InvalidStateError::new_err("the call was made without an event loop"))
    }

    /// Runs callbacks when the loop comes to them.
    fn schedule(slf: &Bound<'_, Self>, callbacks: Vec<Callback>) -> PyResult<()> {
        let py = slf.py();
        for (callback, context) in callbacks {
            let event_loop = slf.get().event_loop(py)?;
            let options = PyDict::new(py);
            if let Some(context) = context {
                options.set_item(intern!(py, "context"), context)?;
            }
            event_loop.call_method(intern!(py, "call_soon"), (callback, slf), Some(&options))?;
        }
        Ok(())
    }

    fn step(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        match slf.get().outcome(slf.py())? {
            Some(result) => Err(PyStopIteration::new_err((result,))),
            None => {
                slf.get().state().blocking = true;
                Ok(Some(slf.clone().into_any().unbind()))
            }
        }
    }

    fn give_up(&self, py: Python<'_>, message: Option<Py<PyAny>>) -> Option<Vec<Callback>> {
        self.settle(py);
        let mut state = self.state();
        if state.cancelled.is_some() || state.settled.is_some() {
            return None;
        }
        state.cancelled = Some(message);
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        let waited = self.waiting.take(self.call.number);
        self.call.cancel();
        drop(waited);
        Some(callbacks)
    }
}

#[pymethods]
impl Call {
    #[getter]
    fn number(&self) -> u64 {
        self.call.number
    }

    // ---- a coroutine

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        Self::step(slf)
    }

    fn send(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let _ = value;
        Self::step(slf)
    }

    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = traceback;
        slf.get().state().awaited = true;
        let is_exception = |value: &Bound<'_, PyAny>| value.is_instance_of::<pyo3::exceptions::PyBaseException>();
        match value {
            _ if is_exception(kind) => Err(PyErr::from_value(kind.clone())),
            Some(value) if is_exception(value) => Err(PyErr::from_value(value.clone())),
            Some(value) => Err(PyErr::from_value(kind.call1((value,))?)),
            None => Err(PyErr::from_value(kind.call0()?)),
        }
    }

    /// As a coroutine that is given up.
    fn close(&self, py: Python<'_>) {
        self.give_up(py, None);
    }

    // ---- a future

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.state().blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.state().blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.event_loop(py)?.clone().unbind())
    }

    fn done(&self) -> bool {
        self.is_over()
    }

    fn cancelled(&self) -> bool {
        self.state().cancelled.is_some()
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.outcome(py)?.ok_or_else(|| InvalidStateError::new_err("there is no answer yet"))
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.outcome(py) {
            Ok(Some(_)) => Ok(None),
            Ok(None) => Err(InvalidStateError::new_err("there is no answer yet")),
            Err(error) if self.state().cancelled.is_some() => Err(error),
            Err(error) => Ok(Some(error.into_value(py).into_any())),
        }
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(slf: &Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let this = slf.get();
        let over = {
            let mut state = this.state();
            state.awaited = true;
            state.cancelled.is_some() || state.settled.is_some()
        };
        if over {
            return Self::schedule(slf, vec![(callback, context)]);
        }
        this.state().callbacks.push((callback, context));
        this.waiting.calls().insert(this.call.number, slf.clone().unbind());
        if this.call.wants_event() {
            // It was settled before anybody waited.
            let waited = this.waiting.take(this.call.number);
            let callbacks = std::mem::take(&mut this.state().callbacks);
            Self::schedule(slf, callbacks)?;
            drop(waited);
        }
        Ok(())
    }

    fn remove_done_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = callback.py();
        let callbacks = std::mem::take(&mut self.state().callbacks);
        let before = callbacks.len();
        let mut kept = Vec::with_capacity(before);
        for (known, context) in callbacks {
            if !known.bind(py).eq(callback)? {
                kept.push((known, context));
            }
        }
        let removed = before - kept.len();
        self.state().callbacks.splice(0..0, kept);
        Ok(removed)
    }

    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        match slf.get().give_up(slf.py(), msg) {
            Some(callbacks) => Self::schedule(slf, callbacks).map(|()| true),
            None => Ok(false),
        }
    }

    // ---- for the runner

    /// Runs whoever waits for it; called by the loop, outside of any task.
    fn wake(slf: &Bound<'_, Self>) {
        let (py, this) = (slf.py(), slf.get());
        this.settle(py);
        let callbacks = std::mem::take(&mut this.state().callbacks);
        for (callback, context) in callbacks {
            let ran = match context {
                Some(context) => context.call_method1(py, intern!(py, "run"), (&callback, slf)),
                None => callback.call1(py, (slf,)),
            };
            if let Err(error) = ran {
                error.write_unraisable(py, Some(callback.bind(py)));
            }
        }
    }

    /// Cancels the request, also when its answer has begun.
    fn abandon(&self) {
        self.call.cancel();
    }

    /// Blocks the thread until there is an answer.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        py.detach(|| self.call.block());
        self.result(py)
    }

    // ---- streams

    /// The next piece of the answer; empty at the end, `None` while nothing is there.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.call.read() {
            Ok(Read::Chunk(chunk)) => Ok(Some(PyBytes::new(py, &chunk))),
            Ok(Read::End) => Ok(Some(PyBytes::new(py, b""))),
            Ok(Read::Wait) => Ok(None),
            Ok(Read::Gone) => Err(gone()),
            Err(failure) if failure.code == Code::Stopped => Err(gone()),
            Err(failure) => Err(failed(py, &self.call.request.service, &failure)),
        }
    }

    /// A piece of the request's body; `None`: the service takes no more, false: the next must wait.
    fn send_body(&self, chunk: &[u8]) -> Option<bool> {
        match self.call.send(Bytes::copy_from_slice(chunk)) {
            Sent::More => Some(true),
            Sent::Full => Some(false),
            Sent::Gone => None,
        }
    }

    fn end_body(&self, complete: bool) {
        self.call.end_body(match complete {
            true => Ok(()),
            false => Err(Failure::with(Code::HandlerFailed, "the body of a call was given up")),
        });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let forgotten = !state.awaited && state.cancelled.is_none();
        self.call.cancel();
        if forgotten {
            let text = format!(
                "a call to service `{}` was never awaited, so it was cancelled\0",
                self.call.request.service.escape_debug()
            );
            let Ok(text) = std::ffi::CString::from_vec_with_nul(text.into_bytes()) else { return };
            Python::attach(|py| {
                if let Err(error) = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1) {
                    error.write_unraisable(py, None);
                }
            });
        }
    }
}

/// What a service answered; nothing is converted before it is asked for.
#[pyclass(frozen, module = "tidegate._native")]
pub struct Answer {
    call: Arc<bridge::Call>,
    #[pyo3(get)]
    status: u16,
    head: Head,
    body: Bytes,
}

#[pymethods]
impl Answer {
    #[getter]
    fn service(&self) -> &str {
        &self.call.request.service
    }

    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        self.head.get(name.as_bytes()).map(|value| latin1(py, value))
    }

    /// Every header, names in lower case.
    fn headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyString>, Bound<'py, PyString>)> {
        let fields = self.head.iter();
        fields.map(|(_, name, value)| (latin1(py, &name.to_ascii_lowercase()), latin1(py, value))).collect()
    }

    /// Why the body is no JSON, or none that is taken.
    fn json_fault(&self, most_depth: usize) -> Option<&'static str> {
        Document::parse(self.body.clone(), most_depth).err().map(|fault| match fault {
            Fault::NotJson => "not_json",
            Fault::TooDeep => "too_deep",
        })
    }

    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }
}

fn response(py: Python<'_>, call: &Arc<bridge::Call>, answer: CallAnswer) -> PyResult<Py<PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let CallAnswer { status, head, body } = answer;
    let answer = Answer { call: call.clone(), status, head, body };
    maker(py, &CLASS, "CallResponse")?.call1(py, (answer,))
}

/// The exception for a call that failed.
fn failed(py: Python<'_>, service: &str, failure: &Failure) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let code = failure.code;
    let arguments = (service, code.word(), code.status(), code.title(), failure.detail.as_deref());
    raised(py, maker(py, &MAKE, "failure").and_then(|make| make.call1(py, arguments)))
}

fn unknown(py: Python<'_>, service: &str, names: &[Box<str>]) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    raised(py, maker(py, &MAKE, "unknown_service").and_then(|make| make.call1(py, (service, names))))
}

fn raised(py: Python<'_>, made: PyResult<Py<PyAny>>) -> PyErr {
    made.map_or_else(|error| error, |exception| PyErr::from_value(exception.into_bound(py)))
}

fn gone() -> PyErr {
    ClientGone::new_err("the exchange is over, and so are its calls")
}

fn maker<'a>(py: Python<'_>, place: &'a PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<&'a Py<PyAny>> {
    place.get_or_try_init(py, || Ok(py.import("tidegate.extend.calls")?.getattr(name)?.unbind()))
}

/// What is not text, as text: numbers and truths as JSON has them.
pub fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str()?.to_owned());
    }
    if let Ok(truth) = value.extract::<bool>() {
        return Ok(if truth { "true" } else { "false" }.to_owned());
    }
    if value.is_instance_of::<pyo3::types::PyInt>() || value.is_instance_of::<pyo3::types::PyFloat>() {
        return Ok(value.str()?.to_str()?.to_owned());
    }
    Err(PyTypeError::new_err(format!("expected text, a number or a bool, got {}", value.get_type().name()?)))
}
