//! The trie as it is built: a node for each segment, before chains are drawn together.

use super::{Attach, Children, Entry, NONE, hash};

pub(in crate::routing) struct Builder {
    pub(super) nodes: Vec<Plain>,
    pub(super) literals: Vec<u8>,
    /// Sorted by node, part and rank.
    pub(super) entries: Vec<Entry>,
    children: Children,
}

pub(super) struct Plain {
    pub(super) parent: u32,
    /// The child for a segment of any text.
    pub(super) capture: u32,
    /// A literal child, and how many there are.
    pub(super) child: u32,
    pub(super) child_count: u32,
    literal: (u32, u32),
    pub(super) lists: Lists,
}

/// Entries from `open`, those of `Below` from `below`, of `Exact` from `exact`, to `end`; each part sorted by rank.
#[derive(Clone, Copy, Default)]
pub(super) struct Lists {
    pub(super) open: u32,
    pub(super) below: u32,
    pub(super) exact: u32,
    pub(super) end: u32,
}

impl Lists {
    pub(super) fn is_empty(&self) -> bool {
        self.open == self.end
    }
}

impl Builder {
    pub(in crate::routing) fn new(roots: usize) -> Self {
        let mut builder =
            Self { nodes: Vec::new(), literals: Vec::new(), entries: Vec::new(), children: Children::with_room(8) };
        for _ in 0..roots {
            builder.push(NONE, b"");
        }
        builder
    }

    /// The child of a node for a literal segment, made when it is not there.
    pub(in crate::routing) fn literal_child(&mut self, parent: u32, literal: &[u8]) -> u32 {
        let known = self.find(parent, literal);
        if known != NONE {
            return known;
        }
        let child = self.push(parent, literal);
        let node = &mut self.nodes[parent as usize];
        node.child = child;
        node.child_count += 1;
        if self.children.is_full() {
            self.grow();
        } else {
            self.children.insert(hash(parent, literal), child);
        }
        child
    }

    /// The child of a node for a captured segment, made when it is not there.
    pub(in crate::routing) fn capture_child(&mut self, parent: u32) -> u32 {
        let known = self.nodes[parent as usize].capture;
        if known != NONE {
            return known;
        }
        let child = self.push(parent, b"");
        self.nodes[parent as usize].capture = child;
        child
    }

    fn push(&mut self, parent: u32, literal: &[u8]) -> u32 {
        let start = self.literals.len() as u32;
        self.literals.extend_from_slice(literal);
        let literal = (start, literal.len() as u32);
        let lists = Lists::default();
        self.nodes.push(Plain { parent, capture: NONE, child: NONE, child_count: 0, literal, lists });
        self.nodes.len() as u32 - 1
    }

    fn grow(&mut self) {
        self.children = Children::with_room(self.children.room() * 2);
        for at in 0..self.nodes.len() as u32 {
            if !self.is_root_or_capture(at) {
                self.children.insert(hash(self.nodes[at as usize].parent, self.literal(at)), at);
            }
        }
    }

    pub(super) fn is_root_or_capture(&self, at: u32) -> bool {
        let parent = self.nodes[at as usize].parent;
        parent == NONE || self.nodes[parent as usize].capture == at
    }

    pub(super) fn literal(&self, at: u32) -> &[u8] {
        let (start, length) = self.nodes[at as usize].literal;
        &self.literals[start as usize..(start + length) as usize]
    }

    pub(super) fn find(&self, parent: u32, literal: &[u8]) -> u32 {
        let is_it = |child: u32| self.nodes[child as usize].parent == parent && self.literal(child) == literal;
        self.children.find(hash(parent, literal), is_it)
    }

    /// Puts the entries at their nodes; called once, when all nodes are there.
    pub(in crate::routing) fn attach(&mut self, mut attached: Vec<(u32, Attach, Entry)>) {
        attached.sort_unstable_by_key(|(node, attach, entry)| (*node, *attach, entry.rank));
        self.entries = attached.iter().map(|(.., entry)| *entry).collect();
        let mut at = 0;
        for group in attached.chunk_by(|a, b| a.0 == b.0) {
            let count = |wanted: Attach| group.iter().filter(|(_, attach, _)| *attach == wanted).count() as u32;
            let below = at + count(Attach::Open);
            let exact = below + count(Attach::Below);
            let end = at + group.len() as u32;
            self.nodes[group[0].0 as usize].lists = Lists { open: at, below, exact, end };
            at = end;
        }
    }
}
