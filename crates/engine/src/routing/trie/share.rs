//! Finds patterns that share paths, for the table of routes.

use super::build::Builder;
use super::{Entry, NONE};
use crate::plan::Segment;
use crate::routing::pattern::End;
use rustc_hash::FxHashMap;

/// A trie with its children listed. For people, not for traffic.
pub(in crate::routing) struct Sharing<'a> {
    trie: &'a Builder,
    literal_children: FxHashMap<u32, Vec<u32>>,
}

impl<'a> Sharing<'a> {
    pub(in crate::routing) fn new(trie: &'a Builder) -> Self {
        let mut literal_children: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (child, node) in (0..).zip(&trie.nodes) {
            if !trie.is_root_or_capture(child) {
                literal_children.entry(node.parent).or_default().push(child);
            }
        }
        Self { trie, literal_children }
    }

    /// Calls `visit` with entries that stand where a pattern leads, until it says `false`.
    ///
    /// Looks at some dozens of nodes and no more. What lies under an open end is shown only if `deep`: at a root that this
    /// pattern shares, it finds the pattern when it is its turn.
    pub(in crate::routing) fn visit(&self, root: u32, way: Way<'_>, visit: &mut impl FnMut(&Entry) -> bool) {
        let mut nodes = 64;
        self.walk(root, way, &mut nodes, visit);
    }

    fn walk(&self, at: u32, way: Way<'_>, nodes: &mut usize, visit: &mut impl FnMut(&Entry) -> bool) -> bool {
        if *nodes == 0 {
            return false;
        }
        *nodes -= 1;
        let node = &self.trie.nodes[at as usize];
        let (ended, end, lists) = (way.segments.is_empty(), way.end, node.lists);
        let mut part = |start: u32, end: u32| self.trie.entries[start as usize..end as usize].iter().all(&mut *visit);
        if !part(lists.open, lists.below)
            || ((!ended || end != End::Exact) && !part(lists.below, lists.exact))
            || (ended && matches!(end, End::Open | End::Exact) && !part(lists.exact, lists.end))
        {
            return false;
        }
        let literals = self.literal_children.get(&at).map_or(&[][..], Vec::as_slice);
        let mut next = |child: u32, way: Way<'_>| child == NONE || self.walk(child, way, nodes, visit);
        match way.segments {
            [] if end == End::Exact => true,
            [] if way.deep && end != End::ExactSlash => {
                let anything = Way { end: End::Open, ..way };
                next(node.capture, anything) && literals.iter().all(|child| next(*child, anything))
            }
            // A slash and the end may still follow.
            [] => next(self.trie.find(at, b""), Way { end: End::Exact, ..way }),
            [Segment::Literal(text), segments @ ..] => {
                let way = Way { segments, ..way };
                next(self.trie.find(at, text.as_bytes()), way) && next(node.capture, way)
            }
            [_, segments @ ..] => {
                let way = Way { segments, ..way };
                let mut filled = literals.iter().filter(|child| !self.trie.literal(**child).is_empty());
                next(node.capture, way) && filled.all(|child| next(*child, way))
            }
        }
    }
}

/// The way that a pattern takes through the trie.
#[derive(Clone, Copy)]
pub(in crate::routing) struct Way<'a> {
    pub(in crate::routing) segments: &'a [Segment],
    pub(in crate::routing) end: End,
    pub(in crate::routing) deep: bool,
}
