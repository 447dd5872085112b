//! What references become where they go, and the target that goes upstream.

use crate::support::{Random, Request, compile, request, routes};
use std::net::IpAddr;
use tidegate_engine::path::normalise;
use tidegate_engine::plan::{Balance, Calling, Part, Pool, Proxy, Reference, Service, UpstreamProtocol};
use tidegate_engine::routing::{Captures, Found, Lookup, Router, UpstreamTarget};
use tidegate_engine::template::{Destination, RenderError, Template, Values};

/// A request that was routed.
struct Routed {
    request: Request,
    router: Router,
    captures: Captures,
}

impl Routed {
    fn new(path: &str, request: Request) -> Self {
        let router = compile(&routes(&[path]));
        let mut captures = Captures::new();
        assert_eq!(router.find(&request, &mut captures), Found::Route(0), "{request:?}");
        Self { request, router, captures }
    }
}

impl Lookup for Routed {
    fn host(&self) -> &[u8] {
        self.request.host()
    }
    fn path(&self) -> &[u8] {
        self.request.path()
    }
    fn method(&self) -> &[u8] {
        self.request.method()
    }
    fn query(&self) -> Option<&[u8]> {
        self.request.query()
    }
    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.request.any_header(name, test)
    }
}

impl Values for Routed {
    fn identity(&self) -> Option<&tidegate_engine::identity::Identity> {
        None
    }

    fn capture(&self, name: &str) -> Option<&[u8]> {
        self.captures.get(&self.router, self.path(), name)
    }
    fn client_ip(&self) -> IpAddr {
        IpAddr::from([10, 0, 0, 7])
    }
    fn route_name(&self) -> &str {
        "orders"
    }
    fn service_name(&self) -> &str {
        "order-service"
    }
    fn request_id(&self) -> &[u8] {
        b"01J"
    }
    fn scheme(&self) -> &str {
        "https"
    }
}

/// `user:{path.id}` as the plan has it.
fn parts(written: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = written;
    while let Some((text, after)) = rest.split_once('{') {
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        let (name, after) = after.split_once('}').expect("a closing brace");
        parts.push(Part::Reference(reference(name)));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    parts
}

fn reference(name: &str) -> Reference {
    let (room, field) = name.split_once('.').expect("room.field");
    match (room, field) {
        ("path", name) => Reference::Path(name.to_owned()),
        ("query", name) => Reference::Query(name.to_owned()),
        ("header", name) => Reference::Header(name.to_owned()),
        ("cookie", name) => Reference::Cookie(name.to_owned()),
        ("client", "ip") => Reference::ClientIp,
        ("route", "name") => Reference::RouteName,
        ("service", "name") => Reference::ServiceName,
        ("request", "id") => Reference::RequestId,
        ("request", "method") => Reference::RequestMethod,
        ("request", "path") => Reference::RequestPath,
        ("request", "query") => Reference::RequestQuery,
        ("request", "host") => Reference::RequestHost,
        ("request", "scheme") => Reference::RequestScheme,
        other => panic!("{other:?}"),
    }
}

fn render(written: &str, destination: Destination, values: &Routed) -> Result<String, RenderError> {
    let template = Template::compile(&parts(written), destination).unwrap_or_else(|error| panic!("{written}: {error}"));
    let mut out = b"kept".to_vec();
    let result = template.render(values, &mut out);
    let text = String::from_utf8_lossy(&out[4..]).into_owned();
    result.map(|()| text)
}

#[test]
fn every_reference_has_its_value() {
    let request = request("GET shop.example/o/a%2Fb?q=x+y%26z&q=2").with("x-a", "first").with("x-a", "second");
    let values = Routed::new("/o/{id}", request.with("cookie", "s=1; t=\"2\""));
    let written = "{path.id} {query.q} {query.none} {header.x-a} {cookie.t} {client.ip} {route.name} {service.name} \
                   {request.id} {request.method} {request.path} {request.query} {request.host} {request.scheme}";
    let expected =
        "a/b x y&z  first \"2\" 10.0.0.7 orders order-service 01J GET /o/a%2Fb q=x+y%26z&q=2 shop.example https";
    assert_eq!(render(written, Destination::Body, &values).as_deref(), Ok(expected));
}

#[test]
fn a_header_value_keeps_to_its_line() {
    let values = Routed::new("/{x}", request("GET /a?q=a%0d%0aset-cookie:%201%00"));
    assert_eq!(render("q={query.q}", Destination::Header, &values).as_deref(), Ok("q=a  set-cookie: 1 "));
    assert!(Template::compile(&parts("a\nb"), Destination::Header).is_err());
}

#[test]
fn bodies_escape_by_their_type() {
    assert_eq!(Destination::body("application/json; charset=utf-8"), Destination::JsonBody);
    assert_eq!(Destination::body("Application/Problem+JSON"), Destination::JsonBody);
    assert_eq!(Destination::body("text/html"), Destination::MarkupBody);
    assert_eq!(Destination::body("image/svg+xml"), Destination::MarkupBody);
    assert_eq!(Destination::body("text/plain"), Destination::Body);
    let values = Routed::new("/{x}", request("GET /a?q=%22,%0a<b>'%5c%01&r=%ff%c3%a9"));
    let json = render("{\"q\":\"{query.q}{query.r}\"}".trim_start_matches('{'), Destination::JsonBody, &values);
    assert_eq!(json.as_deref(), Ok("\"q\":\"\\\",\\n<b>'\\\\\\u0001\u{fffd}é\"}"));
    let html = render("<p>{query.q}</p>", Destination::MarkupBody, &values);
    assert_eq!(html.as_deref(), Ok("<p>&#34;,\n&lt;b&gt;&#39;\\\u{fffd}</p>"));
}

#[test]
fn a_value_in_a_path_is_the_content_of_one_segment() {
    let values = Routed::new("/u/{user}/{rest...}", request("GET h/u/a%2Fb%21/x/y?q=a/b?c%23d&up=..&nl=%0a"));
    let cases = [
        ("/v/{path.user}/z", Ok("/v/a%2Fb%21/z")),
        ("/v/{path.rest}", Ok("/v/x/y")),
        ("/v{request.path}", Ok("/v/u/a%2Fb%21/x/y")),
        ("/v/{query.q}", Ok("/v/a%2Fb%3Fc%23d")),
        ("/v/{query.up}", Err(RenderError::DotSegment)),
        ("/v/{query.up}x", Ok("/v/..x")),
        ("/v/.{query.up}/x", Ok("/v/.../x")),
        ("/v/{query.none}/x", Err(RenderError::Empty)),
        ("/v?a={path.user}&{request.query}", Ok("/v?a=a%2Fb%21&q=a/b?c%23d&up=..&nl=%0a")),
        ("/v?{query.none}", Ok("/v")),
        ("/v?q={query.q}#", Ok("/v?q=a%2Fb%3Fc%23d#")),
    ];
    for (written, expected) in cases {
        let destination = if written.ends_with('#') { Destination::Location } else { Destination::Path };
        let result = render(written, destination, &values);
        assert_eq!(result.as_deref(), expected.as_deref(), "{written}");
    }
    assert!(matches!(render("/v/{query.nl}", Destination::Path, &values), Err(RenderError::Path(_))));
    let empty = Routed::new("/u/{user}/{rest...}", request("GET /u/a/"));
    assert_eq!(render("/v/{path.rest}/z", Destination::Path, &empty).as_deref(), Ok("/v/z"));
}

#[test]
fn a_rewrite_is_checked_when_it_is_compiled() {
    for written in ["a", "/a#b", "/a/../b", "/a/.;x", "/%4", "/a%{query.x}", "/a b", "/é", "{query.x}"] {
        assert!(Template::compile(&parts(written), Destination::Path).is_err(), "{written}");
    }
}

#[test]
fn a_location_stays_where_the_template_points() {
    let values =
        Routed::new(r"~/r(?<tail>/.*)", request("GET shop.example/r/evil.example/x?next=evil.example/&t=acme"));
    let cases = [
        ("https://{request.host}{request.path}", Ok("https://shop.example/r/evil.example/x")),
        ("{request.scheme}://{query.t}.example/a?n={query.next}", Ok("https://acme.example/a?n=evil.example%2F")),
        ("https://{query.next}.example/", Err(RenderError::Host)),
        ("https://{query.none}/", Err(RenderError::Host)),
        ("/{path.tail}", Ok("/evil.example/x")),
        ("/{query.next}", Ok("/evil.example%2F")),
        ("https://other.example", Ok("https://other.example")),
        ("/a#{query.next}", Ok("/a#evil.example%2F")),
    ];
    for (written, expected) in cases {
        assert_eq!(render(written, Destination::Location, &values).as_deref(), expected.as_deref(), "{written}");
    }
    for written in ["//evil", "{query.next}", "x", "?a", "javascript:1", "/a/../b", "/%zz", "/a b", "ftp://x"] {
        assert!(Template::compile(&parts(written), Destination::Location).is_err(), "{written}");
    }
}

#[test]
fn a_kept_query_follows_the_locations_own() {
    let values = Routed::new("/", request("GET /"));
    let cases = [("/a", "/a?x=1"), ("/a?b=2", "/a?b=2&x=1"), ("/a?", "/a?x=1"), ("/a?b#f", "/a?b&x=1#f")];
    for (written, expected) in cases {
        let template = Template::compile(&parts(written), Destination::Location).unwrap();
        let mut out = Vec::new();
        template.render_with_query(&values, Some(b"x=1"), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

fn service(base_path: &str) -> Service {
    Service {
        name: "s".to_owned(),
        targets: Vec::new(),
        balance: Balance::RoundRobin,
        slow_start_ms: 0,
        panic_percent: 20,
        health_check: None,
        host: "s".to_owned(),
        base_path: base_path.to_owned(),
        protocol: UpstreamProtocol::Http1,
        tls: None,
        calling: Calling::once(),
        connect_timeout_ms: 1,
        read_timeout_ms: 1,
        write_timeout_ms: 1,
        pool: Pool { max_idle: 0, idle_timeout_ms: 0 },
    }
}

fn target(base: &str, strip_path: bool, rewrite: Option<&str>, values: &Routed) -> Result<String, RenderError> {
    let proxy =
        Proxy { service: "s".to_owned(), strip_path, rewrite: rewrite.map(parts), preserve_host: false, calling: None };
    let target = UpstreamTarget::compile(&proxy, &service(base)).expect("compiles");
    let mut out = Vec::new();
    target.write(values, &values.captures, &mut out).map(|()| String::from_utf8(out).expect("ASCII"))
}

#[test]
fn the_target_is_the_matched_path_behind_the_services_own() {
    let cases = [
        ("/orders", "/orders/5?a=1", "", false, "/orders/5?a=1"),
        ("/orders", "/orders/5?", "/v1", false, "/v1/orders/5?"),
        ("/orders", "/orders/5", "/v1", true, "/v1/5"),
        ("/orders", "/orders", "", true, "/"),
        ("/orders", "/orders", "/v1", true, "/v1"),
        ("/orders", "/orders/", "/v1", true, "/v1/"),
        ("/orders/", "/orders/5", "", true, "/5"),
        ("/orders/{id}", "/orders/5/items", "", true, "/items"),
        ("=/orders/{id}", "/orders/5", "/v1/", true, "/v1"),
        ("/files/{p...}", "/files/a/b", "", true, "/a/b"),
        (r"~/orders/\d", "/orders/55/x", "", true, "/5/x"),
        ("/", "/a", "/v1", true, "/v1/a"),
    ];
    for (path, url, base, strip, expected) in cases {
        let values = Routed::new(path, request(&format!("GET {url}")));
        assert_eq!(target(base, strip, None, &values).as_deref(), Ok(expected), "{path} {url} {base}");
    }
}

#[test]
fn a_rewrite_replaces_the_path_and_perhaps_the_query() {
    let values = Routed::new("/o/{id}", request("GET /o/5/x?a=1"));
    let cases = [("/r/{path.id}", "/v1/r/5?a=1"), ("/r?id={path.id}", "/v1/r?id=5"), ("/r?", "/v1/r")];
    for (rewrite, expected) in cases {
        assert_eq!(target("/v1", false, Some(rewrite), &values).as_deref(), Ok(expected), "{rewrite}");
    }
}

#[test]
fn what_a_regex_leaves_is_no_dot_segment() {
    let values = Routed::new("~/a", request("GET /a../b"));
    assert_eq!(target("", true, None, &values), Err(RenderError::DotSegment));
}

/// Values that try to break out, percent-encoded so that a query can carry them.
fn hostile(random: &mut Random) -> String {
    const BYTES: &[u8] = b"/./..%2F\\?#&=;:@\"<>'{}\r\n\0 a\xc3\xff\x7f+";
    (0..random.below(6)).map(|_| format!("%{:02X}", BYTES[random.below(BYTES.len())])).collect()
}

#[test]
fn no_value_breaks_out_of_its_place() {
    let mut random = Random::new(7);
    for _ in 0..20_000 {
        let (q, h) = (hostile(&mut random), hostile(&mut random));
        let header: Vec<u8> = tidegate_engine::path::decode(h.as_bytes()).collect();
        let header = String::from_utf8_lossy(&header).into_owned();
        let values = Routed::new("/{x}", request(&format!("GET h/a?q={q}")).with("x", &header));

        let line = render("[{query.q}|{header.x}]", Destination::Header, &values).unwrap();
        assert!(!line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'), "{line:?}");

        let json = format!("[{}]", render("\"{query.q}\",\"{header.x}\"", Destination::JsonBody, &values).unwrap());
        let parsed: Vec<String> = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(parsed.len(), 2);

        let html = render("<p a='{query.q}'>{header.x}</p>", Destination::MarkupBody, &values).unwrap();
        assert_eq!(html.matches(['<', '>', '\'']).count(), 6, "{html}");

        if let Ok(path) = render("/v/{query.q}/{header.x}/z?a={query.q}&b={header.x}", Destination::Path, &values) {
            let (path, query) = path.split_once('?').unwrap();
            assert_eq!(path.split('/').count(), 5, "{path}");
            assert_eq!(normalise(path.as_bytes(), &mut Vec::new()), Ok(path.as_bytes()));
            assert_eq!((query.matches('&').count(), query.matches('=').count()), (1, 2), "{query}");
        }
    }
}
