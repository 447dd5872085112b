//! The scope of an ASGI application: a request as the specification has it, made in one go.
//!
//! Names and values of headers are bytes, and so nothing of them is decoded. See
//! <https://asgi.readthedocs.io/en/latest/specs/www.html>.

use std::net::{IpAddr, SocketAddr};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use tidegate_engine::bridge::JobRequest;
use tidegate_engine::network::client_text;
use tidegate_engine::sides::BodySize;
use tidegate_engine::worker::NO_ADDRESS;

use crate::job::{latin1, percent_decoded};

/// A copy of `template` with what this request brings.
pub fn scope<'py>(template: &Bound<'py, PyDict>, request: &JobRequest) -> PyResult<Bound<'py, PyDict>> {
    let py = template.py();
    let scope = template.copy()?;
    scope.set_item(intern!(py, "http_version"), version(py, request.version))?;
    if !request.websocket {
        scope.set_item(intern!(py, "method"), method(py, &request.method))?;
    }
    scope.set_item(intern!(py, "scheme"), scheme(py, request))?;
    let path = text(py, &request.path);
    scope.set_item(intern!(py, "path"), path)?;
    scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, &request.path))?;
    scope.set_item(intern!(py, "query_string"), PyBytes::new(py, request.query.as_deref().unwrap_or_default()))?;
    scope.set_item(intern!(py, "root_path"), root_path(py, request))?;
    scope.set_item(intern!(py, "headers"), headers(py, request)?)?;
    scope.set_item(intern!(py, "client"), client(py, request)?)?;
    scope.set_item(intern!(py, "server"), server(py, request)?)?;
    Ok(scope)
}

fn version<'py>(py: Python<'py>, version: &'static str) -> Bound<'py, PyString> {
    match version {
        "1.1" => intern!(py, "1.1").clone(),
        "2" => intern!(py, "2").clone(),
        other => PyString::new(py, other),
    }
}

fn method<'py>(py: Python<'py>, method: &[u8]) -> Bound<'py, PyString> {
    match method {
        b"GET" => intern!(py, "GET").clone(),
        b"POST" => intern!(py, "POST").clone(),
        other => latin1(py, other),
    }
}

fn scheme<'py>(py: Python<'py>, request: &JobRequest) -> Bound<'py, PyString> {
    let scheme = match (request.websocket, request.secure) {
        (false, false) => intern!(py, "http"),
        (false, true) => intern!(py, "https"),
        (true, false) => intern!(py, "ws"),
        (true, true) => intern!(py, "wss"),
    };
    scheme.clone()
}

/// A path without its percent-encoding; what is no UTF-8 is replaced.
fn text<'py>(py: Python<'py>, path: &[u8]) -> Bound<'py, PyString> {
    PyString::new(py, &String::from_utf8_lossy(&percent_decoded(path)))
}

/// Where the application begins; no slash at its end, as the path goes on with one.
fn root_path<'py>(py: Python<'py>, request: &JobRequest) -> Bound<'py, PyString> {
    let root = request.path.get(..request.root).unwrap_or_default();
    let root = root.strip_suffix(b"/").unwrap_or(root);
    if root.is_empty() { intern!(py, "").clone() } else { text(py, root) }
}

/// `Host` comes first, whatever the protocol; the framing is told as far as applications know it.
fn headers<'py>(py: Python<'py>, request: &JobRequest) -> PyResult<Bound<'py, PyList>> {
    let headers = PyList::empty(py);
    let add = |name: &[u8], value: &[u8]| {
        headers.append(PyTuple::new(py, [PyBytes::new(py, name), PyBytes::new(py, value)])?)
    };
    add(b"host", &request.authority)?;
    for (_, name, value) in request.head.iter() {
        if name.iter().any(u8::is_ascii_uppercase) {
            add(&name.to_ascii_lowercase(), value)?;
        } else {
            add(name, value)?;
        }
    }
    match request.body {
        BodySize::Empty => {}
        BodySize::Length(length) => add(b"content-length", length.to_string().as_bytes())?,
        BodySize::Unknown => add(b"transfer-encoding", b"chunked")?,
    }
    Ok(headers)
}

/// `None` for a client on a UNIX socket.
fn client<'py>(py: Python<'py>, request: &JobRequest) -> PyResult<Option<Bound<'py, PyTuple>>> {
    match request.client_ip {
        None | Some(NO_ADDRESS) => Ok(None),
        Some(address) => address_of(py, address, request.peer_port).map(Some),
    }
}

fn server<'py>(py: Python<'py>, request: &JobRequest) -> PyResult<Option<Bound<'py, PyTuple>>> {
    match request.local.as_ref().map(SocketAddr::ip) {
        None | Some(NO_ADDRESS) => Ok(None),
        Some(address) => address_of(py, address, request.local.map_or(0, |local| local.port())).map(Some),
    }
}

fn address_of(py: Python<'_>, address: IpAddr, port: u16) -> PyResult<Bound<'_, PyTuple>> {
    (client_text(address), port).into_pyobject(py)
}
