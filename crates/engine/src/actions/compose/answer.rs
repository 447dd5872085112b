//! What the client, the log and the metrics are told when the calls are over.

use super::call::Call;
use super::fault::{Fault, Reason};
use super::graph::{Broken, Graph, Node, Phase};
use super::{MOST_SHAPED, Wanted, each};
use crate::exchange::{Exchange, Told};
use crate::json::write_string;
use crate::respond::{Code, Failure};

/// An answer, or what is said of its failure; made while the exchange is only looked at.
#[derive(Default)]
pub struct Made {
    pub body: Vec<u8>,
    /// The value of `Tidegate-Partial`.
    partial: Vec<u8>,
    /// The value of `Server-Timing`.
    timing: Vec<u8>,
    failed_calls: String,
    attempts: u32,
    answered_micros: u64,
    told: Option<Box<Told>>,
    retry_after: Option<u64>,
}

impl Made {
    /// The answer, once its calls are over.
    pub fn whole(graph: &Graph<'_>, wanted: &Wanted<'_>) -> Result<Self, Failure> {
        let mut made = Self::of(graph);
        graph.faults().for_each(|(call, node, fault)| write_partial(&mut made.partial, graph, call, node, fault));
        if graph.compose.server_timing {
            write_timing(&mut made.timing, graph);
        }
        let answers: usize = each(graph.needed).map(|call| graph.nodes[call].value.root().bytes().len()).sum();
        made.body.reserve(answers + 256);
        let most = answers.saturating_mul(4).saturating_add(MOST_SHAPED);
        let shape = &wanted.response.shape;
        let written = match &wanted.selection {
            None => shape.write(graph, most, &mut made.body),
            Some(selection) => shape.write_selected(selection, graph, most, &mut made.body),
        };
        written.map_err(|_| Failure::with(Code::ComposeFailed, "the answer would be too long"))?;
        if graph.compose.errors && !made.partial.is_empty() {
            write_errors(&mut made.body, graph);
        }
        made.answered_micros = graph.worker.clock.now_micros();
        Ok(made)
    }

    /// What is said when a call failed that the answer needs.
    pub fn broken(graph: &Graph<'_>, broken: Broken) -> (Self, Failure) {
        let mut made = Self::of(graph);
        let call = &graph.compose.calls[broken.0];
        let unknown = Fault::from(Reason::Unreachable);
        let fault = graph.nodes[broken.0].fault.as_ref().unwrap_or(&unknown);
        let code = if fault.reason == Reason::Timeout { Code::ComposeTimeout } else { Code::ComposeFailed };
        let status = match fault.reason {
            Reason::Status(status @ 400..500) if call.pass_errors => status,
            _ => code.status(),
        };
        let mut members = Vec::new();
        members.extend_from_slice(b",\"call\":");
        write_string(call.name.as_bytes(), &mut members);
        write_reason(&mut members, graph, fault, b"upstream_status");
        made.told = Some(Box::new(Told { status, members: members.into() }));
        made.retry_after = fault.retry_after;
        let detail = fault.detail.as_deref().unwrap_or_default();
        let colon = if detail.is_empty() { "" } else { ": " };
        (made, Failure::with(code, format_args!("call {}: {}{colon}{detail}", call.name, words(graph, fault))))
    }

    /// What is said of the calls however it ends.
    pub fn of(graph: &Graph<'_>) -> Self {
        let mut failed_calls = String::new();
        for (call, _, fault) in graph.faults() {
            if !failed_calls.is_empty() {
                failed_calls.push(' ');
            }
            failed_calls.push_str(&call.name);
            failed_calls.push('=');
            failed_calls.push_str(&words(graph, fault));
        }
        Self { failed_calls, attempts: graph.attempts, ..Self::default() }
    }

    /// Writes into the exchange what the client and the log get.
    pub fn tell(&mut self, exchange: &mut Exchange) {
        let notes = &mut exchange.notes;
        notes.attempts += self.attempts;
        notes.told = self.told.take();
        notes.retry_after = self.retry_after.or(notes.retry_after);
        notes.answered_micros = self.answered_micros;
        if !self.failed_calls.is_empty() {
            notes.failed_calls = Some(std::mem::take(&mut self.failed_calls).into());
        }
        let head = &mut exchange.answer.head;
        head.clear();
        head.add(b"content-type", b"application/json");
        if !self.partial.is_empty() {
            head.add(b"tidegate-partial", &self.partial);
            // The next one may be whole.
            head.add(b"cache-control", b"no-store");
        }
        if !self.timing.is_empty() {
            head.add(b"server-timing", &self.timing);
        }
    }
}

/// `status:500`, `needs:order`, `timeout`.
fn words(graph: &Graph<'_>, fault: &Fault) -> String {
    match fault.reason {
        Reason::Status(status) | Reason::Redirect(status) => format!("{}:{status}", fault.reason.word()),
        Reason::Needs(other) => format!("needs:{}", graph.compose.calls[other].name),
        reason => reason.word().to_owned(),
    }
}

/// Appends a member of the list (RFC 9651): `user;reason=status;status=500`.
fn write_partial(out: &mut Vec<u8>, graph: &Graph<'_>, call: &Call, node: &Node, fault: &Fault) {
    if !out.is_empty() {
        out.extend_from_slice(b", ");
    }
    write_name(out, &call.name);
    out.extend_from_slice(b";reason=");
    out.extend_from_slice(fault.reason.word().as_bytes());
    if let Some(status) = fault.reason.status() {
        out.extend_from_slice(b";status=");
        write_number(out, status.into());
    }
    if let Reason::Needs(other) = fault.reason {
        out.extend_from_slice(b";of=");
        write_name(out, &graph.compose.calls[other].name);
    }
    if node.phase == Phase::Answered {
        out.extend_from_slice(b";count=");
        write_number(out, node.failed_items.into());
    }
}

/// Appends a name as a token, or as a string where it is none: tokens begin with a letter.
fn write_name(out: &mut Vec<u8>, name: &str) {
    let token = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let quote: &[u8] = if token { b"" } else { b"\"" };
    for part in [quote, name.as_bytes(), quote] {
        out.extend_from_slice(part);
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `,"reason":"status","upstream_status":500`.
fn write_reason(out: &mut Vec<u8>, graph: &Graph<'_>, fault: &Fault, status_name: &[u8]) {
    out.extend_from_slice(b",\"reason\":\"");
    out.extend_from_slice(fault.reason.word().as_bytes());
    out.push(b'"');
    if let Some(status) = fault.reason.status() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(status_name);
        out.extend_from_slice(b"\":");
        write_number(out, status.into());
    }
    if let Reason::Needs(other) = fault.reason {
        out.extend_from_slice(b",\"of\":");
        write_string(graph.compose.calls[other].name.as_bytes(), out);
    }
}

/// Gives an answer that is an object the member `errors`.
fn write_errors(body: &mut Vec<u8>, graph: &Graph<'_>) {
    if !(body.starts_with(b"{") && body.pop_if(|last| *last == b'}').is_some()) {
        return;
    }
    let empty = body[1..].trim_ascii().is_empty();
    body.extend_from_slice(if empty { b"\"errors\":[" } else { b",\"errors\":[" });
    for (number, (call, node, fault)) in graph.faults().enumerate() {
        body.extend_from_slice(if number > 0 { b",{\"call\":" } else { b"{\"call\":" });
        write_string(call.name.as_bytes(), body);
        write_reason(body, graph, fault, b"status");
        if node.phase == Phase::Answered {
            body.extend_from_slice(b",\"count\":");
            write_number(body, node.failed_items.into());
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
}

/// Writes `order;dur=1.204, user;dur=3.1;desc="after order"`: what each call took, and what it waited for.
fn write_timing(out: &mut Vec<u8>, graph: &Graph<'_>) {
    for (index, node) in graph.nodes.iter().enumerate() {
        let Some(micros) = node.micros() else { continue };
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        let call = &graph.compose.calls[index];
        out.extend_from_slice(call.name.as_bytes());
        out.extend_from_slice(b";dur=");
        write_number(out, micros / 1000);
        let rest = micros % 1000;
        let digit = |place: u64| b'0' + (rest / place % 10) as u8;
        out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
        let mut before: &[u8] = b";desc=\"after ";
        for need in each(call.needs) {
            out.extend_from_slice(before);
            out.extend_from_slice(graph.compose.calls[need].name.as_bytes());
            before = b" ";
        }
        if call.needs != 0 {
            out.push(b'"');
        }
    }
}
