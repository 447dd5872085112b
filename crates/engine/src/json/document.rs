//! A text that was found to be JSON.

use bytes::Bytes;

use super::raw::Raw;
use super::scan;

/// No document is nested deeper, whatever the plan says.
pub const MOST_DEPTH: usize = 512;

/// Why a text is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    NotJson,
    TooDeep,
}

/// JSON, checked. A clone shares the text.
#[derive(Debug, Clone)]
pub struct Document {
    /// One value, without whitespace around.
    text: Bytes,
}

impl Document {
    /// Checks a text: one value and nothing beside it, in UTF-8, nested at most so deep (an array of numbers is one level).
    pub fn parse(text: impl Into<Bytes>, most_depth: usize) -> Result<Self, Fault> {
        let text = text.into();
        std::str::from_utf8(&text).map_err(|_| Fault::NotJson)?;
        let (start, end) = scan::check(&text, most_depth)?;
        let whole = start == 0 && end == text.len();
        Ok(Self { text: if whole { text } else { text.slice(start..end) } })
    }

    pub fn null() -> Self {
        Self { text: Bytes::from_static(b"null") }
    }

    pub fn root(&self) -> Raw<'_> {
        Raw::of_checked(&self.text)
    }
}

/// Makes an array of values.
#[derive(Debug, Default)]
pub struct ArrayBuilder {
    text: Vec<u8>,
}

impl ArrayBuilder {
    /// With room for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes) }
    }

    pub fn push(&mut self, value: Raw<'_>) {
        self.text.push(if self.text.is_empty() { b'[' } else { b',' });
        self.text.extend_from_slice(value.bytes());
    }

    pub fn finish(mut self) -> Document {
        if self.text.is_empty() {
            self.text.push(b'[');
        }
        self.text.push(b']');
        Document { text: self.text.into() }
    }
}
