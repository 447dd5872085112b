//! Answers, an exchange that they belong to, and JSON by chance.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};
use tidegate_engine::clock::Clock;
use tidegate_engine::exchange::{Connection, Exchange};
use tidegate_engine::identity::Identity;
use tidegate_engine::json::{Document, Raw, Values};
use tidegate_engine::plan::{Action, PathPattern, Plan, Respond, Route, Segment};
use tidegate_engine::routing::Found;
use tidegate_engine::snapshot::{Pinned, Snapshot};
use tidegate_engine::state::State;
use tidegate_engine::telemetry::Telemetry;

/// xorshift64*: the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn blank(&mut self, out: &mut String) {
        let blanks = ["", "", "", "", " ", "\n  ", "\t", "\r\n"];
        out.push_str(self.pick(&blanks));
    }

    /// Writes a value as some service might: with blanks, escapes, numbers of all kinds, and names that come twice.
    pub fn json(&mut self, depth: usize, out: &mut String) {
        match self.below(if depth == 0 { 7 } else { 13 }) {
            0 => out.push_str(self.pick(&["null", "true", "false"])),
            1..=3 => {
                let numbers = [
                    "0",
                    "-0",
                    "1",
                    "42",
                    "-7",
                    "1.50",
                    "1e3",
                    "-2.5E-2",
                    "9007199254740993",
                    "18446744073709551616",
                    "123456789012345678901234567890",
                ];
                out.push_str(self.pick(&numbers));
            }
            4..=6 => self.string(out),
            7..=9 => {
                out.push('[');
                for at in 0..self.below(4) {
                    if at > 0 {
                        out.push(',');
                    }
                    self.blank(out);
                    self.json(depth - 1, out);
                    self.blank(out);
                }
                out.push(']');
            }
            _ => {
                out.push('{');
                for at in 0..self.below(6) {
                    if at > 0 {
                        out.push(',');
                    }
                    self.blank(out);
                    self.name(out);
                    self.blank(out);
                    out.push(':');
                    self.blank(out);
                    self.json(depth - 1, out);
                    self.blank(out);
                }
                out.push('}');
            }
        }
    }

    fn name(&mut self, out: &mut String) {
        let names =
            ["\"a\"", "\"b\"", "\"c\"", "\"0\"", "\"1\"", "\"a.b\"", "\"\\u0061\"", "\"\\u0062\"", "\"ä\"", "\"\""];
        out.push_str(self.pick(&names));
    }

    fn string(&mut self, out: &mut String) {
        let pieces = [
            "a",
            "0",
            "ordinary text that is longer than a word",
            "ä",
            "😀",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\u0000",
            "\\ud83d\\ude00",
            "{\\\"x\\\":[",
            "]}",
            "/../?#%",
            "\u{7f}",
            "\\r\\n",
        ];
        out.push('"');
        for _ in 0..self.below(4) {
            out.push_str(self.pick(&pieces));
        }
        out.push('"');
    }
}

/// Answers by the number of their call, and who asked.
pub struct Scene {
    pub exchange: Exchange,
    pub calls: Vec<Option<Document>>,
    pub body: Option<Document>,
}

static TELEMETRY: LazyLock<Arc<Telemetry>> = LazyLock::new(|| Telemetry::start(1, Clock::default()).unwrap());

impl Scene {
    pub fn new(calls: &[&str]) -> Self {
        let mut scene = Self { exchange: exchange(), calls: Vec::new(), body: None };
        scene.calls = calls.iter().map(|text| Some(document(text))).collect();
        scene.ask("/orders/o-1", "");
        scene
    }

    /// The client's path (in normal form) and query.
    pub fn ask(&mut self, path: &str, query: &str) {
        let exchange = &mut self.exchange;
        exchange.clear();
        let request = &mut exchange.request;
        request.method_name = request.head.keep(b"GET");
        request.path.extend_from_slice(path.as_bytes());
        request.query = Some(request.head.keep(query.as_bytes()));
        let snapshot = exchange.snapshot.clone();
        exchange.route = match snapshot.router.find(&exchange.request, &mut exchange.captures) {
            Found::Route(index) => Some(index),
            _ => None,
        };
    }

    pub fn header(&mut self, name: &str, value: &str) {
        self.exchange.request.head.add(name.as_bytes(), value.as_bytes());
    }

    pub fn claims(&mut self, claims: Value) {
        let claims = claims.as_object().cloned().unwrap_or_else(Map::new);
        self.exchange.identity = Some(Arc::new(Identity { claims: (&claims).into(), ..Identity::default() }));
    }
}

impl Values for Scene {
    fn call(&self, index: u16) -> Option<Raw<'_>> {
        self.calls.get(usize::from(index))?.as_ref().map(Document::root)
    }

    fn body(&self) -> Option<Raw<'_>> {
        self.body.as_ref().map(Document::root)
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

pub fn document(text: &str) -> Document {
    Document::parse(text.as_bytes().to_vec(), 64).unwrap()
}

fn exchange() -> Exchange {
    let literal = |text: &str| Segment::Literal(text.into());
    let route = Route {
        name: "orders".into(),
        hosts: vec![],
        paths: vec![PathPattern::Prefix(vec![literal("orders"), Segment::Capture("id".into())])],
        methods: vec![],
        headers: vec![],
        query: vec![],
        cookies: vec![],
        action: Action::Respond(Respond { status: 200, headers: vec![], body: vec![] }),
        timeout_ms: None,
        body_bytes: 1024,
        priority: None,
        policies: vec![],
    };
    let plan = Plan { routes: vec![route], ..Plan::empty() };
    let snapshot = Snapshot::compile(plan, None, &TELEMETRY.registry, &State::new());
    let snapshot = snapshot.map_err(|problems| problems.len()).unwrap();
    let peer = "203.0.113.7:40000".parse().unwrap();
    let connection =
        Connection { peer, local: peer, tls: false, listener: "l".into(), server_name: None, client_certificate: None };
    Exchange::new(Pinned::new(Arc::new(snapshot)), Rc::new(connection), 1_000_000)
}
