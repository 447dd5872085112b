//! JSON with holes, compiled: the answer of a composition, and the body of a call.

use super::document::{Document, MOST_DEPTH};
use super::expression::Cel;
use super::gather::Paths;
use super::keep::write_kept;
use super::place::{Compiler, Frame, Loop, Place, Values, Wanted};
use super::prune::Members;
use super::selection::Selection;
use super::string::write_string;
use super::text::{Part, write_string_of};
use crate::plan::compose;
use crate::problem::Problem;

/// Loops in one another.
const MOST_LOOPS: usize = 8;

/// More than what is written may come to: a loop in a loop makes much of little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

#[derive(Debug)]
pub struct Shape {
    wanted: Wanted,
    node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Constant(Box<[u8]>),
    Value(Place),
    Text(Box<[Part]>),
    Object(Box<[Member]>),
    Array(Box<[Node]>),
    First(Box<[Node]>),
    Only(Place, Members),
    Without(Place, Members),
    ForEach(Box<ForEach>),
    Cel(Box<Cel>),
    /// Made once while loops that it does not depend on go on.
    Kept(usize, Box<Node>),
}

#[derive(Debug)]
pub(super) struct Member {
    name: Box<str>,
    /// As it stands in JSON, with the colon.
    written: Box<[u8]>,
    value: Node,
}

#[derive(Debug)]
pub(super) struct ForEach {
    over: Box<[Place]>,
    items: Box<[Paths]>,
    /// What is made anew for each item.
    kept: Box<[usize]>,
    value: Node,
}

impl Shape {
    pub fn compile(plan: &compose::Shape) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler::default();
        let node = compiler.node(plan);
        match compiler.problems.is_empty() {
            true => Ok(Self { wanted: compiler.wanted, node }),
            false => Err(compiler.problems),
        }
    }

    /// Appends the JSON. Of at most so many bytes; what was appended before that was known stays.
    pub fn write(&self, values: &impl Values, most: usize, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let mut frame = self.wanted.locate(values, out.len().saturating_add(most));
        self.node.write(&mut frame, values, out)
    }

    /// As [`Self::write`], with the selected members alone.
    pub fn write_selected(
        &self,
        selection: &Selection,
        values: &impl Values,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLarge> {
        let mut frame = self.wanted.locate(values, out.len().saturating_add(most));
        self.node.write_selected(&selection.members, &mut frame, values, out)
    }

    /// The calls that it refers to, or that what is selected of it does; in no order, none twice.
    pub fn calls(&self, selection: Option<&Selection>) -> Vec<u16> {
        let mut slots = vec![false; self.wanted.slots];
        let mut calls = Vec::new();
        self.node.visit(selection.map(|selection| &selection.members), &mut slots, &mut calls);
        let asked = self.wanted.calls.iter().filter(|(_, paths)| paths.has_any(&slots));
        calls.extend(asked.map(|(call, _)| *call));
        calls.sort_unstable();
        calls.dedup();
        calls
    }
}

impl Compiler {
    pub(super) fn node(&mut self, plan: &compose::Shape) -> Node {
        let (node, kept) = self.kept(|compiler| compiler.changing(plan));
        match (kept, &node) {
            // These cost no more than what was kept would.
            (_, Node::Constant(_) | Node::Kept(..)) | (None, _) => node,
            (Some(_), Node::Value(Place::Found(_, rest))) if rest.is_empty() => node,
            (Some(slot), _) => Node::Kept(slot, Box::new(node)),
        }
    }

    fn changing(&mut self, plan: &compose::Shape) -> Node {
        use compose::Shape as Plan;
        match plan {
            Plan::Constant(json) => self.constant(json),
            Plan::Value(source) => Node::Value(self.place(source)),
            Plan::Text(parts) => Node::Text(self.string(parts)),
            Plan::Object(members) => {
                Node::Object(members.iter().map(|(name, value)| self.member(name, value)).collect())
            }
            Plan::Array(elements) => Node::Array(elements.iter().map(|element| self.node(element)).collect()),
            Plan::First(choices) => Node::First(choices.iter().map(|choice| self.node(choice)).collect()),
            Plan::Only { from, members } => Node::Only(self.place(from), Members::of(members)),
            Plan::Without { from, members } => Node::Without(self.place(from), Members::of(members)),
            Plan::ForEach { over, value } => self.for_each(over, value),
            Plan::Cel(plan) => match Cel::compile(plan) {
                Ok(cel) => Node::Cel(Box::new(cel)),
                Err(message) => {
                    self.problems.push(Problem::new("", "config.bad_expression", message));
                    Node::Array(Box::default())
                }
            },
        }
    }

    fn constant(&mut self, json: &str) -> Node {
        match Document::parse(json.as_bytes().to_vec(), MOST_DEPTH) {
            Ok(document) => Node::Constant(document.root().bytes().into()),
            Err(_) => {
                self.fault("a constant is no JSON");
                Node::Array(Box::default())
            }
        }
    }

    fn member(&mut self, name: &str, value: &compose::Shape) -> Member {
        let mut written = Vec::with_capacity(name.len() + 3);
        write_string(name.as_bytes(), &mut written);
        written.push(b':');
        Member { name: name.into(), written: written.into(), value: self.node(value) }
    }

    fn for_each(&mut self, over: &[compose::Source], value: &compose::Shape) -> Node {
        let over: Box<[Place]> = over.iter().map(|source| self.list(source)).collect();
        if self.loops.len() == MOST_LOOPS {
            self.fault(format!("more than {MOST_LOOPS} loops in one another"));
            return Node::Array(Box::default());
        }
        let items = over.iter().map(|_| Paths::default()).collect();
        self.loops.push(Loop { items, kept: Vec::new() });
        let value = self.node(value);
        // What is outside does not change with this loop.
        self.depends &= !(1 << self.loops.len());
        let Loop { items, kept } = self.loops.pop().unwrap_or_default();
        Node::ForEach(Box::new(ForEach { over, items: items.into(), kept: kept.into(), value }))
    }
}

impl Node {
    pub(super) fn write<'a>(
        &self,
        frame: &mut Frame<'a>,
        values: &impl Values,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLarge> {
        match self {
            Self::Constant(json) => out.extend_from_slice(json),
            Self::Value(place) => place.write(frame, values, out),
            Self::Text(parts) => write_string_of(parts, frame, values, out),
            Self::Object(members) => {
                out.push(b'{');
                for (at, member) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&member.written);
                    member.value.write(frame, values, out)?;
                }
                out.push(b'}');
            }
            Self::Array(elements) => {
                out.push(b'[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    element.write(frame, values, out)?;
                }
                out.push(b']');
            }
            Self::First(choices) => return write_first(choices, frame, values, out),
            Self::Only(place, members) => prune(place, frame, values, out, |value, out| members.write_only(value, out)),
            Self::Without(place, members) => {
                prune(place, frame, values, out, |value, out| members.write_without(value, out));
            }
            Self::ForEach(each) => return each.write(frame, values, out),
            Self::Cel(cel) => cel.write(values, out),
            Self::Kept(slot, node) => {
                return write_kept(*slot, frame, out, |frame, out| node.write(frame, values, out));
            }
        }
        if out.len() > frame.most { Err(TooLarge) } else { Ok(()) }
    }

    fn write_selected<'a>(
        &self,
        selected: &Members,
        frame: &mut Frame<'a>,
        values: &impl Values,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLarge> {
        match self {
            _ if selected.is_whole() => return self.write(frame, values, out),
            Self::Object(members) => {
                out.push(b'{');
                let mut first = true;
                for member in members {
                    let Some(selected) = selected.member(|wanted| *member.name == *wanted) else { continue };
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    out.extend_from_slice(&member.written);
                    member.value.write_selected(selected, frame, values, out)?;
                }
                out.push(b'}');
            }
            _ => {
                let start = out.len();
                self.write(frame, values, out)?;
                let whole = out.split_off(start);
                selected.write_only(super::Raw::of_checked(&whole), out);
            }
        }
        Ok(())
    }

    /// Marks the slots and lists the calls that are asked for, by all or by what is selected.
    fn visit(&self, selected: Option<&Members>, slots: &mut [bool], calls: &mut Vec<u16>) {
        let mut mark = |place: &Place| {
            if let Place::Found(slot, _) = place {
                slots[*slot] = true;
            }
        };
        match self {
            Self::Constant(_) => {}
            Self::Value(place) | Self::Only(place, _) | Self::Without(place, _) => mark(place),
            Self::Text(parts) => parts.iter().for_each(|part| match part {
                Part::Place(place) => mark(place),
                Part::Text(_) => {}
            }),
            Self::Object(members) => {
                for member in members {
                    match selected.filter(|selected| !selected.is_whole()) {
                        None => member.value.visit(None, slots, calls),
                        Some(selected) => {
                            if let Some(selected) = selected.member(|wanted| *member.name == *wanted) {
                                member.value.visit(Some(selected), slots, calls);
                            }
                        }
                    }
                }
            }
            Self::Array(nodes) | Self::First(nodes) => nodes.iter().for_each(|node| node.visit(None, slots, calls)),
            Self::ForEach(each) => {
                each.over.iter().for_each(mark);
                each.value.visit(None, slots, calls);
            }
            Self::Cel(cel) => calls.extend(cel.calls()),
            Self::Kept(_, node) => node.visit(selected, slots, calls),
        }
    }
}

fn write_first<'a>(
    choices: &[Node],
    frame: &mut Frame<'a>,
    values: &impl Values,
    out: &mut Vec<u8>,
) -> Result<(), TooLarge> {
    let start = out.len();
    for choice in choices {
        out.truncate(start);
        choice.write(frame, values, out)?;
        if out[start..] != *b"null" {
            return Ok(());
        }
    }
    out.truncate(start);
    out.extend_from_slice(b"null");
    Ok(())
}

/// Appends what `write` leaves of a value.
fn prune(
    place: &Place,
    frame: &Frame<'_>,
    values: &impl Values,
    out: &mut Vec<u8>,
    write: impl Fn(super::Raw<'_>, &mut Vec<u8>),
) {
    match place.raw(frame) {
        Some(value) => write(value, out),
        None => {
            let mut whole = Vec::new();
            place.write(frame, values, &mut whole);
            write(super::Raw::of_checked(&whole), out);
        }
    }
}

impl ForEach {
    fn write<'a>(&self, frame: &mut Frame<'a>, values: &impl Values, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let mut lists: Vec<_> = self.over.iter().map(|place| place.list(frame)).collect();
        if lists.iter().all(Option::is_none) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let around = frame.index;
        out.push(b'[');
        for index in 0.. {
            let mut some = false;
            for (list, paths) in lists.iter_mut().zip(&self.items) {
                let item = list.as_mut().and_then(Iterator::next);
                some |= item.is_some();
                paths.locate(item.flatten(), &mut frame.slots);
            }
            if !some {
                break;
            }
            if index > 0 {
                out.push(b',');
            }
            frame.index = index;
            self.kept.iter().for_each(|slot| frame.kept[*slot] = None);
            self.value.write(frame, values, out)?;
        }
        frame.index = around;
        out.push(b']');
        Ok(())
    }
}
