//! Tells the other gateways that a breaker opened, and hears it from them, by the Redis that they share.
//!
//! One worker asks a few times a second, one round trip for all breakers. It is a hint and no more: a gateway whose Redis is
//! away, or which has not asked yet, finds out for itself, and each tries for itself whether the service is well again.

use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::clock::Millis;
use crate::redis::client::Arguments;
use crate::redis::script::Known;
use crate::redis::{Reply, Script};
use crate::snapshot::Snapshot;
use crate::upstream::breaker::Breaker;
use crate::worker::Worker;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// KEYS: the hash of open breakers. ARGV: name, for how long it is open (milliseconds) and by whose word, of each that opened
/// here. Returns the same of each that is open anywhere. By the store's clock, so the gateways' need not agree.
static EXCHANGE: Known = Known::new(|| {
    Script::new(
        "local t = redis.call('TIME')\n\
         local now = t[1] * 1000 + math.floor(t[2] / 1000)\n\
         for i = 1, #ARGV, 3 do\n\
         redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f', now + ARGV[i + 1]) .. ' ' .. ARGV[i + 2])\n\
         end\n\
         local open, longest = {}, 0\n\
         local all = redis.call('HGETALL', KEYS[1])\n\
         for i = 1, #all, 2 do\n\
         local ends, by = string.match(all[i + 1], '^(%d+) (.+)$')\n\
         local left = (tonumber(ends) or 0) - now\n\
         if left > 0 then\n\
         open[#open + 1] = all[i]\n\
         open[#open + 1] = left\n\
         open[#open + 1] = by\n\
         longest = math.max(longest, left)\n\
         else\n\
         redis.call('HDEL', KEYS[1], all[i])\n\
         end\n\
         end\n\
         if longest > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', longest + 60000)) end\n\
         return open",
    )
});

/// What this gateway has told and heard, by the breaker's name.
#[derive(Default)]
struct Book {
    told: FxHashMap<Box<str>, u64>,
    heard: FxHashMap<Box<str>, Box<str>>,
}

/// Goes on for ever; one task of one worker.
pub async fn keep_shared(worker: Rc<Worker>) {
    let mut book = Book::default();
    loop {
        tokio::time::sleep(PAUSE).await;
        let snapshot = worker.snapshot();
        if !snapshot.shared_breakers.is_empty() {
            exchange(&worker, &snapshot, &mut book).await;
        }
    }
}

async fn exchange(worker: &Worker, snapshot: &Snapshot, book: &mut Book) {
    let Some(store) = &snapshot.redis else { return };
    let client = worker.local.redis.of(store);
    let mut arguments = Arguments::new(1);
    arguments.key(format!("{}breakers", store.plan.prefix).as_bytes());
    let told = book.news(&snapshot.shared_breakers, worker.now());
    for (breaker, count, for_ms) in &told {
        arguments.word(breaker.name().as_bytes());
        arguments.number((*for_ms).min(i64::MAX as u64) as i64);
        arguments.word(format!("{}:{count}", store.gateway).as_bytes());
    }
    let Ok(reply) = client.run_until(client.due(), &EXCHANGE, &arguments).await else { return };
    for (breaker, count, _) in told {
        book.told.insert(breaker.name().into(), count);
    }
    for entry in reply.items().chunks_exact(3) {
        if let [name, left, by] = entry {
            book.hear(&snapshot.shared_breakers, name, left, by, &store.gateway, worker.now());
        }
    }
}

impl Book {
    /// Those that opened here and of which the others have not heard: how often they did, and how much longer they are open.
    fn news<'a>(&self, breakers: &'a [std::sync::Arc<Breaker>], now: Millis) -> Vec<(&'a Breaker, u64, Millis)> {
        let news = breakers.iter().filter_map(|breaker| {
            let opened = breaker.opened();
            let known = self.told.get(breaker.name()).copied().unwrap_or(0);
            (opened.count != known && opened.until > now).then(|| (&**breaker, opened.count, opened.until - now))
        });
        news.collect()
    }

    fn hear(
        &mut self,
        breakers: &[std::sync::Arc<Breaker>],
        name: &Reply,
        left: &Reply,
        by: &Reply,
        gateway: &str,
        now: Millis,
    ) {
        let (Some(name), Some(left), Some(by)) = (name.text(), left.integer(), by.text()) else { return };
        let ours = by.split_once(':').is_some_and(|(whose, _)| whose == gateway);
        if ours || self.heard.get(name).is_some_and(|known| **known == *by) {
            return;
        }
        if let Some(breaker) = breakers.iter().find(|breaker| breaker.name() == name) {
            self.heard.insert(name.into(), by.into());
            breaker.opened_elsewhere(u64::try_from(left).unwrap_or_default(), now);
        }
    }
}
