//! What is taken for JSON, and what is found in it.

use serde_json::Value;
use tidegate_engine::json::{ArrayBuilder, Document, Fault, Kind, Raw, Step, write_string};

use crate::support::{Random, document};

fn value(raw: Raw<'_>) -> Value {
    serde_json::from_slice(raw.bytes()).unwrap()
}

fn parse(text: &[u8]) -> Result<Document, Fault> {
    Document::parse(text.to_vec(), 64)
}

#[test]
fn what_is_json_is_what_serde_takes_for_it() {
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut text = String::new();
        random.json(6, &mut text);
        let document = parse(text.as_bytes()).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(document.root().bytes(), text.trim_ascii().as_bytes());
    }
}

#[test]
fn a_text_with_some_bytes_changed_is_taken_where_serde_takes_it() {
    let alphabet = b"{}[]\",:\\ue+-.0123456789tfnabx \n\r\t\0\x1f\x7f\x80\xc3\xa9\xff/dDcC8";
    let mut taken = 0;
    for seed in 0..60_000 {
        let mut random = Random::new(seed);
        let mut text = String::new();
        random.json(3, &mut text);
        let mut bytes = text.into_bytes();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len() + 1);
            match random.below(3) {
                0 if at < bytes.len() => drop(bytes.remove(at)),
                1 if at < bytes.len() => bytes[at] = alphabet[random.below(alphabet.len())],
                _ => bytes.insert(at, alphabet[random.below(alphabet.len())]),
            }
        }
        let ours = parse(&bytes);
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(expected) => {
                taken += 1;
                assert_eq!(value(ours.unwrap().root()), expected);
            }
            // A number of any size may pass.
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(_) => assert_eq!(ours.map(|_| ()), Err(Fault::NotJson), "{:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    assert!(taken > 1000);
}

#[test]
fn random_bytes_are_refused_without_harm() {
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let length = random.below(40);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let serde = serde_json::from_slice::<Value>(&bytes).is_ok();
        assert_eq!(parse(&bytes).is_ok(), serde, "{bytes:?}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "1 2",
        "{} x",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1]",
        "[}",
        "]",
        "\"a",
        "\"a\nb\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\u{feff}{}",
        "// a\n1",
    ] {
        assert_eq!(parse(text.as_bytes()).map(|_| ()), Err(Fault::NotJson), "{text}");
    }
    assert_eq!(parse(b"\"\xff\"").map(|_| ()), Err(Fault::NotJson));
    assert_eq!(parse(b"\"\xed\xa0\x80\"").map(|_| ()), Err(Fault::NotJson), "a surrogate in UTF-8");
}

#[test]
fn nesting_is_bounded_without_recursion() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let parse = |text: String, most| Document::parse(text.into_bytes(), most).map(|_| ());
    assert_eq!(parse(nested(64), 64), Ok(()));
    assert_eq!(parse(nested(65), 64), Err(Fault::TooDeep));
    assert_eq!(parse("1".into(), 0), Ok(()));
    assert_eq!(parse("[]".into(), 0), Err(Fault::TooDeep));
    assert_eq!(parse(nested(512), usize::MAX), Ok(()));
    assert_eq!(parse(nested(513), usize::MAX), Err(Fault::TooDeep));
    assert_eq!(parse("{\"a\":".repeat(1_000_000), 64), Err(Fault::TooDeep));
    assert_eq!(parse("[".repeat(10_000_000), 64), Err(Fault::TooDeep));
    // Siblings are no levels.
    assert_eq!(parse(format!("[{}[]]", "[],{},".repeat(1000)), 2), Ok(()));
}

/// What is at the end of a path; `None` also behind a `*`.
fn find(value: &Value, path: &[&str]) -> Option<Value> {
    let found = path.iter().try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(*step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    });
    found.cloned()
}

/// A path that mostly leads somewhere.
fn some_path(random: &mut Random, value: &Value) -> Vec<String> {
    let (mut path, mut at) = (Vec::new(), Some(value));
    for _ in 0..random.below(5) {
        let step = match at {
            Some(Value::Object(members)) if !members.is_empty() && random.below(8) > 0 => {
                members.keys().nth(random.below(members.len())).unwrap().clone()
            }
            Some(Value::Array(elements)) => random.below(elements.len() + 1).to_string(),
            _ => (*random.pick(&["a", "b", "0", "ä", ""])).to_owned(),
        };
        at = at.and_then(|value| {
            find(value, &[&step]).is_some().then(|| match value {
                Value::Object(members) => &members[&step],
                value => &value[step.parse::<usize>().unwrap()],
            })
        });
        path.push(step);
    }
    path
}

#[test]
fn a_path_leads_where_it_leads_in_serde() {
    let mut found = 0;
    for seed in 0..40_000 {
        let mut random = Random::new(seed);
        let mut text = "{\"a\": ".to_owned();
        random.json(4, &mut text);
        text.push('}');
        let document = document(&text);
        let expected: Value = serde_json::from_str(&text).unwrap();
        let path = some_path(&mut random, &expected);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let steps: Vec<Step> = path.iter().map(|step| Step::of(step)).collect();
        let expected = find(&expected, &path);
        found += usize::from(expected.is_some() && path.len() > 1);
        assert_eq!(document.root().get(&steps).map(value), expected, "{text} {path:?}");
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn the_elements_and_members_are_those_of_serde_in_the_order_of_the_text() {
    for seed in 0..10_000 {
        let mut random = Random::new(seed);
        let mut text = String::new();
        random.json(4, &mut text);
        let document = document(&text);
        match serde_json::from_str(&text).unwrap() {
            Value::Array(elements) => {
                assert_eq!(document.root().items().map(value).collect::<Vec<_>>(), elements);
                assert_eq!(document.root().members().count(), 0);
            }
            Value::Object(members) => {
                let ours = document.root().members().map(|(name, member)| (name.text(), value(member)));
                assert_eq!(ours.collect::<serde_json::Map<_, _>>(), members, "{text}");
                assert_eq!(document.root().items().count(), 0);
            }
            scalar => {
                let mut out = Vec::new();
                document.root().write_text(&mut out);
                match scalar {
                    Value::String(expected) => assert_eq!(String::from_utf8(out).unwrap(), expected),
                    Value::Null => assert!(out.is_empty()),
                    _ => assert_eq!(out, text.as_bytes()),
                }
            }
        }
    }
}

#[test]
fn of_members_with_one_name_the_last_is_found_however_it_is_written() {
    let document = document(r#"{"a": 1, "b": 2, "\u0061": {"c": 3}, "a\\b": 4, "x": [1, 2]}"#);
    let root = document.root();
    assert_eq!(root.member("a").map(Raw::bytes), Some(&br#"{"c": 3}"#[..]));
    assert_eq!(root.member("a\\b").map(Raw::bytes), Some(&b"4"[..]));
    assert_eq!(root.member("a\\\\b"), None);
    assert_eq!(root.member("\\u0061"), None);
    assert_eq!(root.element(0), None);
    assert_eq!(root.member("x").and_then(|list| list.element(1)).map(Raw::bytes), Some(&b"2"[..]));
    assert_eq!(root.member("x").map(Raw::kind), Some(Kind::Array));
}

#[test]
fn a_list_of_ten_thousand_is_gone_through_in_one_pass() {
    let text = format!("[{}]", (0..10_000).map(|at| format!("{{\"id\":{at}}}")).collect::<Vec<_>>().join(", "));
    let document = document(&text);
    let sum: usize = document.root().items().enumerate().filter(|(at, item)| value(*item)["id"] == *at).count();
    assert_eq!(sum, 10_000);
    assert_eq!(document.root().element(9_999).map(Raw::bytes), Some(&b"{\"id\":9999}"[..]));
    assert_eq!(document.root().element(10_000), None);
}

#[test]
fn an_array_is_made_of_values_as_they_are() {
    assert_eq!(ArrayBuilder::default().finish().root().bytes(), b"[]");
    let (first, second) = (document("{ \"a\": 1.0 }"), document("18446744073709551616"));
    let mut array = ArrayBuilder::with_capacity(16);
    array.push(first.root());
    array.push(Raw::NULL);
    array.push(second.root());
    let array = array.finish();
    assert_eq!(array.root().bytes(), b"[{ \"a\": 1.0 },null,18446744073709551616]");
    assert_eq!(Document::null().root(), Raw::NULL);
}

#[test]
fn a_text_that_is_written_as_a_string_reads_as_itself() {
    for seed in 0..5_000 {
        let mut random = Random::new(seed);
        let length = random.below(30);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let mut out = Vec::new();
        write_string(&bytes, &mut out);
        let read: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(read, String::from_utf8_lossy(&bytes));
    }
}
