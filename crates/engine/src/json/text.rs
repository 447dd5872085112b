//! Texts with values in them.

use super::place::{Compiler, Frame, Place, Values};
use super::string::write_content;
use crate::plan::compose;

/// A part of a text.
#[derive(Debug)]
pub(super) enum Part {
    Text(Box<[u8]>),
    Place(Place),
}

impl Compiler {
    /// Compiles a text; `encode` makes the author's own words fit where they go.
    pub(super) fn text(&mut self, parts: &[compose::Part], encode: impl Fn(&[u8], &mut Vec<u8>)) -> Box<[Part]> {
        let part = |part: &compose::Part| match part {
            compose::Part::Text(text) => {
                let mut encoded = Vec::with_capacity(text.len());
                encode(text.as_bytes(), &mut encoded);
                Part::Text(encoded.into())
            }
            compose::Part::Source(source) => Part::Place(self.place(source)),
        };
        parts.iter().map(part).collect()
    }

    /// As [`Self::text`], for the content of a string.
    pub(super) fn string(&mut self, parts: &[compose::Part]) -> Box<[Part]> {
        self.text(parts, write_content)
    }
}

/// Appends a string, with its quotes. What is `null` or not there is empty, a list or an object its JSON.
pub(super) fn write_string_of(parts: &[Part], frame: &Frame<'_>, values: &impl Values, out: &mut Vec<u8>) {
    out.push(b'"');
    for part in parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Place(place) => place.write_in_string(frame, values, out),
        }
    }
    out.push(b'"');
}

pub(super) fn write_number(number: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
