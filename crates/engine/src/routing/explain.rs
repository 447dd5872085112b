//! Why a route takes a request, and why the near ones do not.

use super::lookup::{Captures, Lookup};
use super::pattern::{Pattern, Shape, literal};
use super::router::{Found, Ranked, Router};
use super::written::{written_condition, written_path};
use crate::plan;
use serde::Serialize;

/// What `tidegate explain` shows of routing.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// `route`, `no_route` or `method_not_allowed`.
    pub outcome: &'static str,
    pub winner: Option<Winner>,
    /// The value of `Allow`, for `method_not_allowed`.
    pub allow: Option<String>,
    /// The nearest first.
    pub losers: Vec<Loser>,
    /// Near losers beyond those listed.
    pub more_losers: usize,
}

#[derive(Debug, Serialize)]
pub struct Winner {
    /// Index in the plan.
    pub route: usize,
    pub name: String,
    /// The host and path that matched, as written; `None` when the route has none.
    pub host: Option<String>,
    pub path: Option<String>,
    /// Name and value, as in the normal path.
    pub captures: Vec<(String, String)>,
    /// Each condition that was met, in words.
    pub because: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Loser {
    pub route: usize,
    pub name: String,
    pub host: Option<String>,
    pub path: Option<String>,
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// `host`, `path`, `method`, `header`, `query`, `cookie` or `precedence`.
    pub kind: &'static str,
    pub text: String,
}

/// How many losers are listed.
const LISTED: usize = 20;

/// Explains one request. Looks at every route, so it is for people, not for traffic.
pub fn explain(router: &Router, routes: &[plan::Route], request: &impl Lookup) -> Explanation {
    let mut captures = Captures::new();
    let found = router.find(request, &mut captures);
    let winner = match found {
        Found::Route(_) => router.order.get(captures.rank as usize),
        _ => None,
    };
    let won = winner.map(|line| line.route);
    let mut losers: Vec<(Nearness, Loser)> = best_lines(router, routes, request)
        .into_iter()
        .filter(|(_, line)| Some(line.route) != won)
        .map(|(nearness, line)| (nearness, lose(router, routes, request, line, winner)))
        .collect();
    losers.sort_by_key(|(nearness, _)| *nearness);
    let more_losers = losers.len().saturating_sub(LISTED);
    losers.truncate(LISTED);
    Explanation {
        outcome: match &found {
            Found::Route(_) => "route",
            Found::NotFound => "no_route",
            Found::MethodNotAllowed { .. } => "method_not_allowed",
        },
        winner: winner.map(|line| win(router, routes, request, line, &captures)),
        allow: match found {
            Found::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        },
        losers: losers.into_iter().map(|(_, loser)| loser).collect(),
        more_losers,
    }
}

/// How near a line came; the smaller, the nearer. Then the better in the order.
type Nearness = (usize, usize, u128);

/// For each route that came near, its nearest line.
fn best_lines<'a>(router: &'a Router, routes: &[plan::Route], request: &impl Lookup) -> Vec<(Nearness, &'a Ranked)> {
    let mut best: Vec<Option<(Nearness, &Ranked)>> = vec![None; routes.len()];
    for line in &router.order {
        let pattern = &router.patterns[line.pattern as usize];
        let (host, path) = (takes_host(line, routes, request), pattern.takes(request.path()));
        let shared = if path { usize::MAX } else { shared_segments(pattern, request.path()) };
        if !path && shared == 0 {
            continue;
        }
        let nearness = (usize::from(!host) + 2 * usize::from(!path), usize::MAX - shared, line.key);
        let known = &mut best[line.route as usize];
        if known.as_ref().is_none_or(|(known, _)| nearness < *known) {
            *known = Some((nearness, line));
        }
    }
    best.into_iter().flatten().collect()
}

/// How many segments fit before the first that does not; only those that begin with a literal count as near.
fn shared_segments(pattern: &Pattern, path: &[u8]) -> usize {
    let mut given = path.strip_prefix(b"/").unwrap_or_default().split(|&byte| byte == b'/');
    match &pattern.shape {
        Shape::Any => 0,
        Shape::Regex(regex) => {
            let wanted = regex.literal.strip_prefix(b"/").unwrap_or_default().split(|&byte| byte == b'/');
            wanted.zip(given).take_while(|(wanted, given)| !wanted.is_empty() && wanted == given).count()
        }
        Shape::Segments(it) => {
            let wanted = it.segments.iter().map(literal);
            if it.segments.first().and_then(literal).is_none() {
                return 0;
            }
            wanted
                .take_while(|wanted| {
                    given.next().is_some_and(|given| wanted.map_or(!given.is_empty(), |it| it.as_bytes() == given))
                })
                .count()
        }
    }
}

fn host_of<'a>(line: &Ranked, routes: &'a [plan::Route]) -> Option<&'a String> {
    routes[line.route as usize].hosts.get(line.host as usize)
}

fn path_of(line: &Ranked, routes: &[plan::Route]) -> Option<String> {
    routes[line.route as usize].paths.get(line.path as usize).map(written_path)
}

fn takes_host(line: &Ranked, routes: &[plan::Route], request: &impl Lookup) -> bool {
    let Some(pattern) = host_of(line, routes) else { return true };
    match pattern.strip_prefix('*') {
        Some(suffix) => request.host().len() > suffix.len() && request.host().ends_with(suffix.as_bytes()),
        None => request.host() == pattern.as_bytes(),
    }
}

fn win(router: &Router, routes: &[plan::Route], request: &impl Lookup, line: &Ranked, captures: &Captures) -> Winner {
    let route = &routes[line.route as usize];
    let (host, path) = (host_of(line, routes).cloned(), path_of(line, routes));
    let mut because = Vec::new();
    let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    if let Some(host) = &host {
        because.push(format!("host `{}` matches `{host}`", shown(request.host())));
    }
    if let Some(path) = &path {
        because.push(format!("path `{}` matches `{path}`", shown(request.path())));
    }
    if !route.methods.is_empty() {
        because.push(format!("method {} is in [{}]", shown(request.method()), route.methods.join(", ")));
    }
    for (kind, conditions) in [("header", &route.headers), ("query", &route.query), ("cookie", &route.cookies)] {
        because.extend(conditions.iter().map(|it| format!("{kind} matches `{}`", written_condition(it))));
    }
    if because.is_empty() {
        because.push("the route takes every request".to_owned());
    }
    let captures = captures.iter(router, request.path());
    Winner {
        route: line.route as usize,
        name: route.name.clone(),
        host,
        path,
        captures: captures.map(|(name, value)| (name.to_owned(), shown(value))).collect(),
        because,
    }
}

fn lose(
    router: &Router,
    routes: &[plan::Route],
    request: &impl Lookup,
    line: &Ranked,
    winner: Option<&Ranked>,
) -> Loser {
    let route = &routes[line.route as usize];
    let (host, path) = (host_of(line, routes).cloned(), path_of(line, routes));
    let mut reasons = Vec::new();
    let mut add = |kind, text| reasons.push(Reason { kind, text });
    let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    if !takes_host(line, routes, request) {
        let wanted = host.as_deref().unwrap_or("*");
        add("host", format!("host `{}` does not match `{wanted}`", shown(request.host())));
    }
    if !router.patterns[line.pattern as usize].takes(request.path()) {
        let wanted = path.as_deref().unwrap_or("/");
        add("path", format!("path `{}` does not match `{wanted}`", shown(request.path())));
    }
    if !router.takes_method_of(line.route as usize, &route.methods, request) {
        add("method", format!("method {} is not in [{}]", shown(request.method()), route.methods.join(", ")));
    }
    router.conditions[line.route as usize].failures(request, &mut |kind, name, present| {
        let all = [&route.headers, &route.query, &route.cookies];
        let condition = all.into_iter().flatten().find(|it| it.name == name);
        let wanted = condition.map(written_condition).unwrap_or_default();
        add(
            kind,
            match present {
                true => format!("{kind} `{name}` does not match `{wanted}`"),
                false => format!("{kind} `{name}` is missing"),
            },
        );
    });
    if let (true, Some(winner)) = (reasons.is_empty(), winner) {
        let text = lower_precedence(router, routes, winner, line);
        reasons.push(Reason { kind: "precedence", text });
    }
    Loser { route: line.route as usize, name: route.name.clone(), host, path, reasons }
}

/// The first rule of the order that sets two lines apart, in words.
fn lower_precedence(router: &Router, routes: &[plan::Route], winner: &Ranked, loser: &Ranked) -> String {
    let (won, lost) = (&routes[winner.route as usize], &routes[loser.route as usize]);
    let name = &won.name;
    if winner.bucket != loser.bucket {
        return format!("`{name}` has the more specific host");
    }
    let specificity = |line: &Ranked| router.patterns[line.pattern as usize].specificity;
    let (a, b) = (specificity(winner), specificity(loser));
    if a.exact_path != b.exact_path {
        return format!("`{name}` names the exact path");
    }
    if a.literal_prefix != b.literal_prefix {
        let (a, b) = (a.literal_prefix, b.literal_prefix);
        return format!("`{name}` has the longer literal prefix ({a} bytes, not {b})");
    }
    if a.kind != b.kind {
        return format!("`{name}` has a path of the kind that comes first: literal, template, regex, none");
    }
    if a.literal_bytes != b.literal_bytes {
        let (a, b) = (a.literal_bytes, b.literal_bytes);
        return format!("`{name}` has more literal bytes in its path ({a}, not {b})");
    }
    if a.captures != b.captures {
        return format!("`{name}` has fewer captures ({}, not {})", a.captures, b.captures);
    }
    if a.open != b.open || a.rest != b.rest {
        return format!("`{name}` has the path that lets less follow");
    }
    if won.methods.is_empty() != lost.methods.is_empty() {
        return format!("`{name}` names its methods");
    }
    let counts = |route: &plan::Route| [route.headers.len(), route.query.len(), route.cookies.len()];
    for (what, (a, b)) in ["headers", "query parameters", "cookies"].iter().zip(counts(won).iter().zip(counts(lost))) {
        if *a != b {
            return format!("`{name}` has more conditions on {what} ({a}, not {b})");
        }
    }
    format!("`{name}` comes first in the document")
}
