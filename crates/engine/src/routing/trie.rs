//! The index over path patterns: a trie by segments whose children stand in one hash table.
//!
//! A node is one cache line with its literal inside, a child is found by one probe, and the walk ends where no route goes
//! further: the cost depends on the length of the path and hardly on the number of routes. Every pattern of every host
//! stands in the one trie; each host bucket has a root of its own.

use super::pattern::{End, end_of_segment};
use crate::plan::Segment;
use rustc_hash::FxHashMap;

pub(super) const NONE: u32 = u32::MAX;
const INLINE: usize = 20;

/// One host and path of one route, in the order of precedence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Position in the order: the lower wins.
    pub(super) rank: u32,
    pub(super) route: u32,
    pub(super) pattern: u32,
    /// What `strip_path` takes off, unless the pattern captures.
    pub(super) strip: u32,
    pub(super) methods: u16,
    pub(super) captures: bool,
    pub(super) regex: bool,
    pub(super) conditions: bool,
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
    /// Entries from `open`, those of `Below` from `below`, of `Exact` from `exact`, to `end`; each part sorted by rank.
    open: u32,
    below: u32,
    exact: u32,
    end: u32,
    /// The best rank at this node, and at it and all nodes under it.
    here: u32,
    under: u32,
    literal_length: u16,
    has_children: bool,
    /// The literal, or where it begins in `long_literals` when it is longer than this.
    literal: [u8; INLINE],
}

pub(super) struct Trie {
    nodes: Vec<Node>,
    children: Children,
    long_literals: Vec<u8>,
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
    pub(super) fn new(roots: usize) -> Self {
        let mut trie =
            Self { nodes: Vec::new(), children: Children::new(), long_literals: Vec::new(), entries: Vec::new() };
        for _ in 0..roots {
            trie.push_node(NONE, b"");
        }
        trie
    }

    /// The child of a node for a literal segment, made when it is not there.
    pub(super) fn literal_child(&mut self, parent: u32, literal: &[u8]) -> u32 {
        let known = self.child(parent, literal);
        if known != NONE {
            return known;
        }
        let child = self.push_node(parent, literal);
        self.nodes[parent as usize].has_children = true;
        self.children.insert(hash(parent, literal), child);
        child
    }

    /// The child of a node for a captured segment, made when it is not there.
    pub(super) fn capture_child(&mut self, parent: u32) -> u32 {
        let known = self.nodes[parent as usize].capture;
        if known != NONE {
            return known;
        }
        let child = self.push_node(parent, b"");
        let parent = &mut self.nodes[parent as usize];
        parent.capture = child;
        parent.has_children = true;
        child
    }

    fn push_node(&mut self, parent: u32, literal: &[u8]) -> u32 {
        let mut inline = [0; INLINE];
        match inline.get_mut(..literal.len()) {
            Some(place) => place.copy_from_slice(literal),
            None => {
                inline[..4].copy_from_slice(&(self.long_literals.len() as u32).to_le_bytes());
                self.long_literals.extend_from_slice(literal);
            }
        }
        self.nodes.push(Node {
            parent,
            capture: NONE,
            open: 0,
            below: 0,
            exact: 0,
            end: 0,
            here: NONE,
            under: NONE,
            literal_length: literal.len() as u16,
            has_children: false,
            literal: inline,
        });
        self.nodes.len() as u32 - 1
    }

    /// Puts the entries at their nodes; called once, when all nodes are there.
    pub(super) fn attach(&mut self, mut attached: Vec<(u32, Attach, Entry)>) {
        attached.sort_unstable_by_key(|(node, attach, entry)| (*node, *attach, entry.rank));
        self.entries = attached.iter().map(|(.., entry)| *entry).collect();
        let mut at = 0;
        for group in attached.chunk_by(|a, b| a.0 == b.0) {
            let count = |wanted: Attach| group.iter().filter(|(_, attach, _)| *attach == wanted).count() as u32;
            let node = &mut self.nodes[group[0].0 as usize];
            node.open = at;
            node.below = node.open + count(Attach::Open);
            node.exact = node.below + count(Attach::Below);
            node.end = at + group.len() as u32;
            node.here = group.iter().map(|(.., entry)| entry.rank).min().unwrap_or(NONE);
            at = node.end;
        }
        self.children.built = Vec::new();
        self.nodes.shrink_to_fit();
        // Children stand after their parents, so one pass from the back suffices.
        for at in (0..self.nodes.len()).rev() {
            let (under, parent) = (self.nodes[at].under.min(self.nodes[at].here), self.nodes[at].parent);
            self.nodes[at].under = under;
            if let Some(parent) = self.nodes.get_mut(parent as usize) {
                parent.under = parent.under.min(under);
            }
        }
    }

    #[inline]
    fn child(&self, parent: u32, segment: &[u8]) -> u32 {
        self.children.find(hash(parent, segment), |child| {
            let node = &self.nodes[child as usize];
            node.parent == parent && self.is_literal(node, segment)
        })
    }

    #[inline]
    fn is_literal(&self, node: &Node, segment: &[u8]) -> bool {
        if usize::from(node.literal_length) != segment.len() {
            return false;
        }
        match node.literal.get(..segment.len()) {
            Some(literal) => literal == segment,
            None => {
                let [a, b, c, d, ..] = node.literal;
                let start = u32::from_le_bytes([a, b, c, d]) as usize;
                &self.long_literals[start..start + segment.len()] == segment
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
            at = end_of_segment(path, start);
            let segment = &path[start..at];
            let literal = self.child(node, segment);
            if here.capture == NONE || segment.is_empty() {
                if literal == NONE {
                    break;
                }
                node = literal;
            } else {
                if literal != NONE {
                    self.walk(literal, path, at, judge);
                }
                node = here.capture;
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
        self.judge_part(node.open, node.below, judge);
        if more {
            self.judge_part(node.below, node.exact, judge);
        } else {
            self.judge_part(node.exact, node.end, judge);
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
            + self.long_literals.capacity()
    }
}

/// The trie with its children listed, to find patterns that share paths. For people, not for traffic.
pub(super) struct Sharing<'a> {
    trie: &'a Trie,
    literal_children: FxHashMap<u32, Vec<u32>>,
}

impl<'a> Sharing<'a> {
    pub(super) fn new(trie: &'a Trie) -> Self {
        let mut literal_children: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (child, node) in (0..).zip(&trie.nodes) {
            if node.parent != NONE && trie.nodes[node.parent as usize].capture != child {
                literal_children.entry(node.parent).or_default().push(child);
            }
        }
        Self { trie, literal_children }
    }

    /// Calls `visit` with entries that stand where a pattern leads, until it says `false`.
    ///
    /// Looks at some dozens of nodes and no more. What lies under an open end is shown only if `deep`: at a root that this
    /// pattern shares, it finds the pattern when it is its turn.
    pub(super) fn visit(&self, root: u32, way: Way<'_>, visit: &mut impl FnMut(&Entry) -> bool) {
        let mut nodes = 64;
        self.walk(root, way, &mut nodes, visit);
    }

    fn walk(&self, at: u32, way: Way<'_>, nodes: &mut usize, visit: &mut impl FnMut(&Entry) -> bool) -> bool {
        if *nodes == 0 {
            return false;
        }
        *nodes -= 1;
        let node = &self.trie.nodes[at as usize];
        let (ended, end) = (way.segments.is_empty(), way.end);
        let mut part = |start: u32, end: u32| self.trie.entries[start as usize..end as usize].iter().all(&mut *visit);
        if !part(node.open, node.below)
            || ((!ended || end != End::Exact) && !part(node.below, node.exact))
            || (ended && matches!(end, End::Open | End::Exact) && !part(node.exact, node.end))
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
            [] => next(self.trie.child(at, b""), Way { end: End::Exact, ..way }),
            [Segment::Literal(text), segments @ ..] => {
                let way = Way { segments, ..way };
                next(self.trie.child(at, text.as_bytes()), way) && next(node.capture, way)
            }
            [_, segments @ ..] => {
                let way = Way { segments, ..way };
                let mut filled = literals.iter().filter(|child| self.trie.nodes[**child as usize].literal_length > 0);
                next(node.capture, way) && filled.all(|child| next(*child, way))
            }
        }
    }
}

/// The way that a pattern takes through the trie.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) segments: &'a [Segment],
    pub(super) end: End,
    pub(super) deep: bool,
}

/// Open addressing with linear probes; a slot is the upper half of the hash and the child.
struct Children {
    slots: Vec<(u32, u32)>,
    mask: usize,
    /// Every child with its whole hash, to grow by; emptied when the trie is complete.
    built: Vec<(u64, u32)>,
}

impl Children {
    fn new() -> Self {
        Self { slots: vec![(0, NONE); 16], mask: 15, built: Vec::new() }
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
        self.built.push((hash, child));
        if self.built.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            self.place(hash, child);
        }
    }

    fn place(&mut self, hash: u64, child: u32) {
        let mut at = hash as usize & self.mask;
        while self.slots[at].1 != NONE {
            at = (at + 1) & self.mask;
        }
        self.slots[at] = ((hash >> 32) as u32, child);
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots = vec![(0, NONE); size];
        self.mask = size - 1;
        for at in 0..self.built.len() {
            let (hash, child) = self.built[at];
            self.place(hash, child);
        }
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
        1..=3 => {
            u64::from(tail[0]) | u64::from(tail[tail.len() / 2]) << 8 | u64::from(tail[tail.len() - 1]) << 16
        }
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
