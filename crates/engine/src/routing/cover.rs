//! Whether one route takes every request that another does: sound, not complete.
//!
//! When in doubt the answer is no, so that a route is never called unreachable while some request reaches it.

use super::methods::{EVERY_METHOD, OTHER, is_known, method_mask};
use super::pattern::{End, Pattern, Segments, Shape, literal};
use crate::plan::{self, FieldMatch, Segment};
use std::sync::Arc;

/// Whether `wide` takes every path that `narrow` does.
pub(super) fn covers_path(wide: &Pattern, narrow: &Pattern) -> bool {
    match (&wide.shape, &narrow.shape) {
        (Shape::Any, _) => true,
        (_, Shape::Any) => matches!(&wide.shape, Shape::Segments(it) if is_root(it)),
        (Shape::Regex(wide), Shape::Regex(narrow)) => Arc::ptr_eq(wide, narrow),
        (Shape::Regex(_), Shape::Segments(_)) => false,
        (Shape::Segments(wide), Shape::Segments(narrow)) => covers_segments(wide, &narrow.segments, narrow.end),
        (Shape::Segments(wide), Shape::Regex(narrow)) => match certain_segments(&narrow.literal) {
            Some(segments) => covers_segments(wide, &segments, End::Below),
            None => is_root(wide),
        },
    }
}

/// All that is certain of the paths a regex takes: the whole segments of its literal; a slash follows them.
pub(super) fn certain_segments(literal: &[u8]) -> Option<Vec<Segment>> {
    let literal = literal.strip_prefix(b"/")?;
    let Some(end) = literal.iter().rposition(|&byte| byte == b'/') else { return Some(Vec::new()) };
    let segment = |text: &[u8]| Segment::Literal(String::from_utf8_lossy(text).into_owned());
    Some(literal[..end].split(|&byte| byte == b'/').map(segment).collect())
}

fn is_root(segments: &Segments) -> bool {
    segments.segments.is_empty() && matches!(segments.end, End::Open | End::Below | End::Rest)
}

fn covers_segments(wide: &Segments, narrow: &[Segment], end: End) -> bool {
    let count = wide.segments.len();
    if narrow.len() < count {
        return false;
    }
    let fits = wide.segments.iter().zip(narrow).all(|(wide, narrow)| match (literal(wide), literal(narrow)) {
        (None, None) => true,
        (None, Some(text)) => !text.is_empty(),
        (Some(wide), narrow) => Some(wide) == narrow,
    });
    let further = narrow.len() > count;
    fits && match wide.end {
        End::Open => true,
        // The root's own slash is always there.
        End::Below | End::Rest => count == 0 || further || !matches!(end, End::Open | End::Exact),
        exact => !further && exact == end,
    }
}

/// Whether every request that meets the conditions of `narrow` meets those of `wide`.
pub(super) fn covers_conditions(wide: &plan::Route, narrow: &plan::Route) -> bool {
    let implied = |wide: &[FieldMatch], narrow: &[FieldMatch]| {
        wide.iter().all(|wide| narrow.iter().any(|narrow| covers_condition(wide, narrow)))
    };
    implied(&wide.headers, &narrow.headers)
        && implied(&wide.query, &narrow.query)
        && implied(&wide.cookies, &narrow.cookies)
}

fn covers_condition(wide: &FieldMatch, narrow: &FieldMatch) -> bool {
    wide.name == narrow.name
        && (wide.values.is_empty()
            || !narrow.values.is_empty() && narrow.values.iter().all(|value| wide.values.contains(value)))
}

/// Methods of a route as a set.
#[derive(Debug, Clone, Default)]
pub(super) struct Methods<'a> {
    mask: u16,
    other: Vec<&'a str>,
}

impl<'a> Methods<'a> {
    pub(super) fn of(route: &'a plan::Route) -> Self {
        let mask = method_mask(&route.methods);
        let other = route.methods.iter().map(String::as_str).filter(|method| !is_known(method));
        Self { mask, other: other.collect() }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.mask |= more.mask;
        self.other.extend(more.other.iter().filter(|method| !self.other.contains(method)).copied().collect::<Vec<_>>());
    }

    pub(super) fn common(&self, other: &Self) -> Self {
        match (self.mask == EVERY_METHOD, other.mask == EVERY_METHOD) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self {
                mask: self.mask & other.mask,
                other: self.other.iter().filter(|method| other.other.contains(method)).copied().collect(),
            },
        }
    }

    pub(super) fn contains(&self, all: &Self) -> bool {
        self.mask == EVERY_METHOD
            || all.mask != EVERY_METHOD
                && self.mask & all.mask == all.mask
                && all.other.iter().all(|method| self.other.contains(method))
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        let known = !OTHER;
        self.mask == EVERY_METHOD
            || other.mask == EVERY_METHOD
            || self.mask & other.mask & known != 0
            || self.other.iter().any(|method| other.other.contains(method))
    }
}
