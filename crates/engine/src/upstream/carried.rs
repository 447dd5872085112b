//! What of an exchange goes to every call that is made for it, and nothing else of its client.
//!
//! The gateway's own word goes along: who calls (the headers that only the gateway may set), the request's id, the trace, and
//! who asked by which way, all as the policies of the route have left them. What is left of the time is told by the call path
//! itself. Of the client's own headers only those go that the document names.

use tidegate_http1::Known;

use crate::exchange::Exchange;
use crate::head::Head;
use crate::plan;
use crate::policies::Local;
use crate::policies::trace_context::{Traceparent, received};
use crate::snapshot::Snapshot;

/// Room for what a call adds: its span and a few fields of its own.
const ROOM_FIELDS: usize = 8;
const ROOM_BYTES: usize = 256;

/// What the policies of a route write that is no header of an identity.
#[derive(Debug, Default)]
pub struct Written {
    request_id: Option<Box<[u8]>>,
    trace: bool,
}

impl Written {
    pub fn compile(policies: &[plan::Policy]) -> Self {
        let mut written = Self::default();
        for policy in policies {
            match policy {
                plan::Policy::RequestId(policy) => written.request_id = Some(policy.header.as_bytes().into()),
                plan::Policy::TraceContext(_) => written.trace = true,
                _ => {}
            }
        }
        written
    }

    fn is_request_id(&self, name: &[u8]) -> bool {
        self.request_id.as_deref().is_some_and(|header| name.eq_ignore_ascii_case(header))
    }
}

/// The fields for all calls of one exchange.
#[derive(Debug)]
pub struct Carried {
    head: Head,
    trace: Option<Traceparent>,
}

impl Carried {
    /// Once the policies have run. `allowed`: names of the client's headers that go along, in lower case.
    pub fn of(exchange: &Exchange, allowed: &[Box<[u8]>]) -> Self {
        Self::of_request(&exchange.request.head, &exchange.snapshot, exchange.route, allowed)
    }

    /// As [`Carried::of`], where only the request is there still.
    pub fn of_request(request: &Head, snapshot: &Snapshot, route: Option<usize>, allowed: &[Box<[u8]>]) -> Self {
        let nothing = Written::default();
        let written = route.map_or(&nothing, |route| &snapshot.routes[route].written);
        let trace = if written.trace { received(request) } else { None };
        let mut head = Head::default();
        for (known, name, value) in request.iter() {
            let goes = match known {
                Known::Forwarded
                | Known::XForwardedFor
                | Known::XForwardedProto
                | Known::XForwardedHost
                | Known::XForwardedPort
                | Known::XRealIp
                | Known::Via => true,
                // Under a span of the call's own.
                Known::Traceparent if trace.is_some() => false,
                Known::Tracestate if trace.is_some() => true,
                _ => {
                    written.is_request_id(name)
                        || snapshot.owned.covers(name)
                        || allowed.iter().any(|allowed| name.eq_ignore_ascii_case(allowed))
                }
            };
            if goes {
                head.add_known(known, name, value);
            }
        }
        Self { head, trace: trace.and_then(|parent| parent.first_chunk().copied()) }
    }

    /// The head of one call, under a span of its own; there is room for a few fields more.
    pub fn head(&self, local: &Local) -> Head {
        let mut head = self.without_trace();
        self.begin_span(local, &mut head);
        head
    }

    /// The same without its span, by which no two calls are alike.
    pub fn without_trace(&self) -> Head {
        self.head.clone_with_room(ROOM_BYTES, ROOM_FIELDS)
    }

    pub fn begin_span(&self, local: &Local, head: &mut Head) {
        if let Some(parent) = &self.trace {
            head.add_known(Known::Traceparent, b"traceparent", &local.child_of(parent));
        }
    }

    /// Adds headers of the client that go to one call alone; `names` are in lower case.
    pub fn allow(exchange: &Exchange, names: &[Box<[u8]>], head: &mut Head) {
        for name in names {
            if head.contains(name) {
                continue;
            }
            exchange.request.head.get_all(name).for_each(|value| head.add(name, value));
        }
    }
}
