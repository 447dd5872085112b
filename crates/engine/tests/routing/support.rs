//! Requests and routes in one line each, and a generator with a fixed seed.

use tidegate_engine::plan::{Action, FieldMatch, Handler, PathPattern, Route, Segment, ValueMatch};
use tidegate_engine::routing::{Captures, Found, Lookup, Router};

/// xorshift64*: the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

#[derive(Debug, Clone, Default)]
pub struct Request {
    pub host: String,
    pub path: String,
    pub method: String,
    pub query: Option<String>,
    pub headers: Vec<(String, String)>,
}

impl Lookup for Request {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.headers.iter().any(|(known, value)| known == name && test(value.as_bytes()))
    }
}

/// `GET example.com/orders?x=1`, `GET /orders`.
pub fn request(line: &str) -> Request {
    let (method, url) = line.split_once(' ').expect("METHOD URL");
    let slash = url.find('/').expect("a path");
    let (path, query) = match url[slash..].split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (&url[slash..], None),
    };
    Request {
        host: url[..slash].to_owned(),
        path: path.to_owned(),
        method: method.to_owned(),
        query,
        headers: Vec::new(),
    }
}

impl Request {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A path as the document writes it.
pub fn pattern(written: &str) -> PathPattern {
    if let Some(regex) = written.strip_prefix('~') {
        return PathPattern::Regex(regex.to_owned());
    }
    let (exact, path) = match written.strip_prefix('=') {
        Some(path) => (true, path),
        None => (false, written),
    };
    let path = path.strip_prefix('/').expect("a path begins with /");
    let segments = match path {
        "" => Vec::new(),
        path => path.split('/').map(segment).collect(),
    };
    if exact { PathPattern::Exact(segments) } else { PathPattern::Prefix(segments) }
}

fn segment(written: &str) -> Segment {
    match written.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        None => Segment::Literal(written.to_owned()),
        Some(name) => match name.strip_suffix("...") {
            Some(name) => Segment::Rest(name.to_owned()),
            None => Segment::Capture(name.to_owned()),
        },
    }
}

pub fn route(name: &str, hosts: &[&str], paths: &[&str], methods: &[&str]) -> Route {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Route {
        name: name.to_owned(),
        hosts: owned(hosts),
        paths: paths.iter().map(|path| pattern(path)).collect(),
        methods: owned(methods),
        headers: Vec::new(),
        query: Vec::new(),
        cookies: Vec::new(),
        action: Action::Handler(Handler { id: 0, name: "tests:handler".to_owned() }),
        timeout_ms: None,
        body_bytes: 0,
        priority: None,
        policies: Vec::new(),
    }
}

/// Routes named by their first path.
pub fn routes(paths: &[&str]) -> Vec<Route> {
    paths.iter().map(|path| route(path, &[], &[path], &[])).collect()
}

/// `x`, `x=1`, `x=1|2`, `x=~\d+`.
pub fn condition(written: &str) -> FieldMatch {
    let (name, values) = match written.split_once('=') {
        None => (written, Vec::new()),
        Some((name, values)) => (name, values.split('|').map(value).collect()),
    };
    FieldMatch { name: name.to_owned(), values }
}

fn value(written: &str) -> ValueMatch {
    match written.strip_prefix('~') {
        Some(pattern) => ValueMatch::Regex(pattern.to_owned()),
        None => ValueMatch::Exact(written.into()),
    }
}

pub fn compile(routes: &[Route]) -> Router {
    Router::compile(routes, None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The name of the route that takes the request, or `404`, or `405 ALLOW`.
pub fn found(routes: &[Route], router: &Router, request: &Request) -> String {
    match router.find(request, &mut Captures::new()) {
        Found::Route(index) => routes[index].name.clone(),
        Found::NotFound => "404".to_owned(),
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
    }
}
