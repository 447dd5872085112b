//! What it costs to decide about a request, in nanoseconds: `cargo bench -p tidegate-engine --bench decisions`.
//!
//! Goals: a list of 100,000 networks under 100 ns, a rule under 100 ns, a usual expression under 1 us.

mod exchanges;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tidegate_engine::clock::Clock;
use tidegate_engine::exchange::{Exchange, Method};
use tidegate_engine::identity::Identity;
use tidegate_engine::pipeline::{Context, Flow, Pipeline};
use tidegate_engine::plan::{Plan, Policy};
use tidegate_engine::policies::Local;
use tidegate_engine::state::State;
use tidegate_engine::telemetry::Telemetry;

fn main() {
    let rule = |rule: serde_json::Value| {
        let mut whole = json!({
            "name": "r", "allow": true, "methods": [], "consumers": [], "tiers": [], "tags": null, "scopes": null,
            "roles": null, "groups": null, "claims": [], "when": null,
        });
        whole.as_object_mut().expect("a map").extend(rule.as_object().expect("a map").clone());
        json!({"authorize": {"roles_claim": ["roles"], "groups_claim": ["groups"], "rules": [whole]}})
    };
    let cel = |when: &str| rule(json!({"when": when}));
    let origins = json!([{"exact": "https://shop.example"}, {"exact": "https://admin.example"}]);
    for (name, policy) in [
        ("ip, 2 networks", json!({"ip": {"allow": "short", "deny": null}})),
        ("ip, 100,000 networks", json!({"ip": {"allow": null, "deny": "long"}})),
        (
            "cors",
            json!({"cors": {
                "origins": origins, "credentials": true, "allow_methods": null, "allow_headers": null,
                "expose_headers": [], "max_age_seconds": 600, "private_network": false,
            }}),
        ),
        ("csrf", json!({"csrf": {"trusted_origins": [], "token": null}})),
        ("authorize: method and role", rule(json!({"methods": ["GET"], "roles": {"any": ["admin"]}}))),
        ("authorize: scope and claim", {
            let claims = json!([{"path": ["tenant"], "wanted": {"any": ["acme"]}}]);
            rule(json!({"scopes": {"all": ["read", "write"]}, "claims": claims}))
        }),
        ("CEL: request.method == 'GET'", cel("request.method == 'GET'")),
        ("CEL: 'admin' in claims.roles", cel("'admin' in claims.roles")),
        ("CEL: path of the tenant", cel("request.path.startsWith('/tenants/' + claims.tenant + '/')")),
        (
            "CEL: matches and in",
            cel("request.path.matches('^/tenants/[a-z]+/') && claims.tenant in ['acme', 'umbrella']"),
        ),
        ("CEL: exists over 5 roles", cel("claims.roles.exists(r, r.startsWith('adm'))")),
    ] {
        println!("{name:30} {:7.0} ns", cost(policy));
    }
}

fn cost(policy: serde_json::Value) -> f64 {
    let telemetry = Telemetry::start(1, Clock::default()).expect("a thread");
    let local = Local::new(telemetry.wall.clone(), 0);
    let (state, services, consumers) = (State::new(), Default::default(), Default::default());
    let long: Vec<String> =
        (0..100_000u32).map(|number| Ipv4Addr::from_bits(number << 13).to_string() + "/24").collect();
    let lists = [("short", "10.0.0.0/8\n203.0.113.0/24".to_owned()), ("long", long.join("\n"))];
    let networks: BTreeMap<String, String> = lists.into_iter().map(|(name, list)| (name.to_owned(), list)).collect();
    let context = Context::new(&telemetry.registry, &state, &services, &consumers).with_networks(&networks);
    let policy: Policy = serde_json::from_value(policy).expect("a policy");
    let pipeline = Pipeline::compile(&[policy], &context).unwrap_or_else(|problem| panic!("{problem:?}"));
    let mut exchange = exchange(&telemetry);
    assert!(matches!(pipeline.on_request(&mut 0, &local, &mut exchange), Flow::Continue));
    time(|| drop(black_box(pipeline.on_request(&mut 0, &local, &mut exchange))))
}

fn exchange(telemetry: &Arc<Telemetry>) -> Exchange {
    let mut exchange = exchanges::exchange(telemetry, Plan::empty());
    let request = &mut exchange.request;
    request.method = Method::Get;
    request.method_name = request.head.keep(b"GET");
    request.authority = request.head.keep(b"shop.example");
    request.host.extend_from_slice(b"shop.example");
    request.path.extend_from_slice(b"/tenants/acme/orders");
    for (name, value) in [("Accept", "*/*"), ("Origin", "https://shop.example"), ("X-Version", "2")] {
        request.head.add(name.as_bytes(), value.as_bytes());
    }
    let claims = json!({
        "sub": "u-42", "tenant": "acme", "scope": "read write profile", "roles": ["user", "editor", "buyer", "seller", "admin"],
    });
    let claims = claims.as_object().expect("a map").into();
    exchange.identity = Some(Arc::new(Identity { method: "jwt", claims, ..Identity::default() }));
    exchange
}

/// The best of many rounds: what the code costs on an undisturbed core.
fn time(mut run: impl FnMut()) -> f64 {
    const TIMES: u32 = 500;
    let round = |_| {
        let begun = Instant::now();
        (0..TIMES).for_each(|_| run());
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    (0..300).map(round).fold(f64::INFINITY, f64::min)
}
