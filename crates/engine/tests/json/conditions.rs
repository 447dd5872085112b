//! When calls are made and views chosen.

use serde_json::{Value, from_value, json};
use tidegate_engine::json::When;

use crate::support::Scene;

fn holds(plan: Value, scene: &Scene) -> Result<bool, String> {
    let plan = from_value(plan).unwrap();
    When::compile(&plan).map_err(|problems| problems[0].message.clone()).unwrap().holds(scene)
}

fn scene() -> Scene {
    let answer = r#"{"s":"gold","n":12,"t":true,"z":null,"l":["a",7,null],"e":[],"o":{},"d":[{"k":"x"},{"k":"y"}]}"#;
    let mut scene = Scene::new(&[answer]);
    scene.ask("/orders/o-1", "q=1&q=2&empty=");
    scene.header("x-client", "mobile");
    scene.header("x-client", "app");
    scene.header("cookie", "beta=on");
    scene.claims(json!({"roles": ["admin", "ops"], "level": 3, "none": null}));
    scene
}

#[test]
fn fields_are_compared_by_their_text() {
    let scene = scene();
    let exact = |text: &str| json!([{"exact": text}]);
    let call = |path: &[&str]| json!({"call": [0, path]});
    for (source, values, present, expected) in [
        (call(&["s"]), exact("gold"), true, true),
        (call(&["s"]), exact("gol"), true, false),
        (call(&["s"]), json!([{"exact": "x"}, {"regex": "g.*"}]), true, true),
        (call(&["s"]), json!([{"regex": "ol"}]), true, false),
        (call(&["n"]), exact("12"), true, true),
        (call(&["t"]), exact("true"), true, true),
        (call(&["z"]), exact("null"), true, false),
        (call(&["z"]), json!([]), true, false),
        (call(&["z"]), json!([]), false, true),
        (call(&["none"]), json!([]), false, true),
        (call(&["s"]), json!([]), false, false),
        (call(&["l"]), exact("7"), true, true),
        (call(&["l"]), exact("b"), true, false),
        (call(&["e"]), json!([]), true, true),
        (call(&["e"]), json!([]), false, false),
        (call(&["e"]), exact("x"), true, false),
        (call(&["o"]), json!([]), true, true),
        (call(&["o"]), exact("{}"), true, false),
        (call(&["d", "*", "k"]), exact("y"), true, true),
        (call(&["d", "*", "k"]), exact("z"), true, false),
        (json!({"call": [9, []]}), json!([]), true, false),
        (json!({"request": {"header": "x-client"}}), exact("app"), true, true),
        (json!({"request": {"header": "x-none"}}), json!([]), false, true),
        (json!({"request": {"query": "q"}}), exact("2"), true, true),
        (json!({"request": {"query": "empty"}}), json!([]), true, true),
        (json!({"request": {"cookie": "beta"}}), exact("on"), true, true),
        (json!({"request": {"claims": ["roles"]}}), exact("ops"), true, true),
        (json!({"request": {"claims": ["level"]}}), exact("3"), true, true),
        (json!({"request": {"claims": ["none"]}}), json!([]), true, false),
        (json!({"request": {"path": "id"}}), exact("o-1"), true, true),
        (json!({"request": "consumer_tier"}), json!([]), false, true),
    ] {
        let plan = json!({"fields": [[source, values, present]]});
        assert_eq!(holds(plan.clone(), &scene), Ok(expected), "{plan}");
    }
    let both =
        |second: &str| json!({"fields": [[call(&["s"]), exact("gold"), true], [call(&["n"]), exact(second), true]]});
    assert_eq!(holds(both("12"), &scene), Ok(true));
    assert_eq!(holds(both("13"), &scene), Ok(false));
    assert_eq!(holds(json!({"fields": []}), &scene), Ok(true));
}

#[test]
fn expressions_see_the_request_and_the_answers_that_they_name() {
    let scene = scene();
    let cel = |expression: &str| holds(json!({"cel": {"expression": expression, "calls": [["order", 0]]}}), &scene);
    assert_eq!(cel("order.s == 'gold' && order.n > 10"), Ok(true));
    assert_eq!(cel("'admin' in claims.roles && order.l.size() == 3"), Ok(true));
    assert_eq!(cel("request.query['q'] == '2'"), Ok(false));
    assert!(cel("order.none == 1").is_err());
    assert!(cel("order.n").is_err());
}

#[test]
fn an_expression_does_not_look_at_more_than_it_may() {
    let many = format!("{{\"few\":[1],\"many\":[{}0]}}", "0,".repeat(10_000));
    let scene = Scene::new(&[&many]);
    let cel = |expression: &str| holds(json!({"cel": {"expression": expression, "calls": [["order", 0]]}}), &scene);
    assert_eq!(cel("order.few.all(x, x > 0)"), Ok(true));
    assert_eq!(cel("order.many.all(x, x >= 0)"), Err("the values are too large".into()));
    assert_eq!(cel("size(order.many) > 0"), Err("the values are too large".into()));
}
