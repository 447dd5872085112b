//! Measures the router: time to compile, memory, and the cost of a match with 10 and with 10,000 routes.
//!
//! `cargo run --release -p tidegate-engine --example routing_bench`

use std::hint::black_box;
use std::time::{Duration, Instant};
use tidegate_engine::path::normalise;
use tidegate_engine::plan::{Action, Handler, PathPattern, Route, Segment};
use tidegate_engine::routing::{Captures, Found, Lookup, Router};

struct Request<'a> {
    path: &'a [u8],
}

impl Lookup for Request<'_> {
    fn host(&self) -> &[u8] {
        b"api.example.com"
    }
    fn path(&self) -> &[u8] {
        self.path
    }
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn query(&self) -> Option<&[u8]> {
        None
    }
    fn any_header(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

/// `/api/v1/service-7/orders` and, every third, `/api/v1/service-7/orders/{id}`; every hundredth is a regex.
fn routes(count: usize) -> Vec<Route> {
    (0..count).map(route).collect()
}

fn route(index: usize) -> Route {
    let literal = |text: &str| Segment::Literal(text.to_owned());
    let mut segments = vec![literal("api"), literal("v1"), literal(&format!("service-{index}")), literal("orders")];
    if index.is_multiple_of(3) {
        segments.push(Segment::Capture("id".to_owned()));
    }
    let path = match index % 100 {
        99 => PathPattern::Regex(format!(r"^/api/v1/service-{index}/orders/(?<id>\d+)")),
        _ => PathPattern::Prefix(segments),
    };
    Route {
        name: format!("route-{index}"),
        hosts: Vec::new(),
        paths: vec![path],
        methods: if index.is_multiple_of(2) { vec!["GET".to_owned(), "POST".to_owned()] } else { Vec::new() },
        headers: Vec::new(),
        query: Vec::new(),
        cookies: Vec::new(),
        action: Action::Handler(Handler { id: 0, name: "bench:handler".to_owned() }),
        timeout_ms: None,
        body_bytes: 0,
        priority: None,
        policies: Vec::new(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn best<T>(times: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut fastest = None;
    for _ in 0..times {
        let start = Instant::now();
        let made = work();
        let took = start.elapsed();
        if fastest.as_ref().is_none_or(|(known, _)| took < *known) {
            fastest = Some((took, made));
        }
    }
    fastest.expect("at least one run")
}

/// Nanoseconds to find the route of one path, in the best of several rounds.
///
/// The path is written into one buffer first, as a request would be, so that reading it costs the same however many paths
/// there are; what writing it costs is measured apart and taken off.
fn match_cost(router: &Router, services: &[u32]) -> f64 {
    // Short rounds, so that some are not interrupted.
    const REQUESTS: usize = 20_000;
    let mut captures = Captures::new();
    let (mut path, mut scratch) = (Vec::new(), Vec::new());
    let mut round = |work: &mut dyn FnMut(&[u8])| {
        let (took, ()) = best(200, || {
            for service in services.iter().cycle().take(REQUESTS) {
                path.clear();
                path.extend_from_slice(b"/api/v1/service-");
                path.extend_from_slice(itoa::Buffer::new().format(*service).as_bytes());
                path.extend_from_slice(b"/orders/12345");
                work(black_box(&path));
            }
        });
        took.as_secs_f64() * 1e9 / REQUESTS as f64
    };
    let writing = round(&mut |path| _ = black_box(path));
    let all = round(&mut |path| {
        let path = normalise(path, &mut scratch).expect("a good path");
        let found = router.find(&Request { path }, &mut captures);
        assert!(matches!(black_box(found), Found::Route(_)));
    });
    all - writing
}

/// Services to ask for, in an order that no prefetcher guesses.
fn services(routes: usize, count: usize) -> Vec<u32> {
    // A regex costs what it costs, however many routes there are.
    let asked = (0..).map(|at| (at * 7919 + at / 10) % routes).filter(|index| index % 100 != 99);
    asked.take(count).map(|index| index as u32).collect()
}

/// What the kernel says this process holds in memory (Linux).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let ten = Router::compile(&routes(10), None).expect("compiles");
    let few = match_cost(&ten, &services(10, 10_000));
    println!("normal form and match, 10 routes: {few:.1} ns");
    for count in [5_000, 10_000] {
        let routes = routes(count);
        let before = resident_bytes();
        let (first, router) = best(1, || Router::compile(&routes, None).expect("compiles"));
        let memory = (resident_bytes() - before) as f64 / 1e6;
        let (again, _) = best(9, || Router::compile(&routes, Some(&router)).expect("compiles"));
        println!(
            "{count} routes: compile {:.1} ms, reload {:.1} ms, {memory:.1} MB ({:.1} MB index)",
            milliseconds(first),
            milliseconds(again),
            router.memory() as f64 / 1e6,
        );
        for spread in [10, 1_000, count] {
            let cost = match_cost(&router, &services(count, spread));
            println!("  {spread} paths asked for: {cost:.1} ns ({:+.0} %)", (cost / few - 1.0) * 100.0);
        }
        println!("  memory after: {:.1} MB", (resident_bytes() - before) as f64 / 1e6);
    }
}
