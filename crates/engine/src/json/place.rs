//! Where a value comes from, found out at load; and what is known of one answer while it is put together.

use super::gather::Paths;
use super::raw::{Items, Kind, Raw, Step};
use super::string::{write_content, write_string};
use super::text::write_number;
use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::plan::Reference;
use crate::plan::compose::Source;
use crate::problem::Problem;
use crate::template::{escape_json, write_value};

/// What references name.
pub trait Values {
    /// The answer of a call; `None` where there is none, which reads as `null`.
    fn call(&self, index: u16) -> Option<Raw<'_>>;
    /// The client's body.
    fn body(&self) -> Option<Raw<'_>>;
    fn exchange(&self) -> &Exchange;
}

/// A source, compiled.
#[derive(Debug)]
pub(super) enum Place {
    Request(Reference),
    /// In this slot; what is left of its path begins with a `*`.
    Found(usize, Box<[Step]>),
    Index,
}

/// What was found for one answer or request, and what was made of it that is needed again.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) slots: Vec<Option<Raw<'a>>>,
    pub(super) kept: Vec<Option<Vec<u8>>>,
    /// Of the innermost loop.
    pub(super) index: usize,
    /// The length that what is written may come to.
    pub(super) most: usize,
}

/// The paths that a shape or a request asks for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) calls: Vec<(u16, Paths)>,
    pub(super) body: Paths,
    pub(super) slots: usize,
    pub(super) kept: usize,
}

impl Wanted {
    pub(super) fn locate<'a>(&self, values: &'a impl Values, most: usize) -> Frame<'a> {
        let mut slots = vec![None; self.slots];
        for (call, paths) in &self.calls {
            paths.locate(values.call(*call), &mut slots);
        }
        self.body.locate(values.body(), &mut slots);
        Frame { slots, kept: vec![None; self.kept], index: 0, most }
    }
}

/// Compiles sources; knows the loops around.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    pub(super) wanted: Wanted,
    pub(super) loops: Vec<Loop>,
    /// The loops that what is being compiled depends on, a bit each: 2 for the outermost.
    pub(super) depends: u64,
    pub(super) problems: Vec<Problem>,
}

/// A loop around what is being compiled.
#[derive(Debug, Default)]
pub(super) struct Loop {
    pub(super) items: Vec<Paths>,
    /// What depends on this loop and none inside of it, and is kept while it stands still.
    pub(super) kept: Vec<usize>,
}

impl Compiler {
    pub(super) fn place(&mut self, source: &Source) -> Place {
        match source {
            Source::Request(reference) => Place::Request(reference.clone()),
            Source::Index => {
                if self.loops.is_empty() {
                    self.fault("there is no loop around that has an index");
                }
                self.depends |= 1 << self.loops.len();
                Place::Index
            }
            Source::Call(call, steps) => {
                let known = self.wanted.calls.iter().position(|(known, _)| known == call);
                let at = known.unwrap_or_else(|| {
                    self.wanted.calls.push((*call, Paths::default()));
                    self.wanted.calls.len() - 1
                });
                found(&mut self.wanted.calls[at].1, steps, &mut self.wanted.slots)
            }
            Source::Body(steps) => found(&mut self.wanted.body, steps, &mut self.wanted.slots),
            Source::Item(item, steps) => {
                let mut item = usize::from(*item);
                for (at, around) in self.loops.iter_mut().enumerate() {
                    match item.checked_sub(around.items.len()) {
                        Some(less) => item = less,
                        None => {
                            self.depends |= 2 << at;
                            return found(&mut around.items[item], steps, &mut self.wanted.slots);
                        }
                    }
                }
                self.fault("there is no loop around that has this item");
                Place::Index
            }
        }
    }

    /// As [`Self::place`], of a list to go through.
    pub(super) fn list(&mut self, source: &Source) -> Place {
        let place = self.place(source);
        match &place {
            Place::Found(_, rest) if rest.iter().filter(|step| **step == Step::Each).count() <= 1 => {}
            Place::Found(..) => self.fault("a loop runs over a path with one `*` at most"),
            Place::Request(_) | Place::Index => self.fault("a loop runs over a list in JSON"),
        }
        place
    }

    pub(super) fn fault(&mut self, message: impl Into<String>) {
        self.problems.push(Problem::new("", "config.bad_shape", message));
    }
}

fn found(paths: &mut Paths, steps: &[String], slots: &mut usize) -> Place {
    let path = Step::path(steps);
    let slot = paths.add(&path, slots);
    let each = path.iter().position(|step| *step == Step::Each).unwrap_or(path.len());
    Place::Found(slot, path[each..].into())
}

/// What a loop runs over.
pub(super) struct List<'a, 'p> {
    items: Items<'a>,
    /// From each item on.
    rest: &'p [Step],
}

impl<'a> Iterator for List<'a, '_> {
    type Item = Option<Raw<'a>>;

    fn next(&mut self) -> Option<Option<Raw<'a>>> {
        self.items.next().map(|item| item.get(self.rest))
    }
}

impl Place {
    /// The value as it stands; `None` where there is none, or none in one piece.
    pub(super) fn raw<'a>(&self, frame: &Frame<'a>) -> Option<Raw<'a>> {
        match self {
            Self::Found(slot, rest) if rest.is_empty() => frame.slots[*slot],
            _ => None,
        }
    }

    /// `None` where there is no array.
    pub(super) fn list<'a, 'p>(&'p self, frame: &Frame<'a>) -> Option<List<'a, 'p>> {
        let Self::Found(slot, rest) = self else { return None };
        let array = frame.slots[*slot].filter(|value| value.kind() == Kind::Array)?;
        Some(List { items: array.items(), rest: rest.get(1..).unwrap_or_default() })
    }

    /// Appends the value as JSON.
    pub(super) fn write(&self, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) {
        match self {
            Self::Request(reference) => write_request(reference, values.exchange(), out),
            Self::Found(slot, rest) => write_rest(frame.slots[*slot], rest, out),
            Self::Index => write_number(frame.index, out),
        }
    }

    /// Appends the value as the content of a string.
    pub(super) fn write_in_string(&self, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) {
        let start = out.len();
        match (self, self.raw(frame)) {
            (Self::Request(reference), _) => {
                write_value(reference, values.exchange(), out);
                escape_json(out, start);
            }
            (Self::Index, _) => write_number(frame.index, out),
            (Self::Found(..), Some(value)) => match value.string() {
                Some(content) => out.extend_from_slice(content),
                None if value.is_null() => {}
                None => write_content(value.bytes(), out),
            },
            (Self::Found(slot, rest), None) => {
                if frame.slots[*slot].is_some() && !rest.is_empty() {
                    write_rest(frame.slots[*slot], rest, out);
                    escape_json(out, start);
                }
            }
        }
    }
}

/// Appends what is at the end of a path that begins with a `*`, from a value on.
fn write_rest(value: Option<Raw<'_>>, rest: &[Step], out: &mut Vec<u8>) {
    match (value, rest.split_first()) {
        (Some(value), None) => out.extend_from_slice(value.bytes()),
        (Some(value), Some((_, rest))) if value.kind() == Kind::Array => {
            let each = rest.iter().position(|step| *step == Step::Each).unwrap_or(rest.len());
            out.push(b'[');
            for (at, item) in value.items().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_rest(item.get(rest), &rest[each..], out);
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// Appends what a request says, as JSON: claims as they are, tags as a list, all else as a string; `null` for what is empty.
fn write_request(reference: &Reference, exchange: &Exchange, out: &mut Vec<u8>) {
    let identity = exchange.identity.as_deref();
    match reference {
        Reference::Claims(path) => {
            let claim = identity.and_then(|identity| identity.claim(path));
            let written = claim.is_some_and(|claim| serde_json::to_writer(&mut *out, &claim).is_ok());
            if !written {
                out.extend_from_slice(b"null");
            }
        }
        Reference::ConsumerTags => write_tags(identity, out),
        _ => {
            out.push(b'"');
            let start = out.len();
            write_value(reference, exchange, out);
            if out.len() == start {
                out.truncate(start - 1);
                return out.extend_from_slice(b"null");
            }
            escape_json(out, start);
            out.push(b'"');
        }
    }
}

fn write_tags(identity: Option<&Identity>, out: &mut Vec<u8>) {
    let consumer = identity.and_then(|identity| identity.consumer.as_deref());
    out.push(b'[');
    for (at, tag) in consumer.into_iter().flat_map(|consumer| &consumer.tags).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(tag.as_bytes(), out);
    }
    out.push(b']');
}
