//! All routes in the order of precedence, with those that can never match and those that share requests.

use super::cover::{Methods, certain_segments, covers_conditions, covers_path};
use super::pattern::{End, Pattern, Shape};
use super::router::{Ranked, Router};
use super::trie::{Entry, Sharing, Way};
use super::written::{written_condition, written_path};
use crate::plan;
use rustc_hash::FxHashMap;
use serde::Serialize;

/// One host and path of a route, in the order of precedence.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Index in the plan.
    pub route: usize,
    pub name: String,
    /// As written; `None` when the route has none.
    pub host: Option<String>,
    pub path: Option<String>,
    pub methods: Vec<String>,
    /// As written: `header x-version=1|2`.
    pub conditions: Vec<String>,
    /// Routes before this one that together take all of it; empty when some request may reach it.
    pub shadowed_by: Vec<String>,
    /// Other routes that some of its requests match too, the first few.
    pub overlaps: Vec<Overlap>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlap {
    pub name: String,
    pub kind: OverlapKind,
}

/// How the paths of two lines that share requests lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapKind {
    /// The same paths.
    Same,
    /// This line's paths are among the other's.
    Within,
    /// The other's paths are among this line's.
    Contains,
    /// Each has paths of its own.
    Partial,
}

/// A route of which every line is shadowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreachable {
    pub route: usize,
    pub name: String,
    pub by: Vec<String>,
}

/// Overlaps listed for one line, and routes named as shadowing it.
const LISTED: usize = 8;
/// Shapes and conditional lines looked at for one line; beyond them shadows may be missed but nothing grows quadratic.
const COMPARED: usize = 256;

/// The routes in the order of precedence; `routes` are those the router was compiled from.
pub fn table(router: &Router, routes: &[plan::Route]) -> Vec<Line> {
    let mut lines: Vec<Line> = router.order.iter().map(|ranked| line(ranked, routes)).collect();
    mark_shadows(router, routes, &mut lines);
    mark_overlaps(router, routes, &mut lines);
    lines
}

/// The routes that can never match: what `run` and `check` warn about.
pub fn unreachable(lines: &[Line]) -> Vec<Unreachable> {
    let mut found: Vec<Unreachable> = Vec::new();
    let mut reachable = FxHashMap::default();
    for line in lines {
        *reachable.entry(line.route).or_insert(false) |= line.shadowed_by.is_empty();
    }
    for line in lines.iter().filter(|line| !reachable[&line.route]) {
        let by = line.shadowed_by.iter().filter(|name| **name != line.name);
        match found.iter_mut().find(|known| known.route == line.route) {
            None => found.push(Unreachable { route: line.route, name: line.name.clone(), by: by.cloned().collect() }),
            Some(known) => {
                let new: Vec<String> = by.filter(|name| !known.by.contains(name)).cloned().collect();
                known.by.extend(new);
            }
        }
    }
    found.sort_by_key(|it| it.route);
    found
}

fn line(ranked: &Ranked, routes: &[plan::Route]) -> Line {
    let route = &routes[ranked.route as usize];
    let kinds = [("header", &route.headers), ("query", &route.query), ("cookie", &route.cookies)];
    let conditions = kinds.iter().flat_map(|(kind, conditions)| {
        conditions.iter().map(move |condition| format!("{kind} {}", written_condition(condition)))
    });
    Line {
        route: ranked.route as usize,
        name: route.name.clone(),
        host: route.hosts.get(ranked.host as usize).cloned(),
        path: route.paths.get(ranked.path as usize).map(written_path),
        methods: route.methods.clone(),
        conditions: conditions.collect(),
        shadowed_by: Vec::new(),
        overlaps: Vec::new(),
    }
}

// ---- shadows

/// Lines of one shape of path, in order.
struct Group<'a> {
    pattern: &'a Pattern,
    /// Methods of the lines without conditions, and those lines.
    methods: Methods<'a>,
    plain: Vec<u32>,
    /// Lines with conditions.
    narrow: Vec<u32>,
}

/// A line can be shadowed only by one before it with the same host and literal prefix: what comes before with another
/// prefix has a longer one, and then there are paths it does not take.
fn mark_shadows(router: &Router, routes: &[plan::Route], lines: &mut [Line]) {
    let mut groups: FxHashMap<(u32, Vec<u8>), Vec<Group<'_>>> = FxHashMap::default();
    for (at, ranked) in router.order.iter().enumerate() {
        let pattern = &router.patterns[ranked.pattern as usize];
        let groups = groups.entry((ranked.bucket, literal_prefix(pattern))).or_default();
        let route = &routes[ranked.route as usize];
        lines[at].shadowed_by = shadows(routes, &router.order, groups, pattern, route);
        let same = |group: &&mut Group<'_>| covers_path(group.pattern, pattern) && covers_path(pattern, group.pattern);
        let group = match groups.iter_mut().take(COMPARED).find(same) {
            Some(group) => group,
            None => {
                groups.push(Group { pattern, methods: Methods::default(), plain: Vec::new(), narrow: Vec::new() });
                groups.last_mut().expect("just pushed")
            }
        };
        if route.headers.is_empty() && route.query.is_empty() && route.cookies.is_empty() {
            group.methods.add(&Methods::of(route));
            group.plain.push(at as u32);
        } else {
            group.narrow.push(at as u32);
        }
    }
}

fn shadows(
    routes: &[plan::Route],
    order: &[Ranked],
    groups: &[Group<'_>],
    pattern: &Pattern,
    route: &plan::Route,
) -> Vec<String> {
    let wanted = Methods::of(route);
    let mut taken = Methods::default();
    let mut by: Vec<u32> = Vec::new();
    for group in groups.iter().take(COMPARED).filter(|group| covers_path(group.pattern, pattern)) {
        if group.methods.meets(&wanted) {
            taken.add(&group.methods);
            by.extend(group.plain.iter().take(COMPARED));
        }
        for &at in group.narrow.iter().take(COMPARED) {
            let narrow = &routes[order[at as usize].route as usize];
            let methods = Methods::of(narrow);
            if methods.meets(&wanted) && covers_conditions(narrow, route) {
                taken.add(&methods);
                by.push(at);
            }
        }
        if taken.contains(&wanted) {
            by.sort_unstable();
            return names(routes, order, &by, &wanted);
        }
    }
    Vec::new()
}

/// The names of lines that each take something the ones before them leave.
fn names(routes: &[plan::Route], order: &[Ranked], by: &[u32], wanted: &Methods<'_>) -> Vec<String> {
    let route = |at: &u32| &routes[order[*at as usize].route as usize];
    if let Some(alone) = by.iter().map(route).find(|route| Methods::of(route).contains(wanted)) {
        return vec![alone.name.clone()];
    }
    let mut names: Vec<String> = Vec::new();
    let mut taken = Methods::default();
    for route in by.iter().map(route) {
        let methods = Methods::of(route);
        if taken.contains(wanted) || names.len() == LISTED {
            break;
        }
        if methods.meets(wanted) && !taken.contains(&methods.common(wanted)) {
            taken.add(&methods);
            names.push(route.name.clone());
        }
    }
    names
}

fn literal_prefix(pattern: &Pattern) -> Vec<u8> {
    match &pattern.shape {
        Shape::Any => Vec::new(),
        // Every path begins with a slash, whether the regex says so or not.
        Shape::Regex(regex) if regex.literal.is_empty() => b"/".to_vec(),
        Shape::Regex(regex) => regex.literal.to_vec(),
        Shape::Segments(segments) => {
            let mut path = segments.sample("");
            path.truncate(pattern.specificity.literal_prefix as usize);
            path
        }
    }
}

// ---- overlaps

fn mark_overlaps(router: &Router, routes: &[plan::Route], lines: &mut [Line]) {
    let builder = router.builder(routes);
    let sharing = Sharing::new(&builder);
    let mut met: Vec<Vec<(usize, OverlapKind)>> = vec![Vec::new(); lines.len()];
    for one in 0..router.order.len() {
        for other in sharing_lines(router, routes, &sharing, one) {
            let (kind, reverse) = kinds(router, one, other);
            for (at, with, kind) in [(one, other, kind), (other, one, reverse)] {
                if met[at].len() < LISTED && !met[at].contains(&(with, kind)) {
                    met[at].push((with, kind));
                }
            }
        }
    }
    for (at, mut met) in met.into_iter().enumerate() {
        met.sort_unstable_by_key(|(with, _)| *with);
        let overlap = |(with, kind): (usize, _)| Overlap { name: lines[with].name.clone(), kind };
        let mut overlaps: Vec<Overlap> = met.into_iter().map(overlap).collect();
        overlaps.dedup();
        lines[at].overlaps = overlaps;
    }
}

/// Lines that share requests with a line, found by walking the index along its pattern.
fn sharing_lines(router: &Router, routes: &[plan::Route], sharing: &Sharing<'_>, at: usize) -> Vec<usize> {
    let ranked = &router.order[at];
    let route = &routes[ranked.route as usize];
    let pattern = &router.patterns[ranked.pattern as usize];
    let (segments, end, samples) = match &pattern.shape {
        Shape::Any => (Vec::new(), End::Open, vec![b"/".to_vec()]),
        Shape::Regex(regex) => (certain_segments(&regex.literal).unwrap_or_default(), End::Below, Vec::new()),
        Shape::Segments(it) => (it.segments.to_vec(), it.end, vec![it.sample("1"), it.sample("x")]),
    };
    let methods = Methods::of(route);
    let mut met = Vec::new();
    let mut seen = 0;
    let host = route.hosts.get(ranked.host as usize);
    router.hosts.visit_wider(host.map(String::as_str), |bucket| {
        let way = Way { segments: &segments, end, deep: bucket != ranked.bucket };
        sharing.visit(bucket, way, &mut |entry: &Entry| {
            let other = &router.order[entry.rank as usize];
            let theirs = &router.patterns[other.pattern as usize];
            // Of two patterns with a regex it is certain only when one contains the other, or by a path both take.
            let certain = match samples.is_empty() || entry.regex {
                true => covers_path(theirs, pattern) || samples.iter().any(|sample| theirs.takes(sample)),
                false => true,
            };
            if certain && other.route != ranked.route && Methods::of(&routes[other.route as usize]).meets(&methods) {
                met.push(entry.rank as usize);
            }
            seen += 1;
            met.len() < LISTED && seen < COMPARED
        });
    });
    met
}

/// How the paths of two lines lie to each other, seen from the one and from the other.
fn kinds(router: &Router, one: usize, other: usize) -> (OverlapKind, OverlapKind) {
    let pattern = |at: usize| &router.patterns[router.order[at].pattern as usize];
    let within = covers_path(pattern(other), pattern(one));
    let contains = covers_path(pattern(one), pattern(other));
    match (within, contains) {
        (true, true) => (OverlapKind::Same, OverlapKind::Same),
        (true, false) => (OverlapKind::Within, OverlapKind::Contains),
        (false, true) => (OverlapKind::Contains, OverlapKind::Within),
        (false, false) => (OverlapKind::Partial, OverlapKind::Partial),
    }
}
