//! Leases that several gateways share: kept in Redis, and while that does not answer, as the document says.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::exchange::Exchange;
use crate::limits::Key;
use crate::limits::shared::{Book, Named, SharedLease, full_name};
use crate::pipeline::{Context, Flow, Resume};
use crate::plan::{self, StoreFailure};
use crate::policies::Local;
use crate::policies::concurrency::Concurrency;
use crate::problem::Problem;
use crate::redis::{Store, StoreError};
use crate::respond::{Code, Failure};
use crate::telemetry::metrics::Outcome;
use crate::worker::Worker;

/// Between two attempts of a request that waits for its turn; nobody tells a gateway that another's request has ended.
const PAUSE_MS: u64 = 25;

pub struct Shared {
    store: Arc<Store>,
    on_failure: StoreFailure,
    scope: Named,
    /// Requests of this gateway that wait for their turn.
    waiting: AtomicUsize,
}

impl Shared {
    pub fn compile(plan: &plan::Concurrency, context: &Context<'_>) -> Result<Option<Self>, Problem> {
        let Some(store) = context.shared(plan.store)? else { return Ok(None) };
        let scope = Named::new(&full_name(&plan.scope, "concurrency", &plan.name));
        Ok(Some(Self { store, on_failure: plan.on_store_failure, scope, waiting: AtomicUsize::new(0) }))
    }
}

enum Claimed {
    Granted(SharedLease, Outcome),
    Refused,
    Failed(StoreError),
}

impl Concurrency {
    /// Asks Redis for a lease. `text`: what the request is limited by; `key`: the same for the leases of this gateway.
    pub(super) fn ask_store(self: &Arc<Self>, shared: &Shared, text: &[u8], key: Key, most: u64) -> Flow {
        let policy = self.clone();
        let name: Rc<[u8]> = shared.scope.key(&shared.store.plan.prefix, text).into();
        Flow::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let claimed = policy.claim_shared(&worker, name, most).await;
                Box::new(move |local: &Local, exchange: &mut Exchange| {
                    policy.claimed(claimed, key, most, local, exchange)
                }) as Resume
            })
        }))
    }

    async fn claim_shared(&self, worker: &Worker, name: Rc<[u8]>, most: u64) -> Claimed {
        let Some(shared) = &self.shared else { return Claimed::Refused };
        let book = worker.local.book(&shared.store);
        match book.claim(name.clone(), most).await {
            Err(error) => Claimed::Failed(error),
            Ok(Some(lease)) => Claimed::Granted(lease, Outcome::Allowed),
            Ok(None) if self.shadow || self.queue == 0 => Claimed::Refused,
            Ok(None) => self.wait_shared(worker, shared, &book, name, most).await,
        }
    }

    async fn wait_shared(
        &self,
        worker: &Worker,
        shared: &Shared,
        book: &Rc<Book>,
        name: Rc<[u8]>,
        most: u64,
    ) -> Claimed {
        if shared.waiting.fetch_add(1, Relaxed) >= self.queue {
            shared.waiting.fetch_sub(1, Relaxed);
            return Claimed::Refused;
        }
        let _turn = Turn(&shared.waiting);
        let until = worker.now() + self.queue_timeout_ms;
        loop {
            let now = worker.now();
            if now >= until {
                return Claimed::Refused;
            }
            worker.wheel.sleep_until((now + PAUSE_MS).min(until)).await;
            match book.claim(name.clone(), most).await {
                Err(error) => return Claimed::Failed(error),
                Ok(Some(lease)) => return Claimed::Granted(lease, Outcome::Delayed),
                Ok(None) => {}
            }
        }
    }

    fn claimed(
        self: &Arc<Self>,
        claimed: Claimed,
        key: Key,
        most: u64,
        local: &Local,
        exchange: &mut Exchange,
    ) -> Flow {
        let Some(shared) = &self.shared else { return Flow::Continue };
        match (claimed, shared.on_failure) {
            (Claimed::Granted(lease, outcome), _) => {
                self.series.count(local.worker, outcome);
                exchange.shared_leases.push(lease);
                Flow::Continue
            }
            (Claimed::Refused, _) => self.refuse(local, exchange),
            (Claimed::Failed(_), StoreFailure::Allow) => Flow::Continue,
            (Claimed::Failed(_), StoreFailure::LocalShare) => {
                let share = (most / u64::from(shared.store.live_gateways())).max(1);
                self.claim_here(key, share, local, exchange)
            }
            (Claimed::Failed(error), StoreFailure::Deny) => {
                Flow::Respond(Failure::with(Code::LimitsUnavailable, format_args!("concurrency: redis: {error}")))
            }
        }
    }
}

/// A place among those that wait.
struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
