//! The router: compiles routes into the order of precedence and finds the first that takes a request.

use super::condition::Conditions;
use super::host::Hosts;
use super::lookup::Captures;
use super::methods::{OTHER, method_bit, method_mask};
use super::pattern::{End, Kind, Pattern, Segments, Shape, literal};
use super::regex::{RegexTable, Regexes};
use super::trie::{Attach, Builder, Entry, Trie};
use crate::plan;
use crate::problem::Problem;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The index of the route in the plan.
    Route(usize),
    NotFound,
    /// Some route takes all of the request but its method.
    MethodNotAllowed {
        /// The value of `Allow`: the methods those routes take, sorted.
        allow: String,
    },
}

/// Routes, compiled.
pub struct Router {
    pub(super) hosts: Hosts,
    pub(super) trie: Trie,
    pub(super) patterns: Vec<Pattern>,
    /// By the route's index in the plan.
    pub(super) conditions: Vec<Conditions>,
    /// Every entry in the order of precedence.
    pub(super) order: Vec<Ranked>,
    regexes: RegexTable,
}

/// One line of the order of precedence: a host and a path of a route, by their places in the plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    pub(super) key: u128,
    pub(super) bucket: u32,
    pub(super) route: u32,
    pub(super) pattern: u32,
    /// Which of the route's hosts and paths; 0 when it has none.
    pub(super) host: u32,
    pub(super) path: u32,
}

impl Router {
    /// Compiles routes; all problems are reported at once. Regexes that `previous` has are shared with it.
    pub fn compile(routes: &[plan::Route], previous: Option<&Router>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut regexes = Regexes { previous: previous.map(|it| &it.regexes), table: RegexTable::default() };
        let hosts = Hosts::new(routes.iter().flat_map(|route| route.hosts.iter().map(String::as_str)));
        let mut patterns = Vec::with_capacity(routes.len() + 1);
        patterns.push(Pattern::any());
        let mut conditions = Vec::with_capacity(routes.len());
        let mut order = Vec::with_capacity(routes.len());
        for (index, route) in routes.iter().enumerate() {
            conditions.push(compile_conditions(route, index, &mut regexes, &mut problems));
            let first = patterns.len();
            for (at, path) in route.paths.iter().enumerate() {
                match Pattern::compile(path, &mut regexes) {
                    Ok(pattern) => patterns.push(pattern),
                    Err((code, message)) => {
                        let path = format!("routes[{index}].paths[{at}]");
                        problems.push(Problem::new(path, code, message));
                    }
                }
            }
            if problems.is_empty() {
                rank_route(route, index, first, &hosts, &patterns, &mut order);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        order.sort_by_key(|it| it.key);
        let trie = Trie::new(build(&hosts, &patterns, &order, routes, &conditions));
        Ok(Self { hosts, trie, patterns, conditions, order, regexes: regexes.table })
    }

    /// The pattern of a line of the order.
    pub(super) fn pattern(&self, rank: u32) -> &Pattern {
        &self.patterns[self.order[rank as usize].pattern as usize]
    }

    /// The index as it is built, for the table of routes.
    pub(super) fn builder(&self, routes: &[plan::Route]) -> Builder {
        build(&self.hosts, &self.patterns, &self.order, routes, &self.conditions)
    }

    pub(super) fn capture_names(&self, captures: &Captures) -> &[Box<str>] {
        match self.order.get(captures.rank as usize) {
            Some(line) => &self.patterns[line.pattern as usize].names,
            None => &[],
        }
    }

    /// Bytes on the heap of the search's own structures, without compiled regexes.
    pub fn memory(&self) -> usize {
        self.trie.memory()
            + self.patterns.capacity() * size_of::<Pattern>()
            + self.conditions.capacity() * size_of::<Conditions>()
            + self.order.capacity() * size_of::<Ranked>()
    }
}

fn compile_conditions(
    route: &plan::Route,
    index: usize,
    regexes: &mut Regexes<'_>,
    problems: &mut Vec<Problem>,
) -> Conditions {
    if route.headers.is_empty() && route.query.is_empty() && route.cookies.is_empty() && route.methods.is_empty() {
        return Conditions::default();
    }
    let mut conditions = Conditions::compile(route, index, regexes, problems);
    let other = route.methods.iter().filter(|method| method_bit(method.as_bytes()) == OTHER);
    conditions.other_methods = other.map(|method| method.as_bytes().into()).collect();
    conditions
}

/// Adds a line for each host and path of a route.
fn rank_route(
    route: &plan::Route,
    index: usize,
    first: usize,
    hosts: &Hosts,
    patterns: &[Pattern],
    order: &mut Vec<Ranked>,
) {
    for host in 0..route.hosts.len().max(1) {
        let bucket = hosts.bucket_of(route.hosts.get(host).map(String::as_str));
        for path in 0..route.paths.len().max(1) {
            let pattern = if route.paths.is_empty() { 0 } else { first + path };
            order.push(Ranked {
                key: precedence(bucket, &patterns[pattern], route, index),
                bucket,
                route: index as u32,
                pattern: pattern as u32,
                host: host as u32,
                path: path as u32,
            });
        }
    }
}

/// The order of precedence as one number: the lower wins.
///
/// From the front: host, exact path, length of the literal prefix, kind, literal bytes, captures, closed before open,
/// a rest last, having methods, number of headers, of query parameters, of cookies, and the place in the document.
fn precedence(bucket: u32, pattern: &Pattern, route: &plan::Route, index: usize) -> u128 {
    let mut key = 0u128;
    let mut push = |value: usize, bits: u32| {
        let most = (1u128 << bits) - 1;
        key = key << bits | (value as u128).min(most);
    };
    let less = |value: usize, bits: u32| ((1usize << bits) - 1).saturating_sub(value);
    let it = &pattern.specificity;
    push(bucket as usize, 32);
    push(usize::from(!it.exact_path), 1);
    push(less(it.literal_prefix as usize, 15), 15);
    push(it.kind as usize, 2);
    push(less(it.literal_bytes as usize, 15), 15);
    push(it.captures as usize, 6);
    push(usize::from(it.open), 1);
    push(usize::from(it.rest), 1);
    push(usize::from(route.methods.is_empty()), 1);
    push(less(route.headers.len(), 6), 6);
    push(less(route.query.len(), 6), 6);
    push(less(route.cookies.len(), 6), 6);
    push(index, 32);
    key
}

fn build(
    hosts: &Hosts,
    patterns: &[Pattern],
    order: &[Ranked],
    routes: &[plan::Route],
    conditions: &[Conditions],
) -> Builder {
    let mut builder = Builder::new(hosts.len());
    let mut attached = Vec::with_capacity(order.len());
    for (rank, line) in (0u32..).zip(order) {
        let pattern = &patterns[line.pattern as usize];
        let (node, attach) = place(&mut builder, line.bucket, &pattern.shape);
        let (capturing, detail, segments) = pattern.capturing();
        let entry = Entry {
            rank,
            route: line.route,
            detail,
            methods: method_mask(&routes[line.route as usize].methods),
            segments,
            capturing,
            regex: pattern.specificity.kind == Kind::Regex,
            conditions: !conditions[line.route as usize].is_empty(),
        };
        attached.push((node, attach, entry));
    }
    builder.attach(attached);
    builder
}

/// Where a pattern stands in the trie: the node of its segments, or of the whole segments of a regex's literal.
fn place(trie: &mut Builder, root: u32, shape: &Shape) -> (u32, Attach) {
    match shape {
        Shape::Any => (root, Attach::Open),
        Shape::Regex(regex) => {
            let mut node = root;
            if let [b'/', literal @ ..] = &*regex.literal {
                let whole = literal.iter().rposition(|&byte| byte == b'/').map(|end| &literal[..end]);
                for segment in whole.into_iter().flat_map(|whole| whole.split(|&byte| byte == b'/')) {
                    node = trie.literal_child(node, segment);
                }
            }
            (node, Attach::Below)
        }
        Shape::Segments(Segments { segments, end }) => {
            let mut node = root;
            for segment in segments {
                node = match literal(segment) {
                    Some(text) => trie.literal_child(node, text.as_bytes()),
                    None => trie.capture_child(node),
                };
            }
            match end {
                End::Open => (node, Attach::Open),
                End::Below | End::Rest => (node, Attach::Below),
                End::Exact => (node, Attach::Exact),
                End::ExactSlash => (trie.literal_child(node, b""), Attach::Exact),
            }
        }
    }
}
