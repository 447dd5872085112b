//! The router against a linear search that follows the documentation word by word.

use crate::support::{Random, Request, compile, condition, found, route};
use std::cmp::Reverse;
use tidegate_engine::plan::{FieldMatch, PathPattern, Route, Segment, ValueMatch};
use tidegate_engine::routing::{Line, table, unreachable};

/// `~` patterns of the generator with their literal prefixes.
const REGEXES: &[(&str, &str)] = &[("/a/b.*", "/a/b"), ("^/a/(?<x>[ab]+)$", "/a/"), (".*b", ""), ("/(a|b)/c", "/")];

fn segment_fits(segment: &Segment, given: &str) -> bool {
    match segment {
        Segment::Literal(text) => text == given,
        Segment::Capture(_) => !given.is_empty(),
        Segment::Rest(_) => true,
    }
}

fn path_fits(pattern: &PathPattern, path: &str) -> bool {
    let given: Vec<&str> = path[1..].split('/').collect();
    let (segments, exact) = match pattern {
        PathPattern::Regex(pattern) => return regex_fits(pattern, path),
        PathPattern::Exact(segments) => (segments, true),
        PathPattern::Prefix(segments) => (segments, false),
    };
    let rest = matches!(segments.last(), Some(Segment::Rest(_)));
    let below = matches!(segments.last(), Some(Segment::Literal(text)) if text.is_empty());
    if segments.is_empty() {
        return !exact || path == "/";
    }
    if exact && !rest {
        return given.len() == segments.len() && segments.iter().zip(&given).all(|(it, given)| segment_fits(it, given));
    }
    let fixed = if rest || below { &segments[..segments.len() - 1] } else { &segments[..] };
    given.len() >= segments.len() && fixed.iter().zip(&given).all(|(it, given)| segment_fits(it, given))
}

/// The regexes of the generator, without a regex engine.
fn regex_fits(pattern: &str, path: &str) -> bool {
    match pattern {
        "/a/b.*" => path.starts_with("/a/b"),
        "^/a/(?<x>[ab]+)$" => {
            path.strip_prefix("/a/").is_some_and(|it| !it.is_empty() && it.chars().all(|it| "ab".contains(it)))
        }
        ".*b" => path.contains('b'),
        "/(a|b)/c" => path.starts_with("/a/c") || path.starts_with("/b/c"),
        other => panic!("{other}"),
    }
}

fn host_fits(pattern: Option<&String>, host: &str) -> bool {
    match pattern.map(|it| it.split_once('*')) {
        None => true,
        Some(Some((_, suffix))) => host.len() > suffix.len() && host.ends_with(suffix),
        Some(None) => pattern.is_some_and(|it| it == host),
    }
}

fn header_fits(condition: &FieldMatch, request: &Request) -> bool {
    request.headers.iter().any(|(name, value)| {
        *name == condition.name
            && (condition.values.is_empty()
                || condition.values.iter().any(|it| matches!(it, ValueMatch::Exact(text) if **text == **value)))
    })
}

fn method_fits(route: &Route, method: &str) -> bool {
    let has = |method: &str| route.methods.iter().any(|it| it == method);
    route.methods.is_empty() || has(method) || method == "HEAD" && has("GET")
}

/// The order of precedence as a tuple: the least wins.
fn precedence(route: &Route, index: usize, host: Option<&String>, path: Option<&PathPattern>) -> impl Ord + use<> {
    let host_key = match host {
        Some(host) if !host.starts_with('*') => (0, Reverse(0)),
        Some(host) => (1, Reverse(host.len())),
        None => (2, Reverse(0)),
    };
    let segments = |it: &[Segment]| -> (usize, usize, usize, bool) {
        let mut prefix = None;
        let (mut bytes, mut captures, mut rest) = (0, 0, false);
        for segment in it {
            bytes += 1;
            match segment {
                Segment::Literal(text) => bytes += text.len(),
                Segment::Capture(_) | Segment::Rest(_) => {
                    prefix = prefix.or(Some(bytes));
                    captures += 1;
                    rest |= matches!(segment, Segment::Rest(_));
                }
            }
        }
        (prefix.unwrap_or(bytes), bytes, captures, rest)
    };
    let path_key = match path {
        None => (1, Reverse(0), 3, Reverse(0), 0, 0, false),
        Some(PathPattern::Regex(pattern)) => {
            let literal = REGEXES.iter().find(|(known, _)| known == pattern).expect("a known regex").1;
            (1, Reverse(literal.len().max(1)), 2, Reverse(0), 0, 0, false)
        }
        Some(PathPattern::Prefix(it)) => {
            let (prefix, bytes, captures, rest) = segments(it);
            (1, Reverse(prefix), usize::from(captures > 0), Reverse(bytes), captures, 1, rest)
        }
        Some(PathPattern::Exact(it)) => {
            let (prefix, bytes, captures, rest) = segments(it);
            let tier = usize::from(captures > 0);
            (tier, Reverse(prefix), tier, Reverse(bytes), captures, usize::from(rest), rest)
        }
    };
    (host_key, path_key, route.methods.is_empty(), Reverse(route.headers.len()), index)
}

fn expected(routes: &[Route], request: &Request) -> String {
    let mut best = None;
    let mut allow: Vec<String> = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let hosts: Vec<Option<&String>> =
            if route.hosts.is_empty() { vec![None] } else { route.hosts.iter().map(Some).collect() };
        let paths: Vec<Option<&PathPattern>> =
            if route.paths.is_empty() { vec![None] } else { route.paths.iter().map(Some).collect() };
        for host in hosts.iter().filter(|it| host_fits(**it, &request.host)) {
            for path in paths.iter().filter(|it| it.is_none_or(|it| path_fits(it, &request.path))) {
                if !route.headers.iter().all(|it| header_fits(it, request)) {
                    continue;
                }
                if !method_fits(route, &request.method) {
                    allow.extend(route.methods.clone());
                    continue;
                }
                let key = precedence(route, index, *host, *path);
                if best.as_ref().is_none_or(|(known, _)| key < *known) {
                    best = Some((key, index));
                }
            }
        }
    }
    if let Some((_, index)) = best {
        return routes[index].name.clone();
    }
    if allow.is_empty() {
        return "404".to_owned();
    }
    if allow.iter().any(|it| it == "GET") {
        allow.push("HEAD".to_owned());
    }
    allow.sort();
    allow.dedup();
    format!("405 {}", allow.join(", "))
}

fn random_routes(random: &mut Random, most: usize) -> Vec<Route> {
    const SEGMENTS: &[&str] = &["/a", "/b", "/c", "/ab", "/{x}", "/{y}"];
    const HOSTS: &[&str] = &["a.b.c", "*.b.c", "*.c", "b.c"];
    const METHODS: &[&str] = &["GET", "POST", "HEAD", "PURGE"];
    const HEADERS: &[&str] = &["x", "x=1", "x=1|2", "y=1"];
    (0..1 + random.below(most))
        .map(|index| {
            let mut paths = Vec::new();
            for _ in 0..random.below(3) {
                if random.below(6) == 0 {
                    paths.push(format!("~{}", REGEXES[random.below(REGEXES.len())].0));
                    continue;
                }
                let mut path = if random.below(4) == 0 { "=".to_owned() } else { String::new() };
                let mut captured = Vec::new();
                for _ in 0..random.below(4) {
                    let segment = random.pick(SEGMENTS);
                    if !captured.contains(&segment) {
                        path += segment;
                    }
                    if segment.starts_with("/{") {
                        captured.push(segment);
                    }
                }
                match random.below(6) {
                    0 => path += "/",
                    1 => path += "/{rest...}",
                    _ if path.is_empty() || path == "=" => path += "/",
                    _ => {}
                }
                paths.push(path);
            }
            let mut pick = |from: &[&'static str], often: usize| -> Vec<&'static str> {
                if random.below(often) > 0 { Vec::new() } else { (0..2).map(|_| random.pick(from)).collect() }
            };
            let (hosts, methods, headers) = (pick(HOSTS, 3), pick(METHODS, 3), pick(HEADERS, 4));
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let mut route = route(&format!("r{index}"), &hosts, &paths, &methods);
            route.headers = headers.iter().map(|it| condition(it)).collect();
            route
        })
        .collect()
}

fn random_request(random: &mut Random) -> Request {
    let mut path = String::new();
    for _ in 0..random.below(5) {
        path += random.pick(&["/a", "/b", "/c", "/ab", "/aab", "/d"]);
    }
    if path.is_empty() || random.below(4) == 0 {
        path += "/";
    }
    let mut headers = Vec::new();
    for _ in 0..random.below(3) {
        headers.push((random.pick(&["x", "y"]).to_owned(), random.pick(&["1", "2", "3"]).to_owned()));
    }
    Request {
        host: random.pick(&["a.b.c", "b.c", "c", "x.a.b.c", "other"]).to_owned(),
        path,
        method: random.pick(&["GET", "POST", "HEAD", "PURGE", "BREW"]).to_owned(),
        query: None,
        headers,
    }
}

#[test]
fn the_router_agrees_with_the_documentation() {
    let mut random = Random::new(3);
    for _ in 0..600 {
        let routes = random_routes(&mut random, 24);
        let router = compile(&routes);
        for _ in 0..150 {
            let request = random_request(&mut random);
            let (expected, got) = (expected(&routes, &request), found(&routes, &router, &request));
            assert_eq!(got, expected, "{request:?} with {routes:#?}");
        }
    }
}

#[test]
fn no_route_that_is_called_unreachable_is_ever_found() {
    let mut random = Random::new(5);
    let mut called = 0;
    for _ in 0..600 {
        let routes = random_routes(&mut random, 24);
        let router = compile(&routes);
        let lines = table(&router, &routes);
        let names: Vec<String> = unreachable(&lines).into_iter().map(|it| it.name).collect();
        called += names.len();
        for _ in 0..200 {
            let request = random_request(&mut random);
            let got = found(&routes, &router, &request);
            assert!(!names.contains(&got), "{got} takes {request:?} with {routes:#?}");
        }
    }
    assert!(called > 100, "{called}");
}

fn line_fits(line: &Line, routes: &[Route], request: &Request) -> bool {
    let route = &routes[line.route];
    let written = |it: &PathPattern| tidegate_engine::routing::written_path(it);
    let path = route.paths.iter().find(|it| Some(written(it)) == line.path);
    host_fits(line.host.as_ref(), &request.host)
        && path.is_none_or(|it| path_fits(it, &request.path))
        && method_fits(route, &request.method)
        && route.headers.iter().all(|it| header_fits(it, request))
}

/// Paths that a pattern of the generator takes, and some it does not.
fn paths_near(pattern: Option<&PathPattern>) -> Vec<String> {
    let segments = match pattern {
        Some(PathPattern::Prefix(it) | PathPattern::Exact(it)) => &it[..],
        Some(PathPattern::Regex(_)) | None => &[],
    };
    let mut paths = vec![String::new()];
    for segment in segments {
        let texts = match segment {
            Segment::Literal(text) => vec![text.as_str()],
            Segment::Capture(_) => vec!["a", "b", "c", "ab", "1", "x"],
            Segment::Rest(_) => vec![""],
        };
        paths = paths.iter().flat_map(|path| texts.iter().map(move |text| format!("{path}/{text}"))).collect();
    }
    let ends =
        ["", "/", "/a", "/b", "/c", "/a/", "/a/b", "/a/c", "/b/c", "/ab/c", "/c/c", "a", "b", "c", "ab/c", "b/c"];
    paths.iter().flat_map(|path| ends.iter().map(move |end| format!("{path}{end}"))).collect()
}

/// Whether some request is taken by both lines.
fn share(one: &Line, other: &Line, routes: &[Route]) -> bool {
    let pattern = |line: &Line| {
        let paths = &routes[line.route].paths;
        paths.iter().find(|it| Some(tidegate_engine::routing::written_path(it)) == line.path)
    };
    let headers = [("x", "1"), ("x", "2"), ("y", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let paths = paths_near(pattern(one)).into_iter().chain(paths_near(pattern(other)));
    paths.filter(|path| path.starts_with('/')).any(|path| {
        ["a.b.c", "b.c", "c", "x.b.c", "x.c", "other"].iter().any(|host| {
            ["GET", "POST", "HEAD", "PURGE"].iter().any(|method| {
                let request = Request {
                    host: (*host).to_owned(),
                    path: path.clone(),
                    method: (*method).to_owned(),
                    query: None,
                    headers: headers.to_vec(),
                };
                line_fits(one, routes, &request) && line_fits(other, routes, &request)
            })
        })
    })
}

#[test]
fn lines_that_share_no_request_are_not_marked_as_overlapping() {
    let mut random = Random::new(11);
    let (mut marked, mut missed) = (0, 0);
    for _ in 0..100 {
        let routes = random_routes(&mut random, 3);
        let lines = table(&compile(&routes), &routes);
        for line in &lines {
            for overlap in &line.overlaps {
                marked += 1;
                let sharing = |it: &&Line| it.name == overlap.name && share(line, it, &routes);
                assert!(lines.iter().any(|it| sharing(&it)), "{line:#?} and {}", overlap.name);
            }
            let others = lines.iter().filter(|it| it.route != line.route && share(line, it, &routes));
            missed += others.filter(|it| !line.overlaps.iter().any(|overlap| overlap.name == it.name)).count();
        }
    }
    // The marks need not be complete (regexes are not taken apart), but nearly are.
    assert!(marked > 200 && missed * 5 < marked, "{marked} marked, {missed} missed");
}
