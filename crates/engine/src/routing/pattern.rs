//! Path patterns, compiled: what they take of a path, what they capture, and how specific they are.

use super::lookup::Captures;
use super::regex::{Flavour, Regexes, SharedRegex};
use super::trie::Capturing;
use crate::plan::{PathPattern, Segment};

/// Most captures a pattern may have; it bounds the search as well.
pub(super) const MAX_CAPTURES: usize = 32;
/// Longest pattern in bytes, longer than any path a listener lets in by default.
const MAX_BYTES: usize = 16 * 1024;

/// A compiled path pattern. Where the index has walked a pattern's segments already, only captures are left to find.
pub(super) struct Pattern {
    pub(super) shape: Shape,
    pub(super) names: Box<[Box<str>]>,
    pub(super) specificity: Specificity,
}

pub(super) enum Shape {
    /// A route without paths.
    Any,
    /// Literal segments and captures.
    Segments(Segments),
    Regex(SharedRegex),
}

pub(super) struct Segments {
    /// Without the empty literal of a trailing slash and without the rest.
    pub(super) segments: Box<[Segment]>,
    pub(super) end: End,
}

/// What may follow the segments of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `/orders`: the end, or `/` and anything.
    Open,
    /// `/orders/`: `/` and anything.
    Below,
    /// `/files/{name...}`: as `Below`, and what follows the slash is captured.
    Rest,
    /// `=/orders`: the end.
    Exact,
    /// `=/orders/`: a slash and the end.
    ExactSlash,
}

/// The part of the order of precedence that the path decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Specificity {
    /// An exact path without captures.
    pub(super) exact_path: bool,
    /// Bytes before the first capture or metacharacter.
    pub(super) literal_prefix: u32,
    pub(super) kind: Kind,
    /// All literal bytes of a template.
    pub(super) literal_bytes: u32,
    pub(super) captures: u32,
    /// Ends in a way that lets anything follow.
    pub(super) open: bool,
    pub(super) rest: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Literal,
    Template,
    Regex,
    #[default]
    Any,
}

impl Pattern {
    pub(super) fn any() -> Self {
        let specificity = Specificity { open: true, ..Specificity::default() };
        Self { shape: Shape::Any, names: Box::new([]), specificity }
    }

    /// Compiles one path of a route; the error is the code and message of the problem.
    pub(super) fn compile(path: &PathPattern, regexes: &mut Regexes<'_>) -> Result<Self, (&'static str, String)> {
        match path {
            PathPattern::Prefix(segments) => Self::from_segments(segments, false),
            PathPattern::Exact(segments) => Self::from_segments(segments, true),
            PathPattern::Regex(pattern) => {
                let regex = regexes.get(pattern, Flavour::Path).map_err(|message| ("routing.bad_regex", message))?;
                let names = regex.groups.iter().map(|(name, _)| name.clone()).collect();
                // Every path begins with a slash, so a regex is never less specific than `/`.
                let literal_prefix = regex.literal.len().max(1) as u32;
                let specificity =
                    Specificity { literal_prefix, kind: Kind::Regex, open: true, ..Specificity::default() };
                Ok(Self { shape: Shape::Regex(regex), names, specificity })
            }
        }
    }

    fn from_segments(written: &[Segment], exact: bool) -> Result<Self, (&'static str, String)> {
        check(written)?;
        let (body, end) = match written {
            [] if exact => (written, End::ExactSlash),
            [] => (written, End::Open),
            [body @ .., Segment::Rest(_)] => (body, End::Rest),
            [body @ .., Segment::Literal(text)] if text.is_empty() && exact => (body, End::ExactSlash),
            [body @ .., Segment::Literal(text)] if text.is_empty() => (body, End::Below),
            body if exact => (body, End::Exact),
            body => (body, End::Open),
        };
        let names: Box<[Box<str>]> = written.iter().filter_map(capture_name).map(Into::into).collect();
        let specificity = Specificity::of(body, end, names.len() as u32);
        let segments = Segments { segments: body.into(), end };
        Ok(Self { shape: Shape::Segments(segments), names, specificity })
    }

    /// How the captures of a winner are found; `Entry` says what the numbers mean.
    pub(super) fn capturing(&self) -> (Capturing, u32, u8) {
        let Shape::Segments(Segments { segments, end }) = &self.shape else {
            let nothing = matches!(self.shape, Shape::Any);
            return (if nothing { Capturing::Nothing } else { Capturing::Pattern }, 0, 0);
        };
        let rest = *end == End::Rest;
        let is_capture = |it: &Segment| literal(it).is_none();
        if !rest && !segments.iter().any(is_capture) {
            return (Capturing::Nothing, segments.iter().map(|it| 1 + literal(it).map_or(0, str::len) as u32).sum(), 0);
        }
        if segments.len() > 32 {
            return (Capturing::Pattern, 0, 0);
        }
        let bits = segments.iter().enumerate().filter(|(_, it)| is_capture(it)).map(|(at, _)| 1 << at).sum();
        (Capturing::Segments { rest }, bits, segments.len() as u8)
    }

    /// Appends the spans of a path that this pattern takes.
    pub(super) fn capture(&self, path: &[u8], captures: &mut Captures) {
        match &self.shape {
            Shape::Any => captures.stripped = 0,
            Shape::Regex(regex) => regex.capture(path, captures),
            Shape::Segments(segments) => {
                let mut at = 0; // the slash before the next segment
                for segment in &segments.segments {
                    let start = at + 1;
                    at = end_of_segment(path, start);
                    if matches!(segment, Segment::Capture(_)) {
                        captures.spans.push(Some((start as u32, at as u32)));
                    }
                }
                if segments.end == End::Rest {
                    captures.spans.push(Some((at as u32 + 1, path.len() as u32)));
                }
                captures.stripped = at as u32;
            }
        }
    }

    /// Whether the pattern takes the path: the slow and plain way, for `explain`.
    pub(super) fn takes(&self, path: &[u8]) -> bool {
        match &self.shape {
            Shape::Any => true,
            Shape::Regex(regex) => regex.is_match(path),
            Shape::Segments(Segments { segments, end }) => {
                let mut at = 0;
                for segment in segments {
                    if at >= path.len() {
                        return false;
                    }
                    let start = at + 1;
                    at = end_of_segment(path, start);
                    let text = &path[start..at];
                    let fits = literal(segment).map_or(!text.is_empty(), |literal| literal.as_bytes() == text);
                    if !fits {
                        return false;
                    }
                }
                end.takes(&path[at..])
            }
        }
    }
}

impl Segments {
    /// A path the pattern takes, with this text for each capture.
    pub(super) fn sample(&self, capture: &str) -> Vec<u8> {
        let mut path = Vec::new();
        for segment in &self.segments {
            path.push(b'/');
            path.extend_from_slice(literal(segment).unwrap_or(capture).as_bytes());
        }
        if path.is_empty() || !matches!(self.end, End::Open | End::Exact) {
            path.push(b'/');
        }
        path
    }
}

impl End {
    fn takes(self, left: &[u8]) -> bool {
        match self {
            Self::Open => true,
            Self::Below | Self::Rest => !left.is_empty(),
            Self::Exact => left.is_empty(),
            Self::ExactSlash => left == b"/",
        }
    }
}

impl Specificity {
    fn of(body: &[Segment], end: End, captures: u32) -> Self {
        let length = |it: &Segment| 1 + literal(it).map_or(0, str::len) as u32;
        // The slash of `/` says no more than that there is a path: what begins with a capture comes before it.
        let slash = u32::from(end != End::Open && end != End::Exact);
        let literal_bytes = body.iter().map(length).sum::<u32>() + slash;
        let leading = body.iter().take_while(|it| literal(it).is_some()).count();
        let literal_prefix = match body.get(leading) {
            Some(_) => body[..leading].iter().map(length).sum::<u32>() + 1,
            None => literal_bytes,
        };
        let exact = matches!(end, End::Exact | End::ExactSlash);
        Self {
            exact_path: exact && captures == 0,
            literal_prefix,
            kind: if captures == 0 { Kind::Literal } else { Kind::Template },
            literal_bytes,
            captures,
            open: !exact,
            rest: end == End::Rest,
        }
    }
}

/// What the plan promises about segments, checked because the search relies on it.
fn check(segments: &[Segment]) -> Result<(), (&'static str, String)> {
    let bytes: usize = segments.iter().map(|it| 1 + literal(it).map_or(0, str::len)).sum();
    if bytes > MAX_BYTES {
        return Err(("routing.pattern_too_long", format!("the pattern is longer than {MAX_BYTES} bytes")));
    }
    let names: Vec<&str> = segments.iter().filter_map(capture_name).collect();
    if names.len() > MAX_CAPTURES {
        return Err(("routing.too_many_captures", format!("the pattern has more than {MAX_CAPTURES} captures")));
    }
    if let Some(name) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name)) {
        return Err(("routing.duplicate_capture", format!("the pattern captures `{name}` twice")));
    }
    let mut scratch = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match segment {
            Segment::Rest(name) if !last => {
                return Err(("routing.rest_not_last", format!("`{{{name}...}}` must be the last segment")));
            }
            Segment::Literal(text) if last && text.is_empty() => {}
            Segment::Literal(text) if !is_normal_segment(text, &mut scratch) => {
                return Err(("routing.not_normal", format!("the segment `{text}` is not in normal form")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_normal_segment(text: &str, scratch: &mut Vec<u8>) -> bool {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return true;
    }
    let path = format!("/{text}");
    !text.is_empty() && !text.contains('/') && crate::path::normalise(path.as_bytes(), scratch) == Ok(path.as_bytes())
}

pub(super) fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text),
        Segment::Capture(_) | Segment::Rest(_) => None,
    }
}

fn capture_name(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Capture(name) | Segment::Rest(name) => Some(name),
        Segment::Literal(_) => None,
    }
}

/// The end of the segment that begins at `start`: the next slash or the end of the path.
///
/// Eight bytes at a time, because the lengths of segments are what a branch predictor cannot know.
#[inline]
pub(super) fn end_of_segment(path: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some((word, _)) = path.get(at..).and_then(|left| left.split_first_chunk::<8>()) {
        match first_slash(u64::from_le_bytes(*word)) {
            Some(offset) => return at + offset,
            None => at += 8,
        }
    }
    let left = path.len().saturating_sub(at);
    match path.last_chunk::<8>() {
        // The last eight bytes, without those that were looked at before.
        Some(word) if left > 0 => {
            let word = u64::from_le_bytes(*word) >> (8 * (8 - left));
            first_slash(word).map_or(path.len(), |offset| at + offset)
        }
        _ => path[at..].iter().position(|&byte| byte == b'/').map_or(path.len(), |length| at + length),
    }
}

/// Where the first `/` of eight bytes stands, the lowest first.
#[inline]
fn first_slash(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_where_slash = word ^ (ONES * b'/' as u64);
    let found = zero_where_slash.wrapping_sub(ONES) & !zero_where_slash & (ONES << 7);
    (found != 0).then_some(found.trailing_zeros() as usize / 8)
}
