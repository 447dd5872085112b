//! What shapes make of answers, beside a plain model that makes it of values of `serde_json`.

use serde_json::{Map, Value, from_value, json};
use tidegate_engine::json::{Selection, Shape, TooLarge};
use tidegate_engine::plan::compose;

use crate::support::{Random, Scene, document};

const MOST: usize = 1 << 20;

fn compile(plan: Value) -> Result<Shape, String> {
    let plan: compose::Shape = from_value(plan).unwrap();
    Shape::compile(&plan).map_err(|problems| problems[0].message.clone())
}

fn write(plan: Value, scene: &Scene) -> String {
    let mut out = b"before ".to_vec();
    compile(plan).unwrap().write(scene, MOST, &mut out).unwrap();
    String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
}

/// The plan of a path into the answer of a call.
fn call(index: u16, path: &str) -> Value {
    json!({"call": [index, steps(path)]})
}

fn steps(path: &str) -> Vec<&str> {
    path.split('.').filter(|step| !step.is_empty()).collect()
}

#[test]
fn whole_answers_pass_byte_for_byte() {
    let order = r#"{ "id":12345678901234567890123, "x":1.0,"x":2 , "unknown":{"é":"\u00e9\/"} }"#;
    let scene = Scene::new(&[order, "[]"]);
    let plan = json!({"object": [
        ["order", {"value": call(0, "")}],
        ["id", {"value": call(0, "id")}],
        ["x", {"value": call(0, "x")}],
        ["none", {"value": call(0, "x.y")}],
        ["not made", {"value": call(7, "")}],
        ["kind", {"constant": "{\"a\": 1}"}],
        ["list", {"array": [{"value": call(1, "")}, {"constant": "\"x\""}]}],
    ]});
    let expected = format!(
        "{{\"order\":{order},\"id\":12345678901234567890123,\"x\":2,\"none\":null,\"not made\":null,\
         \"kind\":{{\"a\": 1}},\"list\":[[],\"x\"]}}"
    );
    assert_eq!(write(plan, &scene), expected);
}

#[test]
fn a_star_takes_every_element() {
    let scene = Scene::new(&[r#"{"a":[{"n":1,"l":[{"x":1},{"x":2}]},{"n":null},{},5],"b":{"n":1}}"#]);
    for (path, expected) in [
        ("a.*.n", "[1,null,null,null]"),
        ("a.*", r#"[{"n":1,"l":[{"x":1},{"x":2}]},{"n":null},{},5]"#),
        ("a.*.l.*.x", "[[1,2],null,null,null]"),
        ("a.*.l.0.x", "[1,null,null,null]"),
        ("b.*.n", "null"),
        ("c.*.n", "null"),
    ] {
        assert_eq!(write(json!({"value": call(0, path)}), &scene), expected, "{path}");
    }
}

#[test]
fn texts_hold_values_as_text() {
    let mut scene = Scene::new(&[r#"{"s":"a\"\u00e9\n","n":1e2,"t":true,"z":null,"l":[1,"x"],"o":{"k":"v"}}"#]);
    scene.ask("/orders/o%2F1", "q=%22%ff");
    let text = |parts: Value| write(json!({"text": parts}), &scene);
    let source = |path: &str| json!({"source": call(0, path)});
    assert_eq!(text(json!([{"text": "<\"\n"}, source("s"), source("n"), source("t")])), r#""<\"\na\"\u00e9\n1e2true""#);
    assert_eq!(text(json!([source("z"), source("none"), source("s.x")])), r#""""#);
    assert_eq!(text(json!([source("l"), source("o"), source("l.*")])), r#""[1,\"x\"]{\"k\":\"v\"}[1,\"x\"]""#);
    let request = json!([{"source": {"request": {"path": "id"}}}, {"source": {"request": {"query": "q"}}}]);
    assert_eq!(text(request), "\"o/1\\\"\u{fffd}\"");
}

#[test]
fn what_the_request_says_is_a_string_and_claims_are_what_they_are() {
    let mut scene = Scene::new(&[]);
    scene.claims(json!({"sub": "u", "roles": ["a", "b"], "n": 5, "o": {"x": null}}));
    let value = |reference: Value| write(json!({"value": {"request": reference}}), &scene);
    assert_eq!(value(json!({"path": "id"})), "\"o-1\"");
    assert_eq!(value(json!({"query": "x"})), "null");
    assert_eq!(value(json!({"claims": ["roles"]})), r#"["a","b"]"#);
    assert_eq!(value(json!({"claims": ["o"]})), r#"{"x":null}"#);
    assert_eq!(value(json!({"claims": ["none"]})), "null");
    assert_eq!(value(json!("consumer_tags")), "[]");
    assert_eq!(value(json!("request_method")), "\"GET\"");
}

#[test]
fn the_first_that_is_not_null() {
    let scene = Scene::new(&[r#"{"a":null,"b":"null","c":0}"#]);
    let first = |paths: &[&str]| {
        let choices: Vec<Value> = paths.iter().map(|path| json!({"value": call(0, path)})).collect();
        write(json!({"first": choices}), &scene)
    };
    assert_eq!(first(&["a", "none", "b", "c"]), "\"null\"");
    assert_eq!(first(&["a", "c"]), "0");
    assert_eq!(first(&["a", "none"]), "null");
    assert_eq!(first(&[]), "null");
}

#[test]
fn members_go_and_stay() {
    let card = r#"{"id":1,"card":{"number":"4","brand":"v"},"\u0069d":2,"lines":[{"id":1,"x":2},5,null],"n":null}"#;
    let scene = Scene::new(&[card]);
    let prune = |how: &str, members: &[&str]| {
        let members: Vec<_> = members.iter().map(|path| steps(path)).collect();
        write(json!({how: {"from": call(0, ""), "members": members}}), &scene)
    };
    for (members, without, only) in [
        (
            &["id"][..],
            r#"{"card":{"number":"4","brand":"v"},"lines":[{"id":1,"x":2},5,null],"n":null}"#,
            r#"{"id":1,"\u0069d":2}"#,
        ),
        (
            &["card.number", "lines.id", "n.x", "id.y"],
            r#"{"id":1,"card":{"brand":"v"},"\u0069d":2,"lines":[{"x":2},5,null],"n":null}"#,
            r#"{"card":{"number":"4"},"lines":[{"id":1},null,null],"n":null}"#,
        ),
        (
            &["lines.*.x", "card"],
            r#"{"id":1,"\u0069d":2,"lines":[{"id":1},5,null],"n":null}"#,
            r#"{"card":{"number":"4","brand":"v"},"lines":[{"x":2},null,null]}"#,
        ),
        (
            &["lines.1", "card.brand", "card"],
            r#"{"id":1,"\u0069d":2,"lines":[{"id":1,"x":2},null],"n":null}"#,
            r#"{"card":{"number":"4","brand":"v"},"lines":[5]}"#,
        ),
        (&["none"], card, "{}"),
    ] {
        assert_eq!(prune("without", members), without, "{members:?}");
        assert_eq!(prune("only", members), only, "{members:?}");
    }
    let scalar = write(json!({"only": {"from": call(0, "n"), "members": [["a"]]}}), &scene);
    assert_eq!(scalar, "null");
    let starred = write(json!({"without": {"from": call(0, "lines.*"), "members": [["id"]]}}), &scene);
    assert_eq!(starred, r#"[{"x":2},5,null]"#);
}

#[test]
fn loops_make_a_value_of_each_item() {
    let scene = Scene::new(&[
        r#"{"cur":"EUR","items":[{"sku":"a","q":1,"parts":[1,2]},{"sku":"b","q":2},null]}"#,
        r#"[{"name":"A"},{"name":"B"},{"name":"C"},{"name":"D"}]"#,
    ]);
    let item = |item: u16, path: &str| json!({"value": {"item": [item, steps(path)]}});
    let plain = json!({"for_each": {"over": [call(0, "items")], "value": {"object": [
        ["sku", item(0, "sku")], ["at", {"value": "index"}], ["cur", {"value": call(0, "cur")}],
    ]}}});
    assert_eq!(
        write(plain, &scene),
        r#"[{"sku":"a","at":0,"cur":"EUR"},{"sku":"b","at":1,"cur":"EUR"},{"sku":null,"at":2,"cur":"EUR"}]"#
    );
    let zipped = json!({"for_each": {"over": [call(0, "items"), call(1, "")], "value": {"array": [
        item(0, "q"), item(1, "name"),
    ]}}});
    assert_eq!(write(zipped, &scene), r#"[[1,"A"],[2,"B"],[null,"C"],[null,"D"]]"#);
    let starred = json!({"for_each": {"over": [call(1, "*.name")], "value": item(0, "")}});
    assert_eq!(write(starred, &scene), r#"["A","B","C","D"]"#);
    let nested = json!({"for_each": {"over": [call(0, "items")], "value": {"object": [
        ["parts", {"for_each": {"over": [{"item": [0, ["parts"]]}], "value": {"array": [
            item(1, ""), {"text": [{"source": {"item": [0, ["sku"]]}}, {"text": "-"}, {"source": "index"}]},
        ]}}}],
        ["at", {"value": "index"}],
    ]}}});
    assert_eq!(
        write(nested, &scene),
        r#"[{"parts":[[1,"a-0"],[2,"a-1"]],"at":0},{"parts":null,"at":1},{"parts":null,"at":2}]"#
    );
    let missing = json!({"for_each": {"over": [call(0, "none")], "value": item(0, "")}});
    assert_eq!(write(missing, &scene), "null");
}

#[test]
fn what_does_not_change_in_a_loop_is_made_once() {
    let big = format!("{{\"a\":[{}0],\"b\":{{\"c\":1,\"d\":2}}}}", "1,".repeat(100_000));
    let items = format!("[{}0]", "0,".repeat(20_000));
    let scene = Scene::new(&[&big, &items]);
    let begun = std::time::Instant::now();
    let plan = json!({"for_each": {"over": [call(1, "")], "value": {"array": [
        {"without": {"from": call(0, ""), "members": [["a"]]}},
        {"cel": {"expression": "order.b.c + 1", "calls": [["order", 0]]}},
        {"value": call(0, "b.d")},
    ]}}});
    let out = write(plan, &scene);
    assert!(out.starts_with(r#"[[{"b":{"c":1,"d":2}},2,2],[{"b":{"c":1,"d":2}},2,2],"#), "{out:.100}");
    // Each turn by itself would go through 200 KB.
    assert!(begun.elapsed().as_secs() < 5);
}

#[test]
fn a_loop_cannot_make_more_than_it_may() {
    let (big, items) = (format!("\"{}\"", "x".repeat(10_000)), format!("[{}0]", "0,".repeat(10_000)));
    let scene = Scene::new(&[&big, &items]);
    let plan = json!({"for_each": {"over": [call(1, "")], "value": {"value": call(0, "")}}});
    let mut out = Vec::new();
    assert_eq!(compile(plan).unwrap().write(&scene, MOST, &mut out), Err(TooLarge));
    assert!(out.len() < MOST + 20_000);
}

#[test]
fn expressions_make_values() {
    let mut scene = Scene::new(&[
        r#"{"total":12.5,"n":2,"big":9007199254740993,"huge":18446744073709551616,"items":[{"p":1},{"p":2}],"o":{"b":1,"a":"x"},"z":null}"#,
    ]);
    scene.header("x-tier", "gold");
    let cel = |expression: &str| {
        write(json!({"cel": {"expression": expression, "calls": [["order", 0], ["none", 9]]}}), &scene)
    };
    for (expression, expected) in [
        ("order.total * 2.0", "25.0"),
        ("order.n + 1", "3"),
        ("order.big", "9007199254740993"),
        ("order.huge > 1.0", "true"),
        ("order.items.map(item, item.p)", "[1,2]"),
        ("order.items.filter(item, item.p > 1).size()", "1"),
        ("order.o.a + '!\"'", r#""x!\"""#),
        ("[order.n, order.z]", "[2,null]"),
        ("{'b': order.o.b, 'a': order.o}", "null"),
        ("{'b': order.o.b, 'a': order.o.a}", r#"{"a":"x","b":1}"#),
        ("has(order.n) && !has(order.x) && 'n' in order", "true"),
        ("none == null", "true"),
        ("order.x", "null"),
        ("none.x", "null"),
        ("order.z == null", "true"),
        ("1 / 0", "null"),
        ("1.0 / 0.0", "null"),
        ("request.headers['x-tier'] == 'gold' ? order.n : 0", "2"),
        ("size(order)", "7"),
    ] {
        assert_eq!(cel(expression), expected, "{expression}");
    }
    assert!(compile(json!({"cel": {"expression": "user.x", "calls": [["order", 0]]}})).is_err());
    assert!(compile(json!({"cel": {"expression": "order.", "calls": [["order", 0]]}})).is_err());
}

#[test]
fn what_cannot_be_made_is_a_fault_of_the_plan() {
    for (plan, message) in [
        (json!({"value": "index"}), "index"),
        (json!({"value": {"item": [0, []]}}), "item"),
        (json!({"constant": "{"}), "constant"),
        (json!({"for_each": {"over": [call(0, "")], "value": {"value": {"item": [1, []]}}}}), "item"),
        (json!({"for_each": {"over": [call(0, "a.*.b.*")], "value": {"value": "index"}}}), "`*`"),
        (json!({"for_each": {"over": [{"request": {"path": "x"}}], "value": {"value": "index"}}}), "list"),
    ] {
        let error = compile(plan.clone()).map(|_| ()).unwrap_err();
        assert!(error.contains(message), "{plan}: {error}");
    }
}

#[test]
fn a_selection_shows_and_needs_what_it_names() {
    let scene = Scene::new(&[r#"{"id":1,"total":2}"#, r#"[{"name":"A","x":1},{"name":"B"}]"#, "3"]);
    let plan = json!({"object": [
        ["order", {"value": call(0, "")}],
        ["products", {"value": call(1, "")}],
        ["nested", {"object": [["two", {"value": call(2, "")}], ["id", {"text": [{"source": call(0, "id")}]}]]}],
        ["sum", {"cel": {"expression": "two + 1", "calls": [["two", 2]]}}],
        ["null", {"value": call(7, "")}],
    ]});
    let shape = compile(plan).unwrap();
    for (fields, expected, calls) in [
        ("order.id", r#"{"order":{"id":1}}"#, &[0][..]),
        ("products.name,order", r#"{"order":{"id":1,"total":2},"products":[{"name":"A"},{"name":"B"}]}"#, &[0, 1]),
        ("nested.two", r#"{"nested":{"two":3}}"#, &[2]),
        ("nested.two.x, nested.id", r#"{"nested":{"two":null,"id":"1"}}"#, &[0, 2]),
        ("sum", r#"{"sum":4}"#, &[2]),
        ("null.x", r#"{"null":null}"#, &[7]),
        ("none", "{}", &[]),
    ] {
        let selection = Selection::parse(fields).unwrap();
        let mut out = Vec::new();
        shape.write_selected(&selection, &scene, MOST, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{fields}");
        assert_eq!(shape.calls(Some(&selection)), calls, "{fields}");
    }
    assert_eq!(shape.calls(None), [0, 1, 2, 7]);
    for fields in ["", ",", "a..b", "a,", ".a", &"a.".repeat(1000), &["a"; 65].join(",")] {
        assert_eq!(Selection::parse(fields), None, "{fields}");
    }
}

/// The plan of a shape by chance, and what it makes of these answers.
fn by_chance(random: &mut Random, answers: &[Value], items: &[Value], depth: usize) -> (Value, Value) {
    let choice = random.below(if depth == 0 { 3 } else { 7 });
    match choice {
        0 => (json!({"constant": "[1, {\"a\": null}]"}), json!([1, {"a": null}])),
        1 | 2 => {
            let (plan, value) = source(random, answers, items);
            (json!({"value": plan}), value)
        }
        3 => {
            let parts: Vec<_> = (0..random.below(4)).map(|_| by_chance(random, answers, items, depth - 1)).collect();
            (
                json!({"array": parts.iter().map(|part| &part.0).collect::<Vec<_>>()}),
                parts.into_iter().map(|part| part.1).collect(),
            )
        }
        4 => {
            let parts: Vec<_> = (0..random.below(4)).map(|_| by_chance(random, answers, items, depth - 1)).collect();
            let value = parts.iter().map(|part| &part.1).find(|value| !value.is_null()).cloned();
            (json!({"first": parts.iter().map(|part| &part.0).collect::<Vec<_>>()}), value.unwrap_or_default())
        }
        5 => {
            let names = ["a", "b\"", "ä"];
            let parts: Vec<_> = names.iter().map(|_| by_chance(random, answers, items, depth - 1)).collect();
            let plan: Vec<Value> = names.iter().zip(&parts).map(|(name, part)| json!([name, part.0])).collect();
            let value: Map<_, _> = names.iter().zip(parts).map(|(name, part)| ((*name).to_owned(), part.1)).collect();
            (json!({"object": plan}), value.into())
        }
        _ => for_each(random, answers, items, depth),
    }
}

fn for_each(random: &mut Random, answers: &[Value], items: &[Value], depth: usize) -> (Value, Value) {
    let (over, list) = source(random, answers, items);
    let seed = random.below(1 << 30) as u64;
    let inner = |item: Value| {
        let items: Vec<Value> = items.iter().cloned().chain([item]).collect();
        // The same shape for each item: of the same numbers.
        by_chance(&mut Random::new(seed), answers, &items, depth - 1)
    };
    let plan = json!({"for_each": {"over": [over], "value": inner(Value::Null).0}});
    match list {
        Value::Array(list) => (plan, list.into_iter().map(|item| inner(item).1).collect()),
        _ => (plan, Value::Null),
    }
}

fn source(random: &mut Random, answers: &[Value], items: &[Value]) -> (Value, Value) {
    let path: Vec<&str> = (0..random.below(3)).map(|_| random.pick(&["a", "b", "0", "1", "ä"])).collect();
    let at = random.below(answers.len() + items.len());
    let root = answers.iter().chain(items).nth(at).unwrap();
    let found = path.iter().try_fold(root, |value, step| match value {
        Value::Object(members) => members.get(*step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    });
    let plan = match at.checked_sub(answers.len()) {
        None => json!({"call": [at, path]}),
        Some(item) => json!({"item": [item, path]}),
    };
    (plan, found.cloned().unwrap_or_default())
}

#[test]
fn shapes_by_chance_make_what_the_model_makes() {
    let mut scene = Scene::new(&[]);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut texts = [String::new(), String::new()];
        texts.iter_mut().for_each(|text| random.json(4, text));
        scene.calls = texts.iter().map(|text| Some(document(text))).collect();
        let answers: Vec<Value> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let (plan, expected) = by_chance(&mut random, &answers, &[], 3);
        let out = write(plan.clone(), &scene);
        let made: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        assert_eq!(made, expected, "{plan} of {texts:?}");
    }
}
