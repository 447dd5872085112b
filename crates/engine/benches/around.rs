//! What is done around an answer, in nanoseconds a request: `cargo bench -p tidegate-engine --bench around`.
//!
//! Goals: the default policies together under 250 ns, counting under 100 ns, a line of the access log under 400 ns.

mod exchanges;
mod plans;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::hmac;
use tidegate_engine::clock::Clock;
use tidegate_engine::exchange::Exchange;
use tidegate_engine::identity::Identity;
use tidegate_engine::pipeline::{Context, Pipeline};
use tidegate_engine::plan::{self, Plan, Policy};
use tidegate_engine::policies::{Local, trust};
use tidegate_engine::signing::{Algorithm, make_key};
use tidegate_engine::state::State;
use tidegate_engine::telemetry::Telemetry;
use tidegate_engine::telemetry::access_log::AccessLog;

const FIELDS: [(&str, &str); 7] = [
    ("User-Agent", "shop-mobile/4.2.1"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "gzip, br"),
    ("Authorization", "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJ1LTQyIiwiZXhwIjoxNzAwMDAwMDAwfQ.c2ln"),
    ("X-Client-Version", "4.2.1"),
    ("Cookie", "session=6f1ed002ab5595859014ebf0951522d9"),
    ("Content-Type", "application/json"),
];

fn main() {
    let clock = Clock::default();
    let telemetry = Telemetry::start(1, clock.clone()).expect("a thread");
    let local = Local::new(telemetry.wall.clone(), 0);
    let policies = [
        Policy::RequestId(plan::RequestId { header: "x-request-id".into(), answer: true }),
        Policy::TraceContext(plan::TraceContext {}),
        Policy::Forwarded(plan::Forwarded { x_forwarded: true, forwarded: false, via: true }),
    ];
    let (state, services, consumers) = (State::new(), Default::default(), Default::default());
    let context = Context::new(&telemetry.registry, &state, &services, &consumers);
    let pipeline = Pipeline::compile(&policies, &context).unwrap_or_else(|_| panic!("policies without faults"));
    let mut exchange = exchange(&telemetry);
    let baseline = time(|| fill(&mut exchange));
    let request = time(|| {
        fill(&mut exchange);
        trust::admit(&mut exchange);
        black_box(pipeline.on_request(&mut 0, &local, &mut exchange));
    });
    let answer = time(|| {
        exchange.answer.head.clear();
        pipeline.on_response(&mut exchange);
    });
    println!("policies, request {:6.0} ns, answer {answer:6.0} ns", request - baseline);
    jwt(&telemetry, &local, &mut exchange);
    signed_identity(&telemetry, &local, &mut exchange);
    exchange.answer.status = 200;
    exchange.notes.answered_micros = exchange.started_micros + 1000;
    exchange.notes.attempts = 1;
    let ended = exchange.started_micros + 1234;
    let count = time(|| telemetry.complete(0, black_box(&exchange), ended));
    println!("metrics           {count:6.0} ns");
    telemetry.access_log.apply(AccessLog::prepare(&plan::AccessLog::File("/dev/null".into())).expect("a file"));
    let line = time(|| telemetry.complete(0, black_box(&exchange), ended));
    println!("access log        {:6.0} ns", line - count);
}

/// A token of 800 bytes that was seen before, and one that has to be verified (HS256: what is left is parsing and claims).
fn jwt(telemetry: &Telemetry, local: &Local, exchange: &mut Exchange) {
    let secret = [7; 32];
    let keys = plan::IssuerKeys::Secret(String::from_utf8_lossy(&secret).into_owned().into());
    let policy = plans::jwt("HS256", &[], keys);
    let (state, services, consumers) = (State::new(), Default::default(), Default::default());
    let context = Context::new(&telemetry.registry, &state, &services, &consumers);
    let pipeline =
        Pipeline::compile(&[Policy::Jwt(policy)], &context).unwrap_or_else(|_| panic!("policies without faults"));
    let token = |number: usize| {
        let claims = format!(
            "{{\"iss\":\"https://auth.example.com\",\"sub\":\"u-{number}\",\"exp\":4000000000,\"roles\":[\"buyer\",\"admin\"],\
             \"email\":\"u-{number}@example.com\",\"session\":\"{}\"}}",
            "0123456789abcdef".repeat(25)
        );
        let signed = format!("{}.{}", base64(b"{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), base64(claims.as_bytes()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        format!("Bearer {signed}.{}", base64(mac.as_ref())).into_bytes()
    };
    let tokens: Vec<_> = (0..16_384).map(token).collect();
    let mut run = |count: usize| {
        let mut next = 0;
        let mut round = |asked: bool| {
            fill(exchange);
            exchange.identity = None;
            exchange.request.head.set(b"authorization", &tokens[next % count]);
            next += 1;
            if asked {
                black_box(pipeline.on_request(&mut 0, local, exchange));
                assert!(exchange.identity.is_some());
            }
        };
        let baseline = time(|| round(false));
        time(|| round(true)) - baseline
    };
    println!("jwt: seen before {:4.0} ns, one of 1000 {:4.0} ns, verified {:6.0} ns", run(1), run(1000), run(16_384));
    exchange.identity = None;
}

/// As tokens are written.
fn base64(bytes: &[u8]) -> String {
    tidegate_engine::base64::url(bytes)
}

/// A token that is there already, found by the very identity or by what it says, and one that has to be signed.
fn signed_identity(telemetry: &Telemetry, local: &Local, exchange: &mut Exchange) {
    let identity = Identity { method: "jwt", subject: "u-42".into(), ..Identity::default() };
    let shared = Arc::new(identity.clone());
    let baseline = time(|| fill(exchange));
    for (algorithm, word) in [(Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "EdDSA")] {
        let pipeline = |request_id| {
            let policy = Policy::SignedIdentity(plan::SignedIdentity {
                header: "x-jwt-assertion".into(),
                issuer: "https://gateway.example".into(),
                audience: Some("orders".into()),
                claims: vec![],
                request_id,
                anonymous: false,
                ttl_s: 60,
                keys: plan::SigningKeys::Given(vec![make_key(algorithm).into()]),
            });
            let (state, services, consumers) = (State::new(), Default::default(), Default::default());
            let context = Context::new(&telemetry.registry, &state, &services, &consumers);
            Pipeline::compile(&[policy], &context).unwrap_or_else(|_| panic!("policies without faults"))
        };
        let (kept, single) = (pipeline(false), pipeline(true));
        let mut run = |pipeline: &Pipeline, identity: &dyn Fn() -> Arc<Identity>, times| {
            let round = || {
                fill(exchange);
                exchange.identity = Some(identity());
                black_box(pipeline.on_request(&mut 0, local, exchange));
            };
            time_rounds(times, round) - baseline
        };
        let by_identity = run(&kept, &|| shared.clone(), 300);
        let by_text = run(&kept, &|| Arc::new(identity.clone()), 300);
        let signed = run(&single, &|| shared.clone(), 5);
        println!(
            "signed identity {word}: kept {by_identity:4.0} ns, by its text {by_text:4.0} ns, signed {signed:6.0} ns"
        );
    }
    exchange.identity = None;
}

fn exchange(telemetry: &Arc<Telemetry>) -> Exchange {
    let plan = Plan { trusted_proxies: vec!["10.0.0.0/8".into(), "192.168.0.0/16".into()], ..Plan::empty() };
    exchanges::exchange(telemetry, plan)
}

fn fill(exchange: &mut Exchange) {
    let request = &mut exchange.request;
    request.clear();
    request.method_name = request.head.keep(b"GET");
    request.raw_path = request.head.keep(b"/api/v1/orders/8f14e45f");
    request.authority = request.head.keep(b"shop.example.com");
    request.host.extend_from_slice(b"shop.example.com");
    for (name, value) in FIELDS {
        request.head.add(name.as_bytes(), value.as_bytes());
    }
}

/// The best of many rounds: what the code costs on an undisturbed core.
fn time(run: impl FnMut()) -> f64 {
    time_rounds(300, run)
}

fn time_rounds(rounds: u32, mut run: impl FnMut()) -> f64 {
    const TIMES: u32 = 2000;
    let round = |_: u32| {
        let begun = Instant::now();
        (0..TIMES).for_each(|_| run());
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}
