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
    /// What is there under that name goes.
    replaces: bool,
}

impl HeaderEdits {
    pub(super) fn compile(plan: &plan::HeaderEdits) -> Self {
        Self {
            remove: plan.remove.iter().filter(|name| is_free(name)).map(|name| name.as_bytes().into()).collect(),
            set: (0..plan.set.len()).filter_map(|index| Edit::compile_set(&plan.set[..=index])).collect(),
            add: plan.add.iter().filter_map(|value| Edit::compile(value, false)).collect(),
        }
    }

    /// Carries the edits out on the head that `head` picks. Values are made of the request as it is at that moment.
    pub(super) fn apply(&self, exchange: &mut Exchange, head: fn(&mut Exchange) -> &mut Head) {
        for name in &self.remove {
            head(exchange).remove(name);
        }
        for edit in self.set.iter().chain(&self.add) {
            edit.apply(exchange, head);
        }
    }
}

impl Edit {
    /// Compiles the last of these. Several values that are set under one name all stay: only the first replaces.
    fn compile_set(values: &[plan::HeaderValue]) -> Option<Self> {
        let (last, before) = values.split_last()?;
        Self::compile(last, before.iter().all(|value| value.name != last.name))
    }

    fn compile(plan: &plan::HeaderValue, replaces: bool) -> Option<Self> {
        let value = Template::compile(&plan.value, Destination::Header).ok()?;
        is_free(&plan.name).then(|| Self { name: plan.name.as_bytes().into(), value, replaces })
    }

    /// A value that is not fit for a field is not written: a reference may bring anything a client can send, decoded.
    fn apply(&self, exchange: &mut Exchange, head: fn(&mut Exchange) -> &mut Head) {
        let mut value = std::mem::take(&mut exchange.scratch);
        value.clear();
        // Only templates of paths can fail.
        let _ = self.value.render(exchange, &mut value);
        if self.replaces {
            head(exchange).remove(&self.name);
        }
        if is_field_value(&value) {
            head(exchange).add(&self.name, value.trim_ascii());
        }
        exchange.scratch = value;
    }
}

/// Framing, `Host` and connection fields are rebuilt by the engine and cannot be edited; the loader says so to the user.
fn is_free(name: &str) -> bool {
    let known = Known::of(name.as_bytes());
    !(known.is_framing() || known.is_hop_by_hop() || known == Known::Host)
}
