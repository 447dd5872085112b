//! Answers with the public keys that tokens of the gateway are checked with (RFC 7517).

use std::rc::Rc;

use crate::exchange::Exchange;
use crate::plan;
use crate::respond::Failure;
use crate::serve::say;
use crate::sides::Client;
use crate::signing::{Kept, Ring, write_key_set};
use crate::wheel::Alarm;
use crate::worker::Worker;

pub struct SigningKeys {
    rings: Vec<Ring>,
}

/// Long enough that services hardly ever ask, and much shorter than the time for which a key is known before it signs.
const CACHE_CONTROL: &[u8] = b"public, max-age=300";

impl SigningKeys {
    /// What is no key is left out here: the policy that is to sign with it says so.
    pub fn compile(plan: &[plan::SigningKeys], kept: &Kept) -> Self {
        Self { rings: plan.iter().filter_map(|keys| Ring::compile(keys, kept).ok()).collect() }
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let mut body = String::new();
        let now = worker.clock.wall() / 1000;
        let rings: Vec<_> = self.rings.iter().map(Ring::load).collect();
        write_key_set(rings.iter().map(|ring| &**ring), now, &mut body);
        exchange.answer.head.add(b"content-type", b"application/jwk-set+json");
        exchange.answer.head.add(b"cache-control", CACHE_CONTROL);
        say(worker, client, exchange, alarm, 200, body.as_bytes()).await
    }
}
