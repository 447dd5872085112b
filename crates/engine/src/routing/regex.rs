//! Regular expressions of paths and values: bounded, anchored, and shared from one router to the next.

use super::lookup::Captures;
use super::pattern::MAX_CAPTURES;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, PatternID, meta};
use regex_syntax::hir::{Hir, HirKind, Look};
use rustc_hash::FxHashMap;
use std::sync::Arc;

pub(super) type Slot = Option<NonMaxUsize>;
pub(super) type SharedRegex = Arc<Regex>;

/// Heap that one compiled regex may take.
const REGEX_BYTES: usize = 256 * 1024;

/// What a regex is for: a path is ASCII and matched from its start, a value is matched whole, or searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Flavour {
    Path,
    Value,
    Search,
}

pub(super) struct Regex {
    matcher: meta::Regex,
    /// What every match begins with; `matcher` knows only what follows.
    pub(super) literal: Box<[u8]>,
    /// Named groups with their numbers.
    pub(super) groups: Box<[(Box<str>, usize)]>,
}

impl Regex {
    fn compile(pattern: &str, flavour: Flavour) -> Result<Self, String> {
        let parsed = regex_syntax::ParserBuilder::new()
            .unicode(flavour != Flavour::Path)
            .utf8(false)
            .nest_limit(64)
            .build()
            .parse(pattern)
            .map_err(|error| explain_syntax(&error))?;
        let (hir, literal) = match flavour {
            Flavour::Path => split_literal(parsed),
            Flavour::Search => (parsed, Box::default()),
            Flavour::Value => (Hir::concat(vec![Hir::look(Look::Start), parsed, Hir::look(Look::End)]), Box::default()),
        };
        let config = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(REGEX_BYTES))
            .onepass_size_limit(Some(REGEX_BYTES))
            // Matches are anchored and texts short: the one-pass engine and the backtracker are at their best there, and a
            // lazy DFA would cost many kilobytes for each expression and worker.
            .dfa(false)
            .hybrid(false);
        let matcher =
            meta::Builder::new().configure(config).build_from_hir(&hir).map_err(|error| match error.size_limit() {
                Some(_) => format!("the pattern needs more than {} KiB compiled", REGEX_BYTES / 1024),
                None => error.to_string(),
            })?;
        let names = matcher.group_info().pattern_names(PatternID::ZERO).enumerate();
        let groups: Box<[_]> = names.filter_map(|(number, name)| Some((name?.into(), number))).collect();
        match groups.len() > MAX_CAPTURES {
            true => Err(format!("the pattern has more than {MAX_CAPTURES} named groups")),
            false => Ok(Self { matcher, literal, groups }),
        }
    }

    #[inline]
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        text.starts_with(&self.literal) && self.matcher.is_match(self.input(text))
    }

    fn input<'t>(&self, text: &'t [u8]) -> Input<'t> {
        Input::new(text).range(self.literal.len()..).anchored(Anchored::Yes)
    }

    pub(super) fn capture(&self, path: &[u8], captures: &mut Captures) {
        let groups = 1 + self.groups.last().map_or(0, |(_, number)| *number);
        captures.slots.clear();
        captures.slots.resize(2 * groups, None);
        self.matcher.search_slots(&self.input(path), &mut captures.slots);
        let span = |number: usize| {
            let (start, end) = (captures.slots[2 * number]?, captures.slots[2 * number + 1]?);
            Some((start.get() as u32, end.get() as u32))
        };
        captures.stripped = span(0).map_or(0, |(_, end)| end);
        captures.spans.extend(self.groups.iter().map(|(_, number)| span(*number)));
    }
}

/// A regular expression over a value, for policies; under the same bounds as those of routes.
pub struct ValueRegex {
    regex: Regex,
    anchored: Anchored,
}

impl ValueRegex {
    /// It has to match the whole value.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        Ok(Self { regex: Regex::compile(pattern, Flavour::Value)?, anchored: Anchored::Yes })
    }

    /// It has to match somewhere in the value.
    pub fn compile_search(pattern: &str) -> Result<Self, String> {
        Ok(Self { regex: Regex::compile(pattern, Flavour::Search)?, anchored: Anchored::No })
    }

    pub fn is_match(&self, value: &[u8]) -> bool {
        self.regex.matcher.is_match(Input::new(value).anchored(self.anchored))
    }
}

impl std::fmt::Debug for ValueRegex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ValueRegex")
    }
}

/// Takes the literal before the first metacharacter off, perhaps after `^`: it is compared as bytes, and the rest compiles
/// to a fraction.
fn split_literal(hir: Hir) -> (Hir, Box<[u8]>) {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.clone(),
        _ => vec![hir.clone()],
    };
    let anchors = parts.iter().take_while(|part| matches!(part.kind(), HirKind::Look(Look::Start))).count();
    match parts.get(anchors).map(Hir::kind) {
        Some(HirKind::Literal(literal)) => {
            let literal = literal.0.clone();
            (Hir::concat(parts.split_off(anchors + 1)), literal)
        }
        _ => (hir, Box::default()),
    }
}

/// One line out of the parser's drawing.
fn explain_syntax(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => {
            format!("{} at character {}", error.kind(), error.span().start.offset)
        }
        regex_syntax::Error::Translate(error) => {
            format!("{} at character {}", error.kind(), error.span().start.offset)
        }
        error => error.to_string(),
    }
}

/// Compiled regexes by their text, so that a reload compiles only what is new.
pub(super) type RegexTable = FxHashMap<(Flavour, Box<str>), SharedRegex>;

pub(super) struct Regexes<'a> {
    pub(super) previous: Option<&'a RegexTable>,
    pub(super) table: RegexTable,
}

impl Regexes<'_> {
    pub(super) fn get(&mut self, pattern: &str, flavour: Flavour) -> Result<SharedRegex, String> {
        let key = (flavour, Box::from(pattern));
        if let Some(known) = self.table.get(&key) {
            return Ok(Arc::clone(known));
        }
        let regex = match self.previous.and_then(|previous| previous.get(&key)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Regex::compile(pattern, flavour)?),
        };
        self.table.insert(key, Arc::clone(&regex));
        Ok(regex)
    }
}
