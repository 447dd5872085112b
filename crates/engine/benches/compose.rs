//! What is done with answers of about a kilobyte, in nanoseconds: `cargo bench -p tidegate-engine --bench compose`.
//!
//! Goals: five of them checked and merged in 5 us; thirty of their members chosen in 10 us.

mod exchanges;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, from_value, json};
use tidegate_engine::clock::Clock;
use tidegate_engine::exchange::Exchange;
use tidegate_engine::json::{ArrayBuilder, Document, Raw, Request, Shape, Values};
use tidegate_engine::plan::Plan;
use tidegate_engine::telemetry::Telemetry;

struct Answers {
    calls: Vec<Document>,
    exchange: Exchange,
}

impl Values for Answers {
    fn call(&self, index: u16) -> Option<Raw<'_>> {
        self.calls.get(usize::from(index)).map(Document::root)
    }

    fn body(&self) -> Option<Raw<'_>> {
        None
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

fn main() {
    let texts: Vec<Bytes> =
        [order(), user(), product(1), product(2), shipment()].map(|it| it.to_string().into()).into();
    let bytes: usize = texts.iter().map(Bytes::len).sum();
    println!("five answers     {bytes:6} bytes");
    let parse = |text: &Bytes| Document::parse(text.clone(), 64).expect("JSON");
    println!("checked          {:6.0} ns", time(|| texts.iter().for_each(|text| drop(black_box(parse(text))))));
    let serde = time(|| texts.iter().for_each(|text| drop(black_box(serde_json::from_slice::<Value>(text)))));
    println!("  as values      {serde:6.0} ns (serde_json)");

    let mut answers = Answers { calls: Vec::new(), exchange: exchange() };
    let merge = shape(json!({"object": [
        ["order", {"value": {"call": [0, []]}}], ["user", {"value": {"call": [1, []]}}],
        ["products", {"value": {"call": [2, []]}}], ["shipment", {"value": {"call": [3, []]}}],
    ]}));
    let mut out = Vec::with_capacity(16 << 10);
    let merged = time(|| {
        let mut documents = texts.iter().map(parse);
        let mut next = || documents.next().expect("five");
        let (order, user, first, second, shipment) = (next(), next(), next(), next(), next());
        let mut products = ArrayBuilder::with_capacity(4096);
        products.push(first.root());
        products.push(second.root());
        answers.calls.clear();
        answers.calls.extend([order, user, products.finish(), shipment]);
        out.clear();
        black_box(merge.write(&answers, 1 << 20, &mut out)).expect("small enough");
    });
    println!("checked, merged  {merged:6.0} ns");
    assert!(serde_json::from_slice::<Value>(&out).is_ok());

    let fields = shape(json!({"object": members()}));
    let chosen = time(|| {
        out.clear();
        black_box(fields.write(&answers, 1 << 20, &mut out)).expect("small enough");
    });
    println!("thirty members   {chosen:6.0} ns");
    let request = request();
    let made = time(|| {
        out.clear();
        let frame = request.locate(&answers);
        black_box(request.write_target(&frame, &answers, &mut out)).expect("a user");
    });
    println!("target of a call {made:6.0} ns");
}

/// Of each answer some members, by name.
fn members() -> Vec<Value> {
    let paths = [
        (0, "id status total currency placed customer.id customer.name address.street address.city address.country"),
        (1, "id name email phone language loyalty.tier loyalty.points marketing created verified"),
        (2, "0.id 0.name 0.price 0.stock 1.id 1.name 1.price 1.stock"),
        (3, "id carrier state eta"),
    ];
    let split = |(call, paths): (u16, &'static str)| paths.split(' ').map(move |path| (call, path));
    let member = |(call, path): (u16, &str)| {
        let steps: Vec<&str> = path.split('.').collect();
        json!([format!("{call}-{path}"), {"value": {"call": [call, steps]}}])
    };
    paths.into_iter().flat_map(split).map(member).collect()
}

fn shape(plan: Value) -> Shape {
    Shape::compile(&from_value(plan).expect("a plan")).unwrap_or_else(|_| panic!("a shape without faults"))
}

fn request() -> Request {
    let plan = json!({
        "name": "user", "proxy": {"service": "s", "calling": null}, "method": "GET",
        "path": [{"text": "/users/"}, {"source": {"call": [0, ["customer", "id"]]}}], "query": [],
        "headers": [], "forward_headers": [], "body": null, "timeout_ms": null, "when": null, "for_each": null,
        "optional": false, "default": "null", "fallback": null, "pass_errors": false, "expect": [], "share": false,
        "needs": [],
    });
    Request::compile(&from_value(plan).expect("a plan")).unwrap_or_else(|_| panic!("a request without faults"))
}

fn order() -> Value {
    let line = |at: usize| json!({"sku": format!("SKU-{at:05}"), "quantity": at, "price": 19.95, "product": format!("p-{at}")});
    json!({
        "id": "8f14e45f-ceea-467f-a8f5-1d1a3a4d5b6c", "status": "confirmed", "total": 219.45, "currency": "EUR",
        "placed": "2026-03-14T09:26:53Z", "customer": {"id": "u-42", "name": "Ada Lovelace"},
        "address": {"street": "12 St James's Square", "city": "London", "postcode": "SW1Y 4JH", "country": "GB"},
        "lines": (1..8).map(line).collect::<Vec<_>>(), "productIds": ["p-1", "p-2"], "note": "Leave it \"at the door\"\n",
    })
}

fn user() -> Value {
    let address = |at: usize| json!({"id": at, "street": format!("{at} Great Russell Street"), "city": "London", "primary": at == 1});
    json!({
        "id": "u-42", "name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0000", "language": "en-GB",
        "loyalty": {"tier": "gold", "points": 12840, "since": "2019-05-01"}, "marketing": false, "verified": true,
        "created": "2019-05-01T10:00:00Z", "addresses": (1..8).map(address).collect::<Vec<_>>(),
        "preferences": {"newsletter": "weekly", "theme": "dark", "currency": "EUR", "units": "metric"},
        "bio": "Analyst, metaphysician, and founder of scientific computing; writes about engines that weave algebra.",
    })
}

fn product(number: usize) -> Value {
    let image = |at: usize| format!("https://images.example.com/products/{number}/{at}-large.jpg");
    json!({
        "id": format!("p-{number}"), "name": "Brass gear set, 48 teeth", "price": 19.95, "currency": "EUR", "stock": 117,
        "description": "Machined from one piece of brass, with a bore of six millimetres and a hub on either side. ".repeat(3),
        "images": (0..6).map(image).collect::<Vec<_>>(), "tags": ["gear", "brass", "clockwork", "spare part"],
        "dimensions": {"width": 48.5, "height": 48.5, "depth": 12.25, "weight": 0.215}, "rating": {"mean": 4.7, "count": 311},
    })
}

fn shipment() -> Value {
    let event = |at: usize| json!({"at": format!("2026-03-{at:02}T08:00:00Z"), "place": "Rotterdam", "state": "in transit", "code": at});
    json!({
        "id": "s-991", "carrier": "Northern Parcel", "state": "in transit", "eta": "2026-03-18",
        "tracking": "https://parcel.example.com/t/00340434292135100186", "events": (10..20).map(event).collect::<Vec<_>>(),
    })
}

fn exchange() -> Exchange {
    let telemetry: Arc<Telemetry> = Telemetry::start(1, Clock::default()).expect("a thread");
    exchanges::exchange(&telemetry, Plan::empty())
}

/// The best of many rounds: what the code costs on an undisturbed core.
fn time(mut run: impl FnMut()) -> f64 {
    const TIMES: u32 = 1000;
    let round = |_: u32| {
        let begun = Instant::now();
        (0..TIMES).for_each(|_| run());
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    (0..200).map(round).fold(f64::INFINITY, f64::min)
}
