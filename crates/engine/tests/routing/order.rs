//! Which route wins.

use crate::support::{compile, condition, found, request, route, routes};
use tidegate_engine::routing::{Captures, Found, Router};

#[track_caller]
fn takes(paths: &[&str], cases: &[(&str, &str)]) {
    let routes = routes(paths);
    let router = compile(&routes);
    for (path, expected) in cases {
        let line = format!("GET {path}");
        assert_eq!(found(&routes, &router, &request(&line)), *expected, "{line} with {paths:?}");
    }
}

#[test]
fn a_prefix_matches_whole_segments() {
    takes(&["/orders"], &[("/orders", "/orders"), ("/orders/", "/orders"), ("/orders/5", "/orders")]);
    takes(&["/orders"], &[("/ordersx", "404"), ("/order", "404"), ("/x/orders", "404"), ("/Orders", "404")]);
}

#[test]
fn a_trailing_slash_asks_for_what_is_below() {
    takes(&["/orders/"], &[("/orders/", "/orders/"), ("/orders/5", "/orders/"), ("/orders", "404")]);
}

#[test]
fn the_root_takes_everything() {
    takes(&["/"], &[("/", "/"), ("/a", "/"), ("/a/b/", "/")]);
}

#[test]
fn what_begins_with_a_capture_comes_before_the_root() {
    let paths = ["/", "/{tenant}/x", r"~/\d+"];
    takes(&paths, &[("/acme/x", "/{tenant}/x"), ("/5", r"~/\d+"), ("/acme", "/")]);
}

#[test]
fn what_has_no_path_matches_no_route() {
    let routes = [route("any", &[], &[], &[]), route("root", &[], &["/"], &[])];
    let mut asterisk = request("OPTIONS /");
    asterisk.path = "*".to_owned();
    assert_eq!(found(&routes, &compile(&routes), &asterisk), "404");
}

#[test]
fn exact_lets_nothing_follow() {
    takes(&["=/orders"], &[("/orders", "=/orders"), ("/orders/", "404"), ("/orders/5", "404")]);
    takes(&["=/orders/"], &[("/orders/", "=/orders/"), ("/orders", "404"), ("/orders/5", "404")]);
    takes(&["=/"], &[("/", "=/"), ("/a", "404")]);
}

#[test]
fn a_capture_takes_one_segment_that_is_not_empty() {
    let path = "/orders/{id}";
    takes(&[path], &[("/orders/5", path), ("/orders/5/items", path), ("/orders/", "404"), ("/orders", "404")]);
    takes(&["=/orders/{id}"], &[("/orders/5", "=/orders/{id}"), ("/orders/5/", "404"), ("/orders/5/x", "404")]);
}

#[test]
fn a_rest_takes_all_that_is_left() {
    let path = "/files/{path...}";
    takes(&[path], &[("/files/", path), ("/files/a/b", path), ("/files", "404")]);
}

#[test]
fn a_regex_is_anchored_at_the_start_only() {
    let path = r"~/orders/\d+";
    takes(&[path], &[("/orders/5", path), ("/orders/5x", path), ("/orders/x", "404"), ("/x/orders/5", "404")]);
    takes(&[r"~^/orders/\d+$"], &[("/orders/5", r"~^/orders/\d+$"), ("/orders/5x", "404")]);
    takes(&["~/a|/b"], &[("/a", "~/a|/b"), ("/b", "~/a|/b"), ("/c/b", "404")]);
    takes(&["~.*x"], &[("/a/x", "~.*x")]);
}

#[test]
fn the_exact_path_wins_then_the_longer_literal_prefix() {
    takes(
        &["/", "/orders", "/orders/{id}", "/orders/special", "=/orders/5"],
        &[
            ("/orders/5", "=/orders/5"),
            ("/orders/6", "/orders/{id}"),
            ("/orders/special", "/orders/special"),
            ("/orders/special/x", "/orders/special"),
            ("/orders", "/orders"),
            ("/", "/"),
        ],
    );
}

#[test]
fn at_equal_length_literal_before_template_before_regex() {
    takes(&[r"~/a/\w+", "/a/{x}", "/a/"], &[("/a/b", "/a/")]);
    takes(&[r"~/a/\w+", "/a/{x}"], &[("/a/b", "/a/{x}")]);
    takes(&[r"~/a/b\w*", "/a/{x}"], &[("/a/bc", r"~/a/b\w*")]);
}

#[test]
fn among_templates_more_literal_bytes_then_fewer_captures() {
    takes(
        &["/a/{x}", "/a/{x}/b", "/a/{x}/{y}"],
        &[("/a/1/b", "/a/{x}/b"), ("/a/1/c", "/a/{x}/{y}"), ("/a/1", "/a/{x}")],
    );
    takes(&["/a/{x...}", "/a/{x}", "=/a/{x}"], &[("/a/1", "=/a/{x}"), ("/a/1/2", "/a/{x}"), ("/a/", "/a/{x...}")]);
}

#[test]
fn a_deeper_literal_that_leads_nowhere_gives_way_to_the_template() {
    takes(&["/a/{x}/c", "/a/b/d"], &[("/a/b/c", "/a/{x}/c"), ("/a/b/d", "/a/b/d"), ("/a/b/e", "404")]);
}

#[test]
fn the_host_comes_before_the_path() {
    let routes = [
        route("any", &[], &["=/x"], &[]),
        route("wild", &["*.example.com"], &["/x"], &[]),
        route("longer", &["*.eu.example.com"], &["/"], &[]),
        route("exact", &["a.eu.example.com"], &["/only"], &[]),
    ];
    let router = compile(&routes);
    let cases = [
        ("GET a.eu.example.com/only", "exact"),
        ("GET a.eu.example.com/x", "longer"),
        ("GET b.a.eu.example.com/x", "longer"),
        ("GET eu.example.com/x", "wild"),
        ("GET example.com/x", "any"),
        ("GET .example.com/x", "any"),
        ("GET other/x", "any"),
        ("GET /x", "any"),
        ("GET example.com/y", "404"),
    ];
    for (line, expected) in cases {
        assert_eq!(found(&routes, &router, &request(line)), expected, "{line}");
    }
}

#[test]
fn conditions_narrow_and_more_of_them_win() {
    let mut many = route("two headers", &[], &["/"], &[]);
    many.headers = vec![condition("x-a"), condition(r"x-b=~\d+")];
    let mut one = route("one header", &[], &["/"], &[]);
    one.headers = vec![condition("x-a=1|2")];
    let mut query = route("query", &[], &["/"], &[]);
    query.query = vec![condition("page size=ten & 1")];
    let mut cookie = route("cookie", &[], &["/"], &[]);
    cookie.cookies = vec![condition("beta=on")];
    let get = route("get", &[], &["/"], &["GET"]);
    let plain = route("plain", &[], &["/"], &[]);
    let routes = [plain, cookie, query, one, many, get];
    let router = compile(&routes);
    let post = || request("POST /");
    let cases = [
        (request("GET /").with("x-a", "1"), "get"),
        (post(), "plain"),
        (post().with("x-a", "1"), "one header"),
        (post().with("x-a", "3"), "plain"),
        (post().with("x-a", "3").with("x-a", "2"), "one header"),
        (post().with("x-a", "3").with("x-b", "12"), "two headers"),
        (post().with("x-a", "3").with("x-b", "12x"), "plain"),
        (request("POST /?a&page+size=ten%20%26+1"), "query"),
        (request("POST /?page+size=ten"), "plain"),
        (post().with("cookie", "a=1; beta=on"), "cookie"),
        (post().with("cookie", "a=1").with("cookie", "beta=on"), "cookie"),
        (post().with("cookie", "Beta=on"), "plain"),
    ];
    for (request, expected) in cases {
        assert_eq!(found(&routes, &router, &request), expected, "{request:?}");
    }
}

#[test]
fn document_order_decides_last() {
    let routes = [route("first", &[], &["/a"], &["POST"]), route("second", &[], &["/a"], &["GET", "POST"])];
    let router = compile(&routes);
    assert_eq!(found(&routes, &router, &request("POST /a")), "first");
    assert_eq!(found(&routes, &router, &request("GET /a")), "second");
}

#[test]
fn the_wrong_method_alone_is_405_with_what_is_allowed() {
    let mut hidden = route("hidden", &[], &["/a"], &["PATCH"]);
    hidden.headers = vec![condition("x-secret=1")];
    let routes = [
        route("write", &[], &["/a"], &["PUT", "PURGE"]),
        route("read", &[], &["/a/{x}"], &["GET"]),
        hidden,
        route("host", &["b.example"], &["/a"], &["DELETE"]),
    ];
    let router = compile(&routes);
    let cases = [
        ("POST /a", "405 PURGE, PUT"),
        ("POST /a/1", "405 GET, HEAD, PURGE, PUT"),
        ("POST b.example/a", "405 DELETE, PURGE, PUT"),
        ("PURGE /a", "write"),
        ("HEAD /a/1", "read"),
        ("POST /b", "404"),
        ("purge /a", "405 PURGE, PUT"),
    ];
    for (line, expected) in cases {
        assert_eq!(found(&routes, &router, &request(line)), expected, "{line}");
    }
    let secret = request("POST /a").with("x-secret", "1");
    assert_eq!(found(&routes, &router, &secret), "405 PATCH, PURGE, PUT");
}

#[test]
fn a_less_specific_route_takes_what_the_better_one_refuses() {
    let routes = [route("narrow", &[], &["/a/{x}"], &["GET"]), route("wide", &[], &["/a"], &[])];
    let router = compile(&routes);
    assert_eq!(found(&routes, &router, &request("POST /a/1")), "wide");
}

#[test]
fn captures_come_with_their_names() {
    let paths = ["/u/{user}/f/{file...}", "/o/{id}", r"~/r/(?P<year>\d{4})(?:-(?<month>\d\d))?(x)?", "/plain"];
    let routes = routes(&paths);
    let router = compile(&routes);
    let mut captures = Captures::new();
    let cases = [
        ("/u/ann/f/a/b", "user=ann file=a/b", "/u/ann/f"),
        ("/u/a%2Fb/f/", "user=a%2Fb file=", "/u/a%2Fb/f"),
        ("/o/5/items", "id=5", "/o/5"),
        ("/r/2026-07/x", "year=2026 month=07", "/r/2026-07"),
        ("/r/2026", "year=2026", "/r/2026"),
        ("/plain/x", "", "/plain"),
    ];
    for (path, expected, stripped) in cases {
        let request = request(&format!("GET {path}"));
        assert!(matches!(router.find(&request, &mut captures), Found::Route(_)), "{path}");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let all: Vec<String> =
            captures.iter(&router, path.as_bytes()).map(|(name, value)| format!("{name}={}", text(value))).collect();
        assert_eq!(all.join(" "), expected, "{path}");
        assert_eq!(&path[..captures.stripped()], stripped);
        for pair in &all {
            let (name, value) = pair.split_once('=').unwrap();
            assert_eq!(captures.get(&router, path.as_bytes(), name), Some(value.as_bytes()));
        }
        assert_eq!(captures.get(&router, path.as_bytes(), "nobody"), None);
    }
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let mut bad = route("bad", &[], &["~/a(", "/ok", "/a/{x}/{x}"], &[]);
    bad.headers = vec![condition("x=~[")];
    let huge = route("huge", &[], &[r"~/(\w{1000}){1000}"], &[]);
    let Err(problems) = Router::compile(&[bad, huge], None) else { panic!("compiled") };
    let places: Vec<_> = problems.iter().map(|it| (it.path.as_str(), it.code)).collect();
    assert_eq!(
        places,
        [
            ("routes[0].headers[0].values[0]", "routing.bad_regex"),
            ("routes[0].paths[0]", "routing.bad_regex"),
            ("routes[0].paths[2]", "routing.duplicate_capture"),
            ("routes[1].paths[0]", "routing.bad_regex"),
        ]
    );
    assert!(problems[1].message.contains("unclosed group at character 2"), "{}", problems[1].message);
}
