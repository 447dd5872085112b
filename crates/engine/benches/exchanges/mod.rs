//! Exchanges that benches put through policies.

use std::rc::Rc;
use std::sync::Arc;

use tidegate_engine::exchange::{Connection, Exchange};
use tidegate_engine::plan::Plan;
use tidegate_engine::snapshot::{Pinned, Snapshot};
use tidegate_engine::state::State;
use tidegate_engine::telemetry::Telemetry;

/// One of a client that came over plain HTTP; its request is still empty.
pub fn exchange(telemetry: &Arc<Telemetry>, plan: Plan) -> Exchange {
    let snapshot = Snapshot::compile(plan, None, &telemetry.registry, &State::new())
        .unwrap_or_else(|_| panic!("a plan without faults"));
    let peer = "203.0.113.7:40000".parse().expect("an address");
    let connection =
        Connection { peer, local: peer, tls: false, listener: "l".into(), server_name: None, client_certificate: None };
    Exchange::new(Pinned::new(Arc::new(snapshot)), Rc::new(connection), 1_000_000)
}
