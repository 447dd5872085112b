//! Keys and answers of many gateways, in Redis.
//!
//! A key is held under a lease that the gateway renews while the request runs. One that dies renews nothing, so its keys are free
//! when their leases end. Who holds a key is written with it, so that nobody gives back what has become another's.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::Instant;

use super::answer::Answer;
use super::table::Begun;
use super::{Fingerprint, Name};
use crate::redis::client::{Arguments, Client};
use crate::redis::script::Known;
use crate::redis::{Reply, Script, StoreError};

/// KEYS: the key. ARGV: what holds it, and for how long. Returns what was there, or 0 when it was taken.
static BEGIN: Known = Known::new(|| {
    Script::new(
        "local known = redis.call('GET', KEYS[1])\n\
         if known then return known end\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
         return 0",
    )
});

/// ARGV: what holds it, what is kept, and for how long. One whose lease has ended is kept all the same, unless another has it now.
static FINISH: Known = Known::new(|| {
    Script::new(
        "local known = redis.call('GET', KEYS[1])\n\
         if known and known ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n\
         return 1",
    )
});

static RELEASE: Known = Known::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
});

static RENEW: Known = Known::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
    )
});

const HELD: u8 = b'h';
const ANSWERED: u8 = b'a';
/// It ran, and its answer is not kept.
const RAN: u8 = b'r';

/// An answer may be large, and nobody waits for it to be stored.
const STORING: Duration = Duration::from_secs(2);
const STORING_ATTEMPTS: u32 = 5;
/// Renewals in the time of one lease.
const RENEWALS: u32 = 3;

/// A key that is held by the request that runs. Dropped, it is free again.
pub struct SharedLease(Rc<Held>);

struct Held {
    client: Rc<Client>,
    key: Box<[u8]>,
    /// The value that stands for this request and for no other.
    value: Box<[u8]>,
    fingerprint: Fingerprint,
    /// Nothing is to be given back.
    over: Cell<bool>,
}

pub async fn begin(
    client: Rc<Client>,
    name: &Name,
    fingerprint: &Fingerprint,
    lease_ms: u64,
    token: u64,
) -> Result<Begun<SharedLease>, StoreError> {
    let key = key(&client.store.plan.prefix, name);
    let token = format!("{}:{}:{token:016x}", client.store.gateway, client.worker());
    let value = [&[HELD], fingerprint.as_slice(), token.as_bytes()].concat().into();
    let held = Rc::new(Held { client, key, value, fingerprint: *fingerprint, over: Cell::new(false) });
    let mut arguments = held.arguments();
    arguments.number(lease_ms as i64);
    // Until the answer is there the key may be held or not: whatever happens meanwhile, it is given back.
    let lease = SharedLease(held.clone());
    let reply = held.client.run_until(held.client.due(), &BEGIN, &arguments).await?;
    let known = match &reply {
        Reply::Integer(0) => {
            spawn_local(renew(Rc::downgrade(&held), lease_ms));
            return Ok(Begun::First(lease));
        }
        Reply::Bulk(known) => known,
        _ => return Err(StoreError::Malformed),
    };
    held.over.set(true);
    read(known, fingerprint).ok_or(StoreError::Malformed)
}

fn read(known: &[u8], fingerprint: &Fingerprint) -> Option<Begun<SharedLease>> {
    let (kind, rest) = known.split_first()?;
    let (of, rest) = rest.split_at_checked(fingerprint.len())?;
    if of != fingerprint {
        return Some(Begun::Other);
    }
    Some(match *kind {
        HELD => Begun::InUse,
        RAN => Begun::Done(None),
        ANSWERED => Begun::Done(Some(Arc::new(Answer::read(rest)?))),
        _ => return None,
    })
}

/// A cluster's tag is the whole name: keys are spread over its servers.
fn key(prefix: &str, name: &Name) -> Box<[u8]> {
    let mut key = format!("{prefix}{{");
    for byte in name {
        key.push_str(&format!("{byte:02x}"));
    }
    key.push_str("}:idempotency");
    key.into_bytes().into()
}

async fn renew(held: Weak<Held>, lease_ms: u64) {
    let pause = Duration::from_millis((lease_ms / u64::from(RENEWALS)).max(1));
    loop {
        tokio::time::sleep(pause).await;
        let Some(held) = held.upgrade().filter(|held| !held.over.get()) else { return };
        let mut arguments = held.arguments();
        arguments.number(lease_ms as i64);
        held.client.run_later(&RENEW, arguments);
    }
}

impl SharedLease {
    /// The request is answered; `None`: with something that is not kept. It is stored beside the traffic; `lost` is called when the
    /// store does not take it.
    pub fn finish(self, answer: Option<Arc<Answer>>, ttl_ms: u64, lost: impl FnOnce() + 'static) {
        spawn_local(async move {
            let held = &self.0;
            let kind = if answer.is_some() { ANSWERED } else { RAN };
            let mut value = [&[kind], held.fingerprint.as_slice()].concat();
            answer.iter().for_each(|answer| answer.write(&mut value));
            let mut arguments = held.arguments();
            arguments.word(&value);
            arguments.number(ttl_ms as i64);
            for attempt in 0..STORING_ATTEMPTS {
                // The key stays held meanwhile: the lease is renewed until this is over.
                let stored = held.client.run_until(Instant::now() + STORING, &FINISH, &arguments).await;
                if stored.is_ok() {
                    held.over.set(true);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            }
            lost();
        });
    }
}

impl Held {
    fn arguments(&self) -> Arguments {
        let mut arguments = Arguments::new(1);
        arguments.key(&self.key);
        arguments.word(&self.value);
        arguments
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        if !self.0.over.replace(true) {
            self.0.client.run_later(&RELEASE, self.0.arguments());
        }
    }
}
