//! Leases that many gateways share: a set in Redis for each key, with the time at which each lease ends by itself.
//!
//! A lease is renewed as long as its request goes on. A gateway that dies renews nothing, so its leases end with [`TTL`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::task::spawn_local;

use crate::redis::client::{Arguments, Client};
use crate::redis::script::Known;
use crate::redis::{Script, StoreError};

/// How long a lease holds that nobody renews.
pub const TTL: Duration = Duration::from_secs(30);
const RENEWAL: Duration = Duration::from_secs(10);
/// Leases renewed by one script.
const BATCH: usize = 100;

/// KEYS: the set. ARGV: the lease, how many there may be, how long it holds (microseconds). Returns whether it was granted.
static CLAIM: Known = Known::new(|| {
    Script::new(
        "local t = redis.call('TIME')\n\
         local now = t[1] * 1000000 + t[2]\n\
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))\n\
         if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end\n\
         redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[1])\n\
         redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] / 1000))\n\
         return 1",
    )
});

static RELEASE: Known = Known::new(|| Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])"));

/// KEYS: the set. ARGV: how long they hold, then the leases. One that has ended already is not brought back.
static RENEW: Known = Known::new(|| {
    Script::new(
        "local t = redis.call('TIME')\n\
         local until_then = string.format('%.0f', t[1] * 1000000 + t[2] + ARGV[1])\n\
         for index = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', until_then, ARGV[index]) end\n\
         return redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[1] / 1000))",
    )
});

/// The leases that one worker holds of one store.
pub struct Book {
    client: Rc<Client>,
    held: RefCell<FxHashMap<u64, Rc<[u8]>>>,
    next: Cell<u64>,
    renewing: Cell<bool>,
}

/// One request under way, as all gateways count it. Given back when it is dropped.
pub struct SharedLease {
    book: Rc<Book>,
    number: u64,
}

impl Book {
    pub fn new(client: Rc<Client>) -> Rc<Self> {
        let (held, next, renewing) = (RefCell::default(), Cell::new(0), Cell::new(false));
        Rc::new(Self { client, held, next, renewing })
    }

    pub fn client(&self) -> &Rc<Client> {
        &self.client
    }

    /// Asks for a lease; `None`: there are `most` already.
    pub async fn claim(self: &Rc<Self>, key: Rc<[u8]>, most: u64) -> Result<Option<SharedLease>, StoreError> {
        let number = self.next.replace(self.next.get() + 1);
        // Held from here on: when the answer is late or nobody waits for it any more, the lease is given back all the same.
        self.held.borrow_mut().insert(number, key.clone());
        let lease = SharedLease { book: self.clone(), number };
        let mut arguments = Arguments::new(1);
        arguments.key(&key);
        arguments.word(self.name(number).as_bytes());
        arguments.number(most.min(i64::MAX as u64) as i64);
        arguments.number(TTL.as_micros() as i64);
        let reply = self.client.run_until(self.client.due(), &CLAIM, &arguments).await?;
        if reply.integer() != Some(1) {
            self.held.borrow_mut().remove(&number);
            return Ok(None);
        }
        self.keep_renewed();
        Ok(Some(lease))
    }

    fn name(&self, number: u64) -> String {
        format!("{}:{}:{number}", self.client.store.gateway, self.client.worker())
    }

    fn keep_renewed(self: &Rc<Self>) {
        if self.renewing.replace(true) {
            return;
        }
        let book = Rc::downgrade(self);
        spawn_local(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                let Some(book) = book.upgrade() else { return };
                if book.held.borrow().is_empty() {
                    book.renewing.set(false);
                    return;
                }
                book.renew();
            }
        });
    }

    fn renew(self: &Rc<Self>) {
        let mut by_key: FxHashMap<Rc<[u8]>, Vec<u64>> = FxHashMap::default();
        for (number, key) in self.held.borrow().iter() {
            by_key.entry(key.clone()).or_default().push(*number);
        }
        for (key, numbers) in by_key {
            for numbers in numbers.chunks(BATCH) {
                let mut arguments = Arguments::new(1);
                arguments.key(&key);
                arguments.number(TTL.as_micros() as i64);
                numbers.iter().for_each(|number| arguments.word(self.name(*number).as_bytes()));
                self.client.run_later(&RENEW, arguments);
            }
        }
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        let Some(key) = self.book.held.borrow_mut().remove(&self.number) else { return };
        let mut arguments = Arguments::new(1);
        arguments.key(&key);
        arguments.word(self.book.name(self.number).as_bytes());
        self.book.client.run_later(&RELEASE, arguments);
    }
}
