//! Keeps a store's books, on one worker: tells the other gateways that this one lives, counts them, and probes a store that
//! failed.

use std::rc::Weak;
use std::time::Duration;

use tokio::time::sleep;

use crate::redis::client::{Arguments, Client};
use crate::redis::script::{Known, Script};

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// Between two probes of a store whose breaker is open.
const PROBE: Duration = Duration::from_millis(250);
/// A gateway that gave no sign for so long is not counted any more.
const GONE_MICROS: i64 = 5_000_000;

/// Enters the gateway, strikes out those that are gone, and counts. By the store's clock, so the gateways' need not agree.
static HEARTBEAT: Known = Known::new(|| {
    Script::new(
        "local t = redis.call('TIME')\n\
         local now = t[1] * 1000000 + t[2]\n\
         redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])\n\
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[2]))\n\
         redis.call('PEXPIRE', KEYS[1], 60000)\n\
         return redis.call('ZCARD', KEYS[1])",
    )
});

/// Strikes a gateway out that stops.
static FAREWELL: Known = Known::new(|| Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])"));

/// Runs until the client is dropped.
pub async fn keep(client: Weak<Client>) {
    loop {
        let Some(held) = client.upgrade() else { return };
        let store = held.store.clone();
        let mut arguments = addressed(&held);
        arguments.number(GONE_MICROS);
        if let Ok(reply) = held.run_regardless(held.due(), &HEARTBEAT, &arguments).await {
            store.probed();
            store.set_live_gateways(reply.integer().and_then(|count| count.try_into().ok()).unwrap_or(1));
        }
        drop(held);
        sleep(if store.breaker.is_open() { PROBE } else { BEAT }).await;
    }
}

/// This gateway takes no more requests: the others get its share at once.
pub fn farewell(client: std::rc::Rc<Client>) {
    let arguments = addressed(&client);
    client.run_later(&FAREWELL, arguments);
}

fn addressed(client: &Client) -> Arguments {
    let mut arguments = Arguments::new(1);
    arguments.key(format!("{}gateways", client.store.plan.prefix).as_bytes());
    arguments.word(client.store.gateway.as_bytes());
    arguments
}
