//! The request of a call, made of what the client and earlier answers say.
//!
//! A value can be more than a value nowhere: in a path it is one segment's content, percent-encoded, and never a dot segment; in
//! a query it is one parameter's; a header keeps to its line. Where a path would have a hole there is no request.

use super::place::{Compiler, Frame, List, Loop, Place, Values, Wanted};
use super::raw::{Kind, Raw};
use super::shape::{Node, TooLarge};
use super::text::{Part, write_number};
use crate::path::PathError;
use crate::plan::compose;
use crate::plan::{Reference, Secret};
use crate::problem::Problem;
use crate::template::{RenderError, Values as _, escape_header, escape_percent, finish_path, write_value};

/// Bytes of a target, and of a header; what makes more of them is no request.
const MOST_BYTES: usize = 64 << 10;

/// Why there is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// A value in the path is missing, empty, `null`, or neither a text, nor a number, nor a truth.
    Missing,
    /// The values do not make a path.
    Path(RenderError),
    /// The target, a header or the body would be too long.
    TooLong,
}

#[derive(Debug)]
pub struct Request {
    wanted: Wanted,
    path: Box<[Part]>,
    query: Box<[Field]>,
    headers: Box<[Field]>,
    body: Option<Node>,
    over: Option<Place>,
    each: Option<Loop>,
}

/// The name of a parameter or header, and its value.
type Field = (Box<[u8]>, Box<[Part]>);

/// What one call found in the answers before it.
#[derive(Debug)]
pub struct RequestFrame<'a>(Frame<'a>);

impl Request {
    pub fn compile(plan: &compose::Call) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler::default();
        let over = plan.for_each.as_ref().map(|each| compiler.list(&each.over));
        if over.is_some() {
            compiler.loops.push(Loop { items: vec![Default::default()], kept: Vec::new() });
        }
        check_path(&plan.path, &mut compiler);
        let path = compiler.text(&plan.path, |text, out| out.extend_from_slice(text));
        let fields =
            |compiler: &mut Compiler, fields: &[(String, Vec<compose::Part>)], encode: fn(&[u8], &mut Vec<u8>)| {
                let field = |(name, parts): &(String, Vec<compose::Part>)| {
                    let mut written = Vec::new();
                    encode(name.as_bytes(), &mut written);
                    (written.into(), compiler.text(parts, encode))
                };
                fields.iter().map(field).collect()
            };
        let query = fields(&mut compiler, &plan.query, encode_percent);
        let headers = fields(&mut compiler, &plan.headers, encode_header);
        let body = plan.body.as_ref().map(|shape| compiler.node(shape));
        let each = if over.is_some() { compiler.loops.pop() } else { None };
        match compiler.problems.is_empty() {
            true => Ok(Self { wanted: compiler.wanted, path, query, headers, body, over, each }),
            false => Err(compiler.problems),
        }
    }

    /// Finds what it needs of the answers that are there.
    pub fn locate<'a>(&self, values: &'a impl Values) -> RequestFrame<'a> {
        RequestFrame(self.wanted.locate(values, usize::MAX))
    }

    /// The items of a `for_each`; those that are not there are `null`. `None` where there is no list.
    pub fn items<'a, 'p>(&'p self, frame: &RequestFrame<'a>) -> Option<Items<'a, 'p>> {
        Some(Items(self.over.as_ref()?.list(&frame.0)?))
    }

    /// What follows is for this item.
    pub fn set_item<'a>(&self, frame: &mut RequestFrame<'a>, item: Raw<'a>, index: usize) {
        let Some(each) = &self.each else { return };
        each.items.iter().for_each(|paths| paths.locate(Some(item), &mut frame.0.slots));
        each.kept.iter().for_each(|slot| frame.0.kept[*slot] = None);
        frame.0.index = index;
    }

    /// Appends the path and query; on an error nothing.
    pub fn write_target(&self, frame: &RequestFrame<'_>, values: &impl Values, out: &mut Vec<u8>) -> Result<(), Hole> {
        let start = out.len();
        let written = self.write_path(&frame.0, values, out).and_then(|()| self.write_query(&frame.0, values, out));
        let written = written.and_then(|()| bounded(out, start));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write_path(&self, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) -> Result<(), Hole> {
        let start = out.len();
        for part in &self.path {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Place(place) => write_segment(place, frame, values, out)?,
            }
        }
        bounded(out, start)?;
        match finish_path(out, start, true) {
            // Escaped, as all that comes from a value: it is the service's to know what a line's end in a name means.
            Err(RenderError::Path(PathError::Control)) => Ok(()),
            written => written.map_err(Hole::Path),
        }
    }

    fn write_query(&self, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) -> Result<(), Hole> {
        let start = out.len();
        for (name, parts) in &self.query {
            let write_name = |out: &mut Vec<u8>| {
                out.push(if out.len() == start { b'?' } else { b'&' });
                out.extend_from_slice(name);
                out.push(b'=');
            };
            match &**parts {
                [Part::Place(place)] => write_parameters(place, frame, values, out, &write_name)?,
                parts => {
                    write_name(out);
                    for part in parts {
                        match part {
                            Part::Text(text) => out.extend_from_slice(text),
                            Part::Place(place) => drop(write_encoded(place, frame, values, out)),
                        }
                    }
                }
            }
            bounded(out, start)?;
        }
        Ok(())
    }

    /// Calls `add` with each header that has a value; one whose only part has none is left out.
    pub fn write_headers(
        &self,
        frame: &RequestFrame<'_>,
        values: &impl Values,
        mut add: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Hole> {
        let mut value = Vec::new();
        for (name, parts) in &self.headers {
            value.clear();
            let mut some = parts.len() != 1;
            for part in parts {
                match part {
                    Part::Text(text) => {
                        value.extend_from_slice(text);
                        some = true;
                    }
                    Part::Place(place) => {
                        some |= write_line(place, &frame.0, values, &mut value);
                        bounded(&value, 0)?;
                    }
                }
            }
            escape_header(&mut value, 0);
            if some {
                add(name, value.trim_ascii());
            }
        }
        Ok(())
    }

    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Appends the body: nothing where there is none. Of at most so many bytes.
    pub fn write_body<'a>(
        &self,
        frame: &mut RequestFrame<'a>,
        values: &impl Values,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Hole> {
        let Some(body) = &self.body else { return Ok(()) };
        frame.0.most = out.len().saturating_add(most);
        body.write(&mut frame.0, values, out).map_err(|TooLarge| Hole::TooLong)
    }
}

/// The items of a `for_each`.
pub struct Items<'a, 'p>(List<'a, 'p>);

impl<'a> Iterator for Items<'a, '_> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        self.0.next().map(|item| item.unwrap_or(Raw::NULL))
    }
}

fn bounded(out: &[u8], start: usize) -> Result<(), Hole> {
    if out.len() - start > MOST_BYTES { Err(Hole::TooLong) } else { Ok(()) }
}

fn encode_percent(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    escape_percent(out, start);
}

fn encode_header(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text);
}

/// The author's own words in a path: they are sent as they are.
fn check_path(parts: &[compose::Part], compiler: &mut Compiler) {
    let texts = || {
        let text = |part: &compose::Part| match part {
            compose::Part::Text(text) => Some(text.clone()),
            compose::Part::Source(_) => None,
        };
        parts.iter().filter_map(text)
    };
    if !matches!(parts.first(), Some(compose::Part::Text(text)) if text.starts_with('/')) {
        compiler.fault("the path of a call begins with `/`");
    }
    if texts().any(|text: Secret| text.contains(['?', '#'])) {
        compiler.fault("the path of a call has no `?` and no `#`: use `query`");
    }
    if texts().any(|text| !text.bytes().all(|byte| byte.is_ascii_graphic())) {
        compiler.fault("spaces and characters outside ASCII must be percent-encoded in a path");
    }
    // Each reference with a sound value: what is wrong now is wrong for ever.
    let mut path = Vec::new();
    for part in parts {
        match part {
            compose::Part::Text(text) => path.extend_from_slice(text.as_bytes()),
            compose::Part::Source(_) => path.push(b'x'),
        }
    }
    let written = path.clone();
    match finish_path(&mut path, 0, true) {
        Err(error) => compiler.fault(format!("the path of a call: {error}")),
        Ok(()) if path != written => {
            compiler.fault("the path of a call has doubled slashes, dots to resolve or escapes that are not needed");
        }
        Ok(()) => {}
    }
}

/// Appends one value of a path.
fn write_segment(place: &Place, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) -> Result<(), Hole> {
    let start = out.len();
    match place {
        // These are normal already, and stay as the route saw them.
        Place::Request(Reference::Path(name)) => {
            out.extend_from_slice(values.exchange().capture(name).unwrap_or_default());
        }
        Place::Request(Reference::RequestPath) => {
            let path = &values.exchange().request.path;
            out.extend_from_slice(path);
        }
        place => {
            let scalar = write_encoded(place, frame, values, out);
            if !scalar {
                return Err(Hole::Missing);
            }
        }
    }
    if out.len() == start { Err(Hole::Missing) } else { Ok(()) }
}

/// Appends a value, percent-encoded; whether it is a text, a number or a truth. Lists and objects are their JSON.
fn write_encoded(place: &Place, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let scalar = write_plain(place, frame, values, out);
    escape_percent(out, start);
    scalar
}

/// As [`write_encoded`], as it is.
fn write_plain(place: &Place, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) -> bool {
    match place {
        Place::Request(reference) => {
            let start = out.len();
            write_value(reference, values.exchange(), out);
            out.len() > start
        }
        Place::Index => {
            write_number(frame.index, out);
            true
        }
        Place::Found(slot, rest) if !rest.is_empty() => {
            if frame.slots[*slot].is_some() {
                place.write(frame, values, out);
            }
            false
        }
        Place::Found(slot, _) => match frame.slots[*slot] {
            Some(value) => {
                value.write_text(out);
                is_scalar(value)
            }
            None => false,
        },
    }
}

fn is_scalar(value: Raw<'_>) -> bool {
    matches!(value.kind(), Kind::String | Kind::Number | Kind::Bool)
}

/// Appends a parameter for a value, or for each of a list; none for what is `null` or not there.
fn write_parameters(
    place: &Place,
    frame: &Frame<'_>,
    values: &impl Values,
    out: &mut Vec<u8>,
    write_name: &impl Fn(&mut Vec<u8>),
) -> Result<(), Hole> {
    let Some(list) = place.list(frame) else {
        let before = out.len();
        write_name(out);
        let start = out.len();
        let scalar = write_encoded(place, frame, values, out);
        if !scalar && out.len() == start {
            out.truncate(before);
        }
        return Ok(());
    };
    let first = out.len();
    for value in list.flatten().filter(|value| !value.is_null()) {
        write_name(out);
        let start = out.len();
        value.write_text(out);
        escape_percent(out, start);
        bounded(out, first)?;
    }
    Ok(())
}

/// Appends a value of a header: that of a list is its values with commas between. Whether there is one.
fn write_line(place: &Place, frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let Some(list) = place.list(frame) else {
        let scalar = write_plain(place, frame, values, out);
        return scalar || out.len() > start;
    };
    for value in list.flatten().filter(|value| !value.is_null()) {
        if out.len() > start {
            out.push(b',');
        }
        value.write_text(out);
        if out.len() - start > MOST_BYTES {
            break;
        }
    }
    out.len() > start
}
