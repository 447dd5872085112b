//! The requests that calls make: no value changes where they go.

use serde_json::{Value, from_value, json};
use tidegate_engine::json::{Hole, Raw, Request};
use tidegate_engine::plan::compose;

use crate::support::{Random, Scene, document};

fn plan(changes: Value) -> compose::Call {
    let mut plan = json!({
        "name": "a", "proxy": {"service": "s", "calling": null}, "method": "GET", "path": [{"text": "/"}], "query": [],
        "headers": [], "forward_headers": [], "body": null, "timeout_ms": null, "when": null, "for_each": null,
        "optional": false, "default": "null", "fallback": null, "pass_errors": false, "expect": [], "share": false,
        "needs": [],
    });
    plan.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    from_value(plan).unwrap()
}

fn compile(changes: Value) -> Request {
    Request::compile(&plan(changes)).unwrap_or_else(|problems| panic!("{}", problems[0].message))
}

fn source(path: &[&str]) -> Value {
    json!({"source": {"call": [0, path]}})
}

fn target(request: &Request, scene: &Scene) -> Result<String, Hole> {
    let mut out = b"/base".to_vec();
    let written = request.write_target(&request.locate(scene), scene, &mut out);
    let text = String::from_utf8(out).unwrap();
    match written {
        Ok(()) => Ok(text.strip_prefix("/base").unwrap().to_owned()),
        Err(hole) => {
            assert_eq!(text, "/base");
            Err(hole)
        }
    }
}

#[test]
fn a_value_is_the_content_of_one_segment_whatever_it_holds() {
    let request = compile(json!({"path": [{"text": "/users/"}, source(&["id"]), {"text": "/cards"}]}));
    for (value, expected) in [
        (r#""u-1""#, Ok("/users/u-1/cards")),
        (r#""a/b""#, Ok("/users/a%2Fb/cards")),
        (r#""../admin""#, Ok("/users/..%2Fadmin/cards")),
        (r#""a?b#c%2e&d""#, Ok("/users/a%3Fb%23c%252e%26d/cards")),
        (r#""a\r\nHost: x""#, Ok("/users/a%0D%0AHost%3A%20x/cards")),
        (r#""\\é😀""#, Ok("/users/%5C%C3%A9%F0%9F%98%80/cards")),
        ("12345678901234567890123", Ok("/users/12345678901234567890123/cards")),
        ("-1.5e+3", Ok("/users/-1.5e%2B3/cards")),
        ("true", Ok("/users/true/cards")),
        (r#""...""#, Ok("/users/.../cards")),
        (r#""a\u0000""#, Err(())),
        ("null", Err(())),
        ("{}", Err(())),
        ("[1]", Err(())),
        (r#""""#, Err(())),
        (r#"".""#, Err(())),
        (r#""..""#, Err(())),
        (r#""\u002e.""#, Err(())),
    ] {
        let scene = Scene::new(&[&format!("{{\"id\":{value}}}")]);
        assert_eq!(target(&request, &scene).map_err(drop), expected.map(str::to_owned), "{value}");
    }
    assert_eq!(target(&request, &Scene::new(&["{}"])), Err(Hole::Missing));
    assert_eq!(target(&request, &Scene::new(&[])), Err(Hole::Missing));
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(1 << 17));
    assert_eq!(target(&request, &Scene::new(&[&long])), Err(Hole::TooLong));
}

#[test]
fn values_beside_one_another_make_no_dot_segment_either() {
    let request = compile(json!({"path": [{"text": "/a/"}, source(&["x"]), source(&["y"]), {"text": "/b"}]}));
    for (x, y) in [(".", "."), ("..", ";x"), (".", ";x")] {
        let scene = Scene::new(&[&json!({"x": x, "y": y}).to_string()]);
        let made = target(&request, &scene);
        assert!(matches!(made, Err(Hole::Path(_))), "{x} {y}: {made:?}");
    }
    let dots = compile(json!({"path": [{"text": "/a/."}, source(&["x"])]}));
    assert!(matches!(target(&dots, &Scene::new(&[r#"{"x":"."}"#])), Err(Hole::Path(_))));
}

/// By chance: what a value does to a target, a strict reader undoes.
#[test]
fn a_path_has_the_segments_that_the_document_gives_it_whatever_the_values_are() {
    let request = compile(json!({
        "path": [{"text": "/a/"}, source(&["x"]), {"text": "/b"}], "query": [["q", [source(&["x"])]]],
    }));
    let mut scene = Scene::new(&[]);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let signs = ["/", ".", "?", "#", "%", "2e", "\r", "\n", " ", "\0", "\\", ";", "&", "=", "é", "a", "+"];
        let value: String = (0..random.below(5)).map(|_| random.pick(&signs)).collect();
        scene.calls = vec![Some(document(&json!({"x": value}).to_string()))];
        let Ok(made) = target(&request, &scene) else {
            let dots = ["", ".", ".."].contains(&value.as_str()) || value.starts_with(".;") || value.starts_with("..;");
            assert!(dots || value.contains('\0'), "{value:?}");
            continue;
        };
        let (path, query) = made.split_once('?').unwrap();
        let segments: Vec<&str> = path.split('/').collect();
        assert_eq!((segments.len(), segments[1], segments[3]), (4, "a", "b"), "{value:?}: {made}");
        let decode = |text: &str| tidegate_engine::path::decode(text.as_bytes()).collect::<Vec<u8>>();
        assert_eq!(decode(segments[2]), value.as_bytes());
        assert_eq!(decode(query.strip_prefix("q=").unwrap()), value.as_bytes());
        assert!(made.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    }
}

#[test]
fn what_the_client_says_stays_where_it_stands() {
    let request = compile(json!({
        "path": [{"text": "/x/"}, {"source": {"request": {"path": "id"}}}],
        "query": [["q", [{"source": {"request": {"query": "q"}}}]], ["a b", [{"text": "c&d"}]]],
    }));
    let mut scene = Scene::new(&[]);
    for (path, query, expected) in [
        ("/orders/a%2F..%2Fb", "q=%26x%3Dy+%23", "/x/a%2F..%2Fb?q=%26x%3Dy%20%23&a%20b=c%26d"),
        ("/orders/%3Fx%23", "q=", "/x/%3Fx%23?a%20b=c%26d"),
    ] {
        scene.ask(path, query);
        assert_eq!(target(&request, &scene).unwrap(), expected);
    }
    scene.exchange.route = None;
    assert_eq!(target(&request, &scene), Err(Hole::Missing));
}

#[test]
fn parameters_are_left_out_repeated_and_joined() {
    let scene =
        Scene::new(&[r#"{"a":"x y","n":null,"l":[1,"b&c",null,true],"o":{"k":1},"e":[],"d":[{"i":1},{"i":2},{}]}"#]);
    for (query, expected) in [
        (json!([["q", [source(&["a"])]]]), "/?q=x%20y"),
        (json!([["q", [source(&["n"])]], ["r", [source(&["none"])]]]), "/"),
        (json!([["q", [source(&["n"])]], ["r", [source(&["a"])]]]), "/?r=x%20y"),
        (json!([["q", [source(&["l"])]]]), "/?q=1&q=b%26c&q=true"),
        (json!([["q", [source(&["e"])]], ["r", [{"text": "1"}]]]), "/?r=1"),
        (json!([["q", [source(&["d", "*", "i"])]]]), "/?q=1&q=2"),
        (json!([["q", [source(&["o"])]]]), "/?q=%7B%22k%22%3A1%7D"),
        (json!([["q", [{"text": "<"}, source(&["n"]), source(&["a"]), {"text": ">"}]]]), "/?q=%3Cx%20y%3E"),
        (json!([["a&b=", [{"text": ""}]]]), "/?a%26b%3D="),
    ] {
        assert_eq!(target(&compile(json!({"query": query})), &scene).unwrap(), expected, "{query}");
    }
    let many = format!("{{\"l\":[{}0]}}", "12345678,".repeat(10_000));
    let request = compile(json!({"query": [["q", [source(&["l"])]]]}));
    assert_eq!(target(&request, &Scene::new(&[&many])), Err(Hole::TooLong));
}

#[test]
fn a_header_keeps_to_its_line() {
    let scene = Scene::new(&[r#"{"a":"x\r\nEvil: 1\u0000","n":null,"l":[1,"b",null],"s":" pad "}"#]);
    let request = compile(json!({"headers": [
        ["x-a", [source(&["a"])]], ["x-n", [source(&["n"])]], ["x-none", [source(&["none"])]], ["x-l", [source(&["l"])]],
        ["authorization", [{"text": "Bearer "}, source(&["s"])]], ["x-t", [{"text": "t"}]],
    ]}));
    let mut lines = Vec::new();
    let add = |name: &[u8], value: &[u8]| lines.push(format!("{}: {}", text(name), text(value)));
    request.write_headers(&request.locate(&scene), &scene, add).unwrap();
    assert_eq!(lines, ["x-a: x  Evil: 1", "x-l: 1,b", "authorization: Bearer  pad", "x-t: t"]);
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_item_makes_its_own_request() {
    let scene = Scene::new(&[r#"{"tenant":"t","items":[{"id":1},{"id":"a/b"},{},null]}"#]);
    let item = |steps: &[&str]| json!({"source": {"item": [0, steps]}});
    let request = compile(json!({
        "for_each": {"over": {"call": [0, ["items"]]}, "concurrency": 8, "distinct": true},
        "path": [{"text": "/"}, source(&["tenant"]), {"text": "/"}, item(&["id"])],
        "body": {"object": [
            ["item", {"value": {"item": [0, []]}}], ["at", {"value": "index"}],
            ["tenant", {"text": [source(&["tenant"])]}],
            ["loop", {"for_each": {"over": [{"call": [0, ["items"]]}], "value": {"array": [
                {"value": {"item": [0, ["id"]]}}, {"value": {"item": [1, ["id"]]}},
            ]}}}],
        ]},
    }));
    let mut frame = request.locate(&scene);
    let items: Vec<Raw<'_>> = request.items(&frame).unwrap().collect();
    assert_eq!(items.len(), 4);
    let mut made = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        request.set_item(&mut frame, item, index);
        let mut target = Vec::new();
        made.push(request.write_target(&frame, &scene, &mut target).map(|()| String::from_utf8(target).unwrap()));
        let mut body = Vec::new();
        request.write_body(&mut frame, &scene, 1 << 20, &mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["at"], &body["tenant"]), (&json!(index), &json!("t")));
        assert_eq!(body["loop"][1][0], body["item"].get("id").cloned().unwrap_or_default());
        assert_eq!(body["loop"][1][1], "a/b");
    }
    assert_eq!(made, [Ok("/t/1".into()), Ok("/t/a%2Fb".into()), Err(Hole::Missing), Err(Hole::Missing)]);
}

#[test]
fn what_is_no_list_has_no_items() {
    let each = |path: &str| {
        let over = json!({"call": [0, [path]]});
        compile(json!({"for_each": {"over": over, "concurrency": 8, "distinct": true}}))
    };
    let scene = Scene::new(&[r#"{"l":[],"o":{"a":1},"n":null,"s":"x"}"#]);
    for (path, expected) in [("l", Some(0)), ("o", None), ("n", None), ("s", None), ("none", None)] {
        let request = each(path);
        let frame = request.locate(&scene);
        assert_eq!(request.items(&frame).map(Iterator::count), expected, "{path}");
    }
    let plain = compile(json!({}));
    assert!(plain.items(&plain.locate(&scene)).is_none());
}

#[test]
fn what_cannot_be_a_request_is_a_fault_of_the_plan() {
    for (changes, message) in [
        (json!({"path": [{"text": "orders"}]}), "begins with"),
        (json!({"path": []}), "begins with"),
        (json!({"path": [source(&["x"])]}), "begins with"),
        (json!({"path": [{"text": "/a?b=c"}]}), "`query`"),
        (json!({"path": [{"text": "/a/"}, source(&["x"]), {"text": "#x"}]}), "`query`"),
        (json!({"path": [{"text": "/a b"}]}), "percent-encoded"),
        (json!({"path": [{"text": "/a/../b"}]}), "dot segment"),
        (json!({"path": [{"text": "/a%zz"}]}), "%"),
        (json!({"path": [{"text": "/a%4"}, source(&["x"])]}), "%"),
        (json!({"path": [{"text": "/a//b"}]}), "slashes"),
        (json!({"path": [{"text": "/a/%2e%2e/b"}]}), "dots"),
        (json!({"path": [{"text": "/"}, {"source": {"item": [0, []]}}]}), "item"),
    ] {
        let problems = Request::compile(&plan(changes.clone())).map(|_| ()).unwrap_err();
        assert!(problems[0].message.contains(message), "{changes}: {}", problems[0].message);
    }
}
