//! What a request must show to be routed, and what routing gives back: the captures.

use super::regex::Slot;
use super::router::Router;
use crate::path::decode_form;

/// The parts of a request that routes match on.
///
/// The host is as [`super::normalise_host`] and the path as [`crate::path::normalise`] leave them.
pub trait Lookup {
    fn host(&self) -> &[u8];
    fn path(&self) -> &[u8];
    /// As sent: methods compare with case.
    fn method(&self) -> &[u8];
    /// As sent, without the `?`.
    fn query(&self) -> Option<&[u8]>;
    /// Whether any line of the header passes the test. `name` is lower case; values have no whitespace around them.
    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Whether any cookie of this name passes the test. Names compare with case; quotes around a value are kept.
    fn any_cookie(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.any_header("cookie", &mut |line| {
            line.split(|&byte| byte == b';').any(|pair| match split_once(pair.trim_ascii(), b'=') {
                (key, Some(value)) => key.trim_ascii() == name.as_bytes() && test(value.trim_ascii()),
                (_, None) => false,
            })
        })
    }

    /// Whether any query parameter of this name passes the test; its value is decoded into `scratch`.
    fn any_query(&self, name: &str, scratch: &mut Vec<u8>, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        query_pairs(self.query().unwrap_or_default()).any(|(key, value)| {
            decode_form(key).eq(name.bytes()) && {
                scratch.clear();
                scratch.extend(decode_form(value));
                test(scratch)
            }
        })
    }
}

/// The pairs of a query, not decoded; `a` is the same as `a=`.
pub fn query_pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = split_once(pair, b'=');
        (key, value.unwrap_or_default())
    })
}

fn split_once(text: &[u8], delimiter: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == delimiter) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// What the pattern that won took from the path: reused from request to request.
///
/// Spans lie in the normal path that was searched, so values are still percent-encoded.
#[derive(Default)]
pub struct Captures {
    /// The line of the order that won.
    pub(super) rank: u32,
    pub(super) spans: Vec<Option<(u32, u32)>>,
    pub(super) stripped: u32,
    /// Scratch of the search.
    pub(super) slots: Vec<Slot>,
    pub(super) decoded: Vec<u8>,
}

impl Captures {
    pub fn new() -> Self {
        Self::default()
    }

    /// The text of one capture; `None` when the pattern has no such name or, for a regex, the group took no part.
    ///
    /// `router` and `path` are those of the search that filled this.
    pub fn get<'p>(&self, router: &Router, path: &'p [u8], name: &str) -> Option<&'p [u8]> {
        if self.spans.is_empty() {
            return None;
        }
        let at = router.capture_names(self).iter().position(|known| **known == *name)?;
        let (start, end) = self.spans[at]?;
        path.get(start as usize..end as usize)
    }

    /// Every capture with its name, in the order of the pattern.
    pub fn iter<'a>(&'a self, router: &'a Router, path: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let names = if self.spans.is_empty() { &[] } else { router.capture_names(self) };
        names.iter().zip(&self.spans).filter_map(move |(name, span)| {
            let (start, end) = (*span)?;
            Some((&**name, path.get(start as usize..end as usize)?))
        })
    }

    /// The length of what `strip_path` takes off the front of the path.
    ///
    /// What is left is empty or begins with `/`, unless a regex ended its match inside a segment.
    pub fn stripped(&self) -> usize {
        self.stripped as usize
    }
}
