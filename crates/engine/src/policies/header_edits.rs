//! Remove, set, add: what `request_headers` and `response_headers` share.

use tidegate_http1::{Known, is_field_value, is_token};

use crate::exchange::Exchange;
use crate::head::Head;
use crate::plan;
use crate::policies::trust::{is_alias, is_mark};
use crate::problem::{self, Problem};
use crate::template::{Destination, Template};

pub(super) struct HeaderEdits {
    remove: Box<[Name]>,
    set: Box<[Edit]>,
    add: Box<[Edit]>,
}

struct Name {
    name: Box<[u8]>,
    /// In lower case with `-` for `_` and `.`, where a service may take other spellings for this name; empty where none can.
    folded: Box<[u8]>,
}

struct Edit {
    name: Name,
    value: Template,
    /// What is there under that name goes.
    replaces: bool,
}

impl HeaderEdits {
    pub(super) fn compile(plan: &plan::HeaderEdits) -> Result<Self, Vec<Problem>> {
        let remove =
            |(index, name): (usize, &String)| check_name(name, || format!("remove[{index}]")).map(|()| Name::new(name));
        let set = |(index, value): (usize, &plan::HeaderValue)| {
            // Several values that are set under one name all stay: only the first replaces.
            let replaces = plan.set[..index].iter().all(|before| before.name != value.name);
            Edit::compile(value, replaces, || format!("set[{index}]"))
        };
        let add = |(index, value)| Edit::compile(value, false, || format!("add[{index}]"));
        let remove = problem::all(plan.remove.iter().enumerate().map(remove));
        let set = problem::all(plan.set.iter().enumerate().map(set));
        let add = problem::all(plan.add.iter().enumerate().map(add));
        match (remove, set, add) {
            (Ok(remove), Ok(set), Ok(add)) => Ok(Self { remove, set, add }),
            (remove, set, add) => Err([remove.err(), set.err(), add.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// Carries the edits out on the head that `head` picks. Values are made of the request as it is at that moment.
    pub(super) fn apply(&self, exchange: &mut Exchange, head: fn(&mut Exchange) -> &mut Head) {
        for name in &self.remove {
            self.take_out(name, head(exchange));
        }
        for edit in self.set.iter().chain(&self.add) {
            edit.apply(self, exchange, head);
        }
    }

    /// Removes a field, with what CGI and WSGI servers take for it: where `x-user` is ours, `X_User` is not the client's.
    fn take_out(&self, name: &Name, head: &mut Head) {
        head.remove(&name.name);
        if name.folded.is_empty() {
            return;
        }
        // A spelling that this policy writes itself may be from an edit before.
        let ours =
            |found: &[u8]| self.set.iter().chain(&self.add).any(|edit| edit.name.name.eq_ignore_ascii_case(found));
        head.retain(|_, found, _| !is_alias(found, &name.folded) || ours(found));
    }
}

impl Name {
    fn new(name: &str) -> Self {
        let folded = if name.bytes().any(|byte| is_mark(&byte)) { name.to_ascii_lowercase() } else { String::new() };
        Self { name: name.as_bytes().into(), folded: folded.into_bytes().into() }
    }
}

impl Edit {
    fn compile(plan: &plan::HeaderValue, replaces: bool, place: impl Fn() -> String) -> Result<Self, Problem> {
        check_name(&plan.name, &place)?;
        let value = Template::compile(&plan.value, Destination::Header)
            .map_err(|message| Problem::new(place(), "config.bad_header", message))?;
        Ok(Self { name: Name::new(&plan.name), value, replaces })
    }

    /// A value that is not fit for a field is not written: a reference may bring anything a client can send, decoded.
    fn apply(&self, edits: &HeaderEdits, exchange: &mut Exchange, head: fn(&mut Exchange) -> &mut Head) {
        let mut value = std::mem::take(&mut exchange.scratch);
        value.clear();
        // Only templates of paths can fail.
        let _ = self.value.render(exchange, &mut value);
        if self.replaces {
            edits.take_out(&self.name, head(exchange));
        }
        let trimmed = value.trim_ascii();
        if is_field_value(trimmed) {
            head(exchange).add(&self.name.name, trimmed);
        }
        exchange.scratch = value;
    }
}

/// Framing, `Host` and connection fields are rebuilt by the engine for every message and cannot be edited.
fn check_name(name: &str, place: impl Fn() -> String) -> Result<(), Problem> {
    let known = Known::of(name.as_bytes());
    if known.is_framing() || known.is_hop_by_hop() || known == Known::Host || !is_token(name.as_bytes()) {
        return Err(Problem::new(place(), "config.bad_header", format!("`{name}` is not a header that can be edited")));
    }
    Ok(())
}
