//! The text of one value, and the way to the values inside.

use super::scan::{skip, skip_string, space};
use super::string;

/// The text of one value, of a [`super::Document`]: no whitespace around, nothing copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a [u8]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// One step of a path into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Member(Box<str>),
    /// Digits: the index of an element, and the name of a member.
    Index(usize, Box<str>),
    /// Every element.
    Each,
}

impl Step {
    pub fn of(step: &str) -> Self {
        match step {
            "*" => Self::Each,
            _ => match step.parse() {
                Ok(index) if step == "0" || !step.starts_with(['0', '+']) => Self::Index(index, step.into()),
                _ => Self::Member(step.into()),
            },
        }
    }

    pub fn path(steps: &[String]) -> Box<[Self]> {
        steps.iter().map(|step| Self::of(step)).collect()
    }
}

impl<'a> Raw<'a> {
    pub const NULL: Raw<'static> = Raw(b"null");

    pub(super) fn of_checked(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The last member of that name; `None` for all but objects.
    pub fn member(self, name: &str) -> Option<Raw<'a>> {
        self.members().filter(|(key, _)| key.is(name)).last().map(|(_, value)| value)
    }

    /// `None` for all but arrays.
    pub fn element(self, index: usize) -> Option<Raw<'a>> {
        self.items().nth(index)
    }

    /// The value at the end of a path; at `*` it stops: the array is the value, the rest of the path is for its elements.
    pub fn get(self, path: &[Step]) -> Option<Raw<'a>> {
        path.iter().take_while(|step| **step != Step::Each).try_fold(self, |value, step| match step {
            Step::Member(name) => value.member(name),
            Step::Index(_, name) if value.kind() == Kind::Object => value.member(name),
            Step::Index(index, _) => value.element(*index),
            Step::Each => None,
        })
    }

    /// The elements of an array; none of anything else.
    pub fn items(self) -> Items<'a> {
        let text = if self.kind() == Kind::Array { self.0 } else { b"" };
        Items { text, at: space(text, 1) }
    }

    /// The members of an object in their order, with all of one name; none of anything else.
    pub fn members(self) -> Members<'a> {
        let text = if self.kind() == Kind::Object { self.0 } else { b"" };
        Members { text, at: space(text, 1) }
    }

    /// The content of a string, between its quotes and with its escapes; `None` for anything else.
    pub(super) fn string(self) -> Option<&'a [u8]> {
        match self.0 {
            [b'"', content @ .., b'"'] => Some(content),
            _ => None,
        }
    }

    /// Appends a value as text: that of a string, else what stands there; nothing for `null`.
    pub fn write_text(self, out: &mut Vec<u8>) {
        match self.string() {
            Some(content) => string::unescape(content, out),
            None if self.is_null() => {}
            None => out.extend_from_slice(self.0),
        }
    }
}

/// A member's name as it stands there.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    pub fn is(self, name: &str) -> bool {
        // What has escapes is longer than what it stands for.
        match self.0.len() > name.len() {
            true => string::has_escapes(self.0) && string::equals(self.0, name),
            false => self.0 == name.as_bytes() && !string::has_escapes(self.0),
        }
    }

    /// What it stands for.
    pub fn text(self) -> String {
        let mut text = Vec::with_capacity(self.0.len());
        string::unescape(self.0, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// With its escapes, without quotes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

#[derive(Debug, Clone)]
pub struct Items<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let start = self.at;
        if matches!(self.text.get(start), None | Some(b']')) {
            return None;
        }
        let end = skip(self.text, start);
        self.at = next(self.text, end);
        Some(Raw(&self.text[start..end]))
    }
}

#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Name<'a>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let quote = self.at;
        if self.text.get(quote) != Some(&b'"') {
            return None;
        }
        let behind = skip_string(self.text, quote + 1);
        let start = space(self.text, space(self.text, behind) + 1);
        let end = skip(self.text, start);
        self.at = next(self.text, end);
        Some((Name(&self.text[quote + 1..behind - 1]), Raw(self.text.get(start..end)?)))
    }
}

/// Where the next element or member begins; at the closing bracket when there is none.
fn next(text: &[u8], end: usize) -> usize {
    let at = space(text, end);
    match text.get(at) {
        Some(b',') => space(text, at + 1),
        _ => at,
    }
}
