//! What outlives a reload: counters, keys and the like, shared by all workers and by one snapshot after the other.

use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;

use crate::canary::{self, Canaries};
use crate::credentials::keys::Keys;
use crate::credentials::passwords::Passwords;
use crate::key_sets::KeySets;
use crate::limits::Limits;
use crate::limits::quota::Quotas;
use crate::overload::Memory;
use crate::plan::{self, Plan};
use crate::policies::forward_auth::Decision;
use crate::policies::idempotency;
use crate::policies::introspection::Outcome;
use crate::policies::oidc::Refreshed;
use crate::policies::verdicts::Verdicts;
use crate::signing;
use crate::telemetry::metrics::Text;
use crate::upstream::affinity::OwnKey;
use crate::upstream::breaker::{Breaker, News};
use crate::upstream::budget::Budget;
use crate::upstream::bulkhead::{Bulkhead, Slots};
use crate::upstream::hedge::Hedge;

/// One for each engine; whoever compiles a policy finds in it what the policy before the reload has left.
#[derive(Default)]
pub struct State {
    /// Keys of the store.
    pub keys: Keys,
    pub passwords: Passwords,
    /// Keys that policies sign with, made and rotated outside of the document.
    pub signing: signing::Kept,
    /// What services may be asked beside first attempts.
    pub budgets: Tables<(Box<str>, plan::CallBudget), Budget>,
    /// What is known for second attempts.
    pub hedges: Tables<(Box<str>, plan::Hedging), Hedge>,
    /// Where canaries are.
    pub canaries: Canaries,
    /// Circuit breakers of services, and of routes that have their own.
    pub breakers: Tables<plan::CircuitBreaker, Breaker>,
    /// What breakers tell functions of the user's.
    pub breaker_news: Arc<News>,
    pub bulkheads: Tables<plan::Bulkhead, Bulkhead>,
    /// Open connections, by service and bound.
    pub connections: Tables<(Box<str>, u32), Slots>,
    pub decisions: Tables<plan::ForwardAuth, Verdicts<Decision>>,
    /// Keys and answers, by where the policy stands.
    pub idempotency: Tables<String, idempotency::Table>,
    pub introspections: Tables<plan::Introspection, Verdicts<Outcome>>,
    pub limits: Limits,
    /// How full the memory is.
    pub memory: Arc<Memory>,
    /// Microseconds that a test adds to the delay of every worker.
    pub injected_delay: Arc<AtomicU64>,
    pub oidc: Tables<plan::Oidc, Verdicts<Refreshed>>,
    /// Keys of token issuers.
    pub key_sets: KeySets,
    /// Hides targets in the cookies of services that have no secret.
    pub sticky_key: OwnKey,
    /// What callers have used of their quotas.
    pub quotas: Quotas,
    /// What this gateway has granted of quotas in Redis while that did not answer; goes with the process.
    pub quota_shares: Quotas,
}

impl State {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The metrics of what a document uses.
    pub(crate) fn render(&self, plan: &Plan, text: &mut Text) {
        if plan.key_store {
            self.keys.render(text);
        }
        canary::render(&self.canaries.all(), text);
        idempotency::render(&self.idempotency.all(), text);
    }
}

/// Tables of policies, by their options: a policy whose options did not change finds its own again after a reload.
///
/// A table lives for as long as a snapshot uses it.
pub struct Tables<P, T>(Mutex<FxHashMap<P, Weak<T>>>);

impl<P, T> Default for Tables<P, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Clone + Eq + Hash, T> Tables<P, T> {
    /// Those that are in use.
    pub fn all(&self) -> Vec<Arc<T>> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.values().filter_map(Weak::upgrade).collect()
    }

    /// The table of these options; made if there is none.
    pub fn of(&self, options: &P, make: impl FnOnce() -> T) -> Arc<T> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(options).and_then(Weak::upgrade) {
            return table;
        }
        if tables.len() == tables.capacity() {
            // About to grow: what nobody uses any more makes room first.
            tables.retain(|_, table| table.strong_count() > 0);
        }
        let table = Arc::new(make());
        tables.insert(options.clone(), Arc::downgrade(&table));
        table
    }
}
