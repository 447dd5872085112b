//! Remove, set, add: what `request_headers` and `response_headers` share.

use tidegate_http1::{Known, is_field_value};

use crate::exchange::Exchange;
use crate::head::Head;
use crate::plan;
use crate::template::{Destination, Template};

pub(super) struct HeaderEdits {
    remove: Box<[Box<[u8]>]>,
    set: Box<[Edit]>,
    add: Box<[Edit]>,
}

struct Edit {
    name: Box<[u8]>,
    value: Template,
}

impl HeaderEdits {
    pub(super) fn compile(plan: &plan::HeaderEdits) -> Self {
        Self {
            remove: plan.remove.iter().filter(|name| is_free(name)).map(|name| name.as_bytes().into()).collect(),
            set: plan.set.iter().filter_map(Edit::compile).collect(),
            add: plan.add.iter().filter_map(Edit::compile).collect(),
        }
    }

    /// Carries the edits out on the head that `head` picks. Values are made of the request as it is at that moment.
    pub(super) fn apply(&self, exchange: &mut Exchange, head: fn(&mut Exchange) -> &mut Head) {
        for name in &self.remove {
            head(exchange).remove(name);
        }
        for edit in &self.set {
            edit.with_value(exchange, |exchange, value| head(exchange).set(&edit.name, value));
        }
        for edit in &self.add {
            edit.with_value(exchange, |exchange, value| head(exchange).add(&edit.name, value));
        }
    }
}

impl Edit {
    fn compile(plan: &plan::HeaderValue) -> Option<Self> {
        let value = Template::compile(&plan.value, Destination::Header).ok()?;
        is_free(&plan.name).then(|| Self { name: plan.name.as_bytes().into(), value })
    }

    /// Makes the value in the exchange's scratch buffer. A value that is not fit for a field is not written at all: a
    /// reference may bring anything a client can send, decoded.
    fn with_value(&self, exchange: &mut Exchange, write: impl FnOnce(&mut Exchange, &[u8])) {
        let mut value = std::mem::take(&mut exchange.scratch);
        value.clear();
        let _ = self.value.render(exchange, &mut value);
        if is_field_value(&value) {
            write(exchange, value.trim_ascii());
        }
        exchange.scratch = value;
    }
}

/// Framing, `Host` and connection fields are rebuilt by the engine and cannot be edited; the loader says so to the user.
fn is_free(name: &str) -> bool {
    let known = Known::of(name.as_bytes());
    !(known.is_framing() || known.is_hop_by_hop() || known == Known::Host)
}
