//! What is said to people: explain and the table.

use crate::support::{compile, condition, request, route, routes};
use tidegate_engine::plan::Route;
use tidegate_engine::routing::{Line, OverlapKind, explain, table, unreachable};

#[test]
fn explain_says_why_one_won_and_the_others_lost() {
    let mut header = route("header", &[], &["/orders/{id}"], &[]);
    header.headers = vec![condition("x-a=1")];
    let routes = [
        route("orders", &[], &["/orders"], &[]),
        header,
        route("get", &[], &["/orders/{id}"], &["GET"]),
        route("post", &[], &["/orders/{order}"], &["POST"]),
        route("host", &["other.example"], &["/orders"], &[]),
        route("items", &[], &["/orders/{id}/items"], &[]),
        route("far", &[], &["/users"], &[]),
    ];
    let router = compile(&routes);
    let explained = explain(&router, &routes, &request("GET shop.example/orders/5"));
    assert_eq!(explained.outcome, "route");
    let winner = explained.winner.unwrap();
    assert_eq!((winner.name.as_str(), winner.path.as_deref()), ("get", Some("/orders/{id}")));
    assert_eq!(winner.captures, [("id".to_owned(), "5".to_owned())]);
    assert_eq!(winner.because, ["path `/orders/5` matches `/orders/{id}`", "method GET is in [GET]"]);
    let losers: Vec<String> = explained
        .losers
        .iter()
        .map(|it| format!("{}: {}", it.name, it.reasons.iter().map(|it| &*it.text).collect::<Vec<_>>().join("; ")))
        .collect();
    assert_eq!(
        losers,
        [
            "post: method GET is not in [POST]",
            "header: header `x-a` is missing",
            "orders: `get` has the longer literal prefix (8 bytes, not 7)",
            "host: host `shop.example` does not match `other.example`",
            "items: path `/orders/5` does not match `/orders/{id}/items`",
        ]
    );
    let json = serde_json::to_value(explain(&router, &routes, &request("PUT shop.example/users/"))).unwrap();
    assert_eq!(json["winner"]["name"], "far");
    let refused = explain(&compile(&routes[2..4]), &routes[2..4], &request("PUT h/orders/5"));
    assert_eq!((refused.outcome, refused.allow.as_deref()), ("method_not_allowed", Some("GET, HEAD, POST")));
    assert_eq!(refused.losers.len(), 2);
}

fn shadows(routes: &[Route]) -> Vec<String> {
    let lines = table(&compile(routes), routes);
    unreachable(&lines).iter().map(|it| format!("{} by {}", it.name, it.by.join(", "))).collect()
}

#[test]
fn a_route_is_unreachable_when_those_before_it_take_all_of_it() {
    assert_eq!(shadows(&routes(&["/", "/a", "/a/b", "/{x}", "~.*y"])), [""; 0]);
    assert_eq!(shadows(&routes(&["/a/", "/a/{id}", r"~/a/\d+"])), ["/a/{id} by /a/", r"~/a/\d+ by /a/"]);
    assert_eq!(shadows(&[route("one", &[], &["/a/{x}"], &[]), route("two", &[], &["/a/{y}"], &[])]), ["two by one"]);
    assert_eq!(shadows(&[route("any", &[], &[], &[]), route("root", &[], &["/"], &[])]), ["any by root"]);
    let hosts = [route("one", &["a.example"], &["/"], &[]), route("two", &["b.example"], &["/"], &[])];
    assert_eq!(shadows(&hosts), [""; 0]);
}

#[test]
fn methods_and_conditions_count() {
    let get = route("get", &[], &["/a"], &["GET"]);
    let post = route("post", &[], &["/a"], &["POST", "PUT"]);
    let both = route("both", &[], &["/a"], &["POST", "GET"]);
    let head = route("head", &[], &["/a"], &["HEAD"]);
    let all = route("all", &[], &["/a"], &[]);
    assert_eq!(shadows(&[get.clone(), post.clone(), both, head, all]), ["both by get, post", "head by get"]);
    let with = |name: &str, header: &str| {
        let mut route = route(name, &[], &["/a"], &[]);
        route.headers = vec![condition(header)];
        route
    };
    assert_eq!(shadows(&[with("present", "x"), with("one", "x=1"), get.clone()]), ["one by present"]);
    assert_eq!(shadows(&[with("one", "x=1"), with("present", "x")]), [""; 0]);
    assert_eq!(shadows(&[with("some", "x=1|2"), with("one", "x=1"), with("three", "x=1|3")]), ["one by some"]);
}

fn overlaps(line: &Line) -> String {
    let kind = |kind| match kind {
        OverlapKind::Same => "=",
        OverlapKind::Within => "<",
        OverlapKind::Contains => ">",
        OverlapKind::Partial => "~",
    };
    let with: Vec<String> = line.overlaps.iter().map(|it| format!("{}{}", kind(it.kind), it.name)).collect();
    format!("{} {}", line.name, with.join(" "))
}

#[test]
fn the_table_is_in_order_and_marks_overlaps() {
    let routes = routes(&["/", "/a/{x}", "/a", "/a/{x}/b", "/{y}/c", r"~/b/\w", "=/a/1"]);
    let lines = table(&compile(&routes), &routes);
    let shown: Vec<String> = lines.iter().map(overlaps).collect();
    assert_eq!(
        shown,
        [
            "=/a/1 </a/{x} </a </",
            "/a/{x}/b </a/{x} </a ~/{y}/c </",
            "/a/{x} >=/a/1 >/a/{x}/b </a ~/{y}/c </",
            r"~/b/\w </",
            "/a >=/a/1 >/a/{x}/b >/a/{x} ~/{y}/c </",
            "/{y}/c ~/a/{x}/b ~/a/{x} ~/a </",
            r"/ >=/a/1 >/a/{x}/b >/a/{x} >~/b/\w >/a >/{y}/c",
        ]
    );
}

#[test]
fn ten_thousand_routes_are_analysed_without_comparing_each_with_each() {
    // A budget that only quadratic work would break, even in a debug build.
    let many = |path: &dyn Fn(usize) -> String| -> Vec<Route> {
        (0..10_000).map(|at| route(&format!("r{at}"), &[], &[&path(at)], &[])).collect()
    };
    let cases = [
        many(&|at| format!("/svc-{at}/{{id}}")),
        many(&|at| format!("/{{tenant}}/svc-{at}")),
        many(&|_| "/same".to_owned()),
    ];
    for routes in cases {
        let router = compile(&routes);
        let start = std::time::Instant::now();
        let lines = table(&router, &routes);
        explain(&router, &routes, &request("GET h/svc-7/5"));
        assert_eq!(lines.len(), 10_000);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
