//! The index over path patterns: a trie by segments whose children stand in one hash table.
//!
//! A node is one cache line with its literal inside, a child is found by one probe, and the walk ends where no route goes
//! further: the cost depends on the length of the path and hardly on the number of routes. Segments that lead nowhere
//! but on are drawn together into one node. Every pattern of every host stands in the one trie; each host bucket has a
//! root of its own.

mod build;
mod share;

pub(super) use build::Builder;
pub(super) use share::{Sharing, Way};

use super::pattern::end_of_segment;
use build::Lists;

pub(super) const NONE: u32 = u32::MAX;
const INLINE: usize = 28;

/// One host and path of one route, in the order of precedence. Four stand in a cache line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Position in the order: the lower wins.
    pub(super) rank: u32,
    pub(super) route: u32,
    /// For `Capturing::Nothing` what `strip_path` takes off; for `Capturing::Segments` a bit for each that is captured.
    pub(super) detail: u32,
    pub(super) methods: u16,
    /// How many segments the pattern has, without a rest.
    pub(super) segments: u8,
    pub(super) capturing: Capturing,
    pub(super) regex: bool,
    pub(super) conditions: bool,
}

/// How the captures of a winner are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capturing {
    Nothing,
    /// From the path and `detail`, without a look at the pattern.
    Segments {
        rest: bool,
    },
    /// The pattern must be asked.
    Pattern,
}

/// When an entry that stands at a node takes the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attach {
    /// Always.
    Open,
    /// When a slash follows.
    Below,
    /// When nothing follows.
    Exact,
}

#[repr(align(64))]
struct Node {
    parent: u32,
    /// The child for a segment of any text.
    capture: u32,
    lists: Lists,
    /// The best rank at this node, and at it and all nodes under it.
    here: u32,
    under: u32,
    literal_length: u16,
    has_children: bool,
    /// The literal, of one segment or several; or where it begins in `literals`, when it is longer than this.
    literal: [u8; INLINE],
}

pub(super) struct Trie {
    nodes: Vec<Node>,
    children: Children,
    /// Literals that no node has room for.
    literals: Vec<u8>,
    entries: Vec<Entry>,
}

/// Decides about the entries that the path allows, in no certain order; keeps the best.
pub(super) trait Judge {
    /// Entries of this rank and beyond cannot win any more.
    fn bound(&self) -> u32;
    /// Whether the entry wins over all before it.
    fn judge(&mut self, entry: &Entry) -> bool;
}

impl Trie {
    pub(super) fn new(builder: Builder) -> Self {
        let mut nodes = Vec::with_capacity(builder.nodes.len());
        let mut literals = Vec::new();
        let mut keys = Vec::with_capacity(builder.nodes.len());
        // Where each node of the builder has gone; parents stand before their children.
        let mut gone = vec![NONE; builder.nodes.len()];
        let mut chain = Vec::new();
        for first in 0..builder.nodes.len() as u32 {
            if gone[first as usize] != NONE {
                continue;
            }
            let at = nodes.len() as u32;
            let mut last = first;
            chain.clear();
            chain.extend_from_slice(builder.literal(first));
            gone[first as usize] = at;
            while !builder.is_root_or_capture(first) && leads_only_on(&builder, last) {
                last = builder.nodes[last as usize].child;
                chain.push(b'/');
                chain.extend_from_slice(builder.literal(last));
                gone[last as usize] = at;
            }
            let parent = builder.nodes[first as usize].parent;
            let parent = if parent == NONE { NONE } else { gone[parent as usize] };
            if builder.is_root_or_capture(first) {
                if let Some(node) = nodes.get_mut(parent as usize) {
                    let node: &mut Node = node;
                    node.capture = at;
                }
            } else {
                keys.push((hash(parent, builder.literal(first)), at));
            }
            nodes.push(Node::new(parent, &chain, &builder, last, &mut literals));
        }
        let mut children = Children::with_room(keys.len());
        for (hash, child) in keys {
            children.insert(hash, child);
        }
        fill_under(&mut nodes);
        nodes.shrink_to_fit();
        Self { nodes, children, literals, entries: builder.entries }
    }

    /// The literal child of a node that the path leads to, and where its literal ends. `end` is that of the next segment.
    #[inline]
    fn child(&self, parent: u32, path: &[u8], start: usize, end: usize) -> Option<(u32, usize)> {
        let mut after = 0;
        let child = self.children.find(hash(parent, &path[start..end]), |child| {
            let node = &self.nodes[child as usize];
            after = start + usize::from(node.literal_length);
            node.parent == parent
                && matches!(path.get(after), None | Some(b'/'))
                && path.get(start..after).is_some_and(|text| self.is_literal(node, text))
        });
        (child != NONE).then_some((child, after))
    }

    #[inline]
    fn is_literal(&self, node: &Node, text: &[u8]) -> bool {
        match node.literal.get(..text.len()) {
            Some(literal) => literal == text,
            None => {
                let [a, b, c, d, ..] = node.literal;
                let start = u32::from_le_bytes([a, b, c, d]) as usize;
                &self.literals[start..start + text.len()] == text
            }
        }
    }

    /// Shows the judge every entry under `root` whose segments fit the path, the deepest first.
    #[inline]
    pub(super) fn search(&self, root: u32, path: &[u8], judge: &mut impl Judge) {
        self.walk(root, path, 0, judge);
    }

    /// `at` is where the slash before the next segment stands, or the end of the path.
    ///
    /// Recursion is only as deep as a pattern has captures.
    fn walk(&self, mut node: u32, path: &[u8], mut at: usize, judge: &mut impl Judge) {
        const DEPTH: usize = 12;
        let mut passed = [(0, false); DEPTH];
        let mut depth = 0;
        loop {
            let here = &self.nodes[node as usize];
            if here.under >= judge.bound() {
                break;
            }
            if here.here != NONE {
                if depth == DEPTH {
                    // No room: the oldest is judged now. The order of judging decides only the cost.
                    self.judge_node(passed[0].0, passed[0].1, judge);
                    passed.rotate_left(1);
                    depth -= 1;
                }
                passed[depth] = (node, at < path.len());
                depth += 1;
            }
            if at >= path.len() || !here.has_children {
                break;
            }
            let start = at + 1;
            let end = end_of_segment(path, start);
            let literal = self.child(node, path, start, end);
            if here.capture == NONE || start == end {
                let Some(next) = literal else { break };
                (node, at) = next;
            } else {
                if let Some((child, after)) = literal {
                    self.walk(child, path, after, judge);
                }
                (node, at) = (here.capture, end);
            }
        }
        for &(node, more) in passed[..depth].iter().rev() {
            self.judge_node(node, more, judge);
        }
    }

    #[inline]
    fn judge_node(&self, node: u32, more: bool, judge: &mut impl Judge) {
        let node = &self.nodes[node as usize];
        if node.here >= judge.bound() {
            return;
        }
        let lists = &node.lists;
        self.judge_part(lists.open, lists.below, judge);
        if more {
            self.judge_part(lists.below, lists.exact, judge);
        } else {
            self.judge_part(lists.exact, lists.end, judge);
        }
    }

    #[inline]
    fn judge_part(&self, start: u32, end: u32, judge: &mut impl Judge) {
        for entry in &self.entries[start as usize..end as usize] {
            if entry.rank >= judge.bound() || judge.judge(entry) {
                return;
            }
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.children.slots.capacity() * size_of::<(u32, u32)>()
            + self.literals.capacity()
    }
}

/// Whether a node only leads to one literal child, so that both can be one.
fn leads_only_on(builder: &Builder, at: u32) -> bool {
    let node = &builder.nodes[at as usize];
    node.lists.is_empty() && node.capture == NONE && node.child_count == 1
}

fn fill_under(nodes: &mut [Node]) {
    // Children stand after their parents, so one pass from the back suffices.
    for at in (0..nodes.len()).rev() {
        let (under, parent) = (nodes[at].under.min(nodes[at].here), nodes[at].parent);
        nodes[at].under = under;
        if let Some(parent) = nodes.get_mut(parent as usize) {
            parent.under = parent.under.min(under);
        }
    }
}

impl Node {
    /// `last` is the builder's node whose entries and children this one has.
    fn new(parent: u32, text: &[u8], builder: &Builder, last: u32, literals: &mut Vec<u8>) -> Self {
        let mut literal = [0; INLINE];
        match literal.get_mut(..text.len()) {
            Some(place) => place.copy_from_slice(text),
            None => {
                literal[..4].copy_from_slice(&(literals.len() as u32).to_le_bytes());
                literals.extend_from_slice(text);
            }
        }
        let plain = &builder.nodes[last as usize];
        let lists = plain.lists;
        let entries = &builder.entries[lists.open as usize..lists.end as usize];
        Self {
            parent,
            capture: NONE,
            lists,
            here: entries.iter().map(|entry| entry.rank).min().unwrap_or(NONE),
            under: NONE,
            literal_length: text.len() as u16,
            has_children: plain.child != NONE || plain.capture != NONE,
            literal,
        }
    }
}

/// Open addressing with linear probes; a slot is the upper half of the hash and the child.
struct Children {
    slots: Vec<(u32, u32)>,
    mask: usize,
    used: usize,
}

impl Children {
    /// For so many children; a quarter of the slots stays free.
    fn with_room(room: usize) -> Self {
        let size = (room * 4 / 3 + 2).next_power_of_two();
        Self { slots: vec![(0, NONE); size], mask: size - 1, used: 0 }
    }

    fn room(&self) -> usize {
        self.slots.len() * 3 / 4
    }

    fn is_full(&self) -> bool {
        self.used >= self.room()
    }

    #[inline]
    fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> u32 {
        let mut at = hash as usize & self.mask;
        loop {
            let (tag, child) = self.slots[at];
            if child == NONE || (tag == (hash >> 32) as u32 && is_it(child)) {
                return child;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn insert(&mut self, hash: u64, child: u32) {
        let mut at = hash as usize & self.mask;
        while self.slots[at].1 != NONE {
            at = (at + 1) & self.mask;
        }
        self.slots[at] = ((hash >> 32) as u32, child);
        self.used += 1;
    }
}

/// A fast hash of a child's key. Requests only look up, so nobody can fill the table with collisions.
#[inline]
fn hash(parent: u32, segment: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (u64::from(parent) << 16 ^ segment.len() as u64).wrapping_mul(K);
    let mut chunks = segment.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        hash = fold(hash ^ word, K);
    }
    let tail = chunks.remainder();
    let word = match tail.len() {
        0 => 0,
        1..=3 => u64::from(tail[0]) | u64::from(tail[tail.len() / 2]) << 8 | u64::from(tail[tail.len() - 1]) << 16,
        length => {
            let low = u32::from_le_bytes(tail[..4].try_into().expect("four bytes"));
            let high = u32::from_le_bytes(tail[length - 4..].try_into().expect("four bytes"));
            u64::from(low) | u64::from(high) << 32
        }
    };
    fold(hash ^ word, K ^ 0x5851_f42d_4c95_7f2d)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    product as u64 ^ (product >> 64) as u64
}
