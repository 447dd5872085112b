//! One line of the access log. `docs/reference/access-log.md` describes the fields.

use crate::exchange::{Connection, Exchange};
use crate::network::write_client;
use crate::policies::trace_context::trace_id;
use crate::respond::Code;
use crate::telemetry::escape::write_escaped;
use crate::telemetry::metrics::Sample;
use crate::telemetry::timestamp::write_timestamp;

/// An exchange that is over, and what was measured of it. Fields without a value are left out.
pub(super) struct Record<'a> {
    pub exchange: &'a Exchange,
    pub sample: &'a Sample,
    pub epoch_micros: u64,
}

impl Record<'_> {
    pub fn write(&self, out: &mut Vec<u8>) {
        let (exchange, sample, notes) = (self.exchange, self.sample, &self.exchange.notes);
        write_begin(out, self.epoch_micros, exchange.client_ip);
        write_text(out, b"request_id", &exchange.id);
        write_request(out, exchange);
        write_number(out, b"status", u64::from(sample.status));
        if let Some(route) = exchange.route.map(|route| &exchange.snapshot.routes[route]) {
            write_text(out, b"route", route.name.as_bytes());
            write_text(out, b"service", exchange.service_name().as_bytes());
            write_text(out, b"side", exchange.side_name().unwrap_or_default().as_bytes());
        }
        if let Some(consumer) = exchange.identity.as_ref().and_then(|identity| identity.consumer.as_ref()) {
            write_text(out, b"consumer", consumer.name.as_bytes());
        }
        write_text(out, b"target", exchange.target_name().unwrap_or_default().as_bytes());
        write_millis(out, b"duration_ms", sample.duration_micros);
        if let Some(micros) = sample.upstream_micros {
            write_millis(out, b"upstream_ms", micros);
        }
        write_number(out, b"request_bytes", sample.request_bytes);
        write_number(out, b"answer_bytes", sample.answer_bytes);
        if notes.attempts > 0 {
            write_number(out, b"attempts", u64::from(notes.attempts));
        }
        write_text(out, b"rule", notes.rule.as_deref().unwrap_or_default().as_bytes());
        if let Some(fallback) = &notes.fallback {
            write_text(out, b"fallback", fallback.to.as_bytes());
            write_text(out, b"fallback_reason", fallback.why.as_bytes());
        }
        write_text(out, b"failed_calls", notes.failed_calls.as_deref().unwrap_or_default().as_bytes());
        write_reason(out, notes.code, notes.detail.as_deref());
        write_end(out);
    }

    /// A message that never became an exchange: all that is known is where it came from and what was wrong.
    pub fn write_refused(out: &mut Vec<u8>, epoch_micros: u64, connection: &Connection, code: Code, detail: &str) {
        write_begin(out, epoch_micros, connection.peer.ip().to_canonical());
        write_number(out, b"status", u64::from(code.status()));
        write_reason(out, Some(code), Some(detail));
        write_end(out);
    }
}

fn write_begin(out: &mut Vec<u8>, epoch_micros: u64, client: std::net::IpAddr) {
    out.extend_from_slice(b"{\"time\":\"");
    write_timestamp(out, epoch_micros / 1000);
    out.extend_from_slice(b"\",\"client\":\"");
    write_client(out, client);
    out.push(b'"');
}

fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

fn write_request(out: &mut Vec<u8>, exchange: &Exchange) {
    let request = &exchange.request;
    write_text(out, b"method", request.method_name());
    // Without the query: that is where tokens and personal data travel.
    write_text(out, b"path", request.raw_path.of(request.head.bytes()));
    write_text(out, b"host", &request.host);
    write_text(out, b"protocol", request.protocol.version().as_bytes());
    write_text(out, b"trace_id", trace_id(&request.head).unwrap_or_default());
    write_text(out, b"user_agent", request.head.get_known(tidegate_http1::Known::UserAgent).unwrap_or_default());
}

/// Why the gateway answered itself, or cut an answer off. The detail may name internal addresses: the log is for operators.
fn write_reason(out: &mut Vec<u8>, code: Option<Code>, detail: Option<&str>) {
    let Some(code) = code else { return };
    write_text(out, b"reason", code.word().as_bytes());
    write_text(out, b"detail", detail.unwrap_or_default().as_bytes());
}

fn write_text(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if value.is_empty() {
        return;
    }
    write_name(out, name);
    out.push(b'"');
    write_escaped(out, value);
    out.push(b'"');
}

fn write_number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    write_name(out, name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes microseconds as milliseconds with three places.
fn write_millis(out: &mut Vec<u8>, name: &[u8], micros: u64) {
    write_number(out, name, micros / 1000);
    let rest = micros % 1000;
    let digit = |place: u64| b'0' + (rest / place % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
}
