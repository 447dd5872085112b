//! Takes what was charged to the store, and what all gateways have used back: one task a process, which no request waits for.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::limits::algorithm::Micros;
use crate::limits::shared::CELLS;
use crate::limits::synced::ledger::{Due, Ledger};
use crate::redis::client::{Arguments, Client};
use crate::redis::script::Known;
use crate::redis::{Script, StoreError, slot};
use crate::telemetry::Wall;

/// Keys of one script: the store does nothing else while it runs.
const MOST_KEYS: usize = 100;
/// Scripts under way at once.
const MOST_BATCHES: usize = 32;

static SETTLE: Known = Known::new(|| Script::new([CELLS, include_str!("settle.lua")].concat()));

/// Of batches; never used again by this process, whoever settles.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// What is told by one script.
#[derive(Debug)]
struct Batch {
    /// Under which the store remembers that it was told.
    name: Vec<u8>,
    dues: Vec<Due>,
}

/// What could not be settled yet: batches whose answer did not come go again as they were, so that none is added twice.
#[derive(Debug, Default)]
pub struct Settler {
    number: u64,
    batches: Vec<Batch>,
}

/// The time by which a batch is told.
#[derive(Clone)]
pub enum Time {
    /// Of the engine's clock, and the store's own.
    Real(Arc<Wall>),
    /// A test's, by the ledger and by the store.
    Told { now: Micros, store: Micros },
}

impl Time {
    fn now(&self, ledger: &Ledger) -> Micros {
        match self {
            Self::Real(wall) => ledger.time(wall.engine_micros(), wall.epoch_micros(0)),
            Self::Told { now, .. } => *now,
        }
    }
}

impl Settler {
    /// Tells the store what it does not know, or first what it could not be told before.
    pub async fn settle(&mut self, client: &Rc<Client>, ledger: &Arc<Ledger>, time: Time) -> Result<(), StoreError> {
        if self.batches.is_empty() {
            self.number = NUMBERS.fetch_add(1, Relaxed);
            self.batches = batches(client, ledger);
        }
        let mut waiting = std::mem::take(&mut self.batches).into_iter();
        let mut outcome = Ok(());
        loop {
            let mut under_way = JoinSet::new();
            for batch in waiting.by_ref().take(MOST_BATCHES) {
                let (client, ledger, number, time) = (client.clone(), ledger.clone(), self.number, time.clone());
                under_way.spawn_local(async move {
                    let told = tell(&client, &ledger, &batch, number, &time).await;
                    (batch, told)
                });
            }
            if under_way.is_empty() {
                return outcome;
            }
            while let Some(told) = under_way.join_next().await {
                let Ok((batch, told)) = told else { continue };
                if let Err(error) = told {
                    self.batches.push(batch);
                    outcome = Err(error);
                }
            }
        }
    }
}

/// Settles a ledger until its client is dropped.
pub async fn keep_settled(client: Weak<Client>, ledger: Arc<Ledger>, wall: Arc<Wall>) {
    let mut settler = Settler::default();
    loop {
        if settler.batches.is_empty() {
            ledger.until_charged().await;
        }
        if client.strong_count() == 0 {
            break;
        }
        sleep(ledger.sync).await;
        let Some(client) = client.upgrade() else { break };
        let outcome = settler.settle(&client, &ledger, Time::Real(wall.clone())).await;
        match &outcome {
            Ok(()) if ledger.is_away() => tracing::info!("limits are settled again"),
            Err(error) if !ledger.is_away() => tracing::warn!(error = %error, "limits cannot be settled"),
            _ => {}
        }
        ledger.set_away(outcome.is_err());
    }
    ledger.taken.store(false, Relaxed);
}

/// Begins to settle a ledger, unless somebody does.
pub fn start(client: &Rc<Client>, ledger: Arc<Ledger>, wall: Arc<Wall>) {
    if !ledger.taken.swap(true, Relaxed) {
        tokio::task::spawn_local(keep_settled(Rc::downgrade(client), ledger, wall));
    }
}

fn batches(client: &Client, ledger: &Ledger) -> Vec<Batch> {
    let plan = &client.store.plan;
    let (sync, gateway) = (ledger.sync.as_millis(), &client.store.gateway);
    let mut dues = ledger.take_due();
    if !plan.cluster {
        // Batches that are under way at once have names of their own, which are used again for the next.
        return in_parts(dues)
            .enumerate()
            .map(|(lane, dues)| Batch {
                name: format!("{}settled:{gateway}:{sync}:{lane}", plan.prefix).into_bytes(),
                dues,
            })
            .collect();
    }
    // What one script tells must be on one server: the tag of its first key puts its name there, too.
    let slot_of = |due: &Due| slot(&due.name.key_of("", &due.hash));
    dues.sort_by_cached_key(slot_of);
    let mut batches: Vec<(u16, Batch)> = Vec::new();
    for due in dues {
        let slot = slot_of(&due);
        match batches.last_mut() {
            Some((known, batch)) if *known == slot => batch.dues.push(due),
            _ => {
                let mut name = plan.prefix.clone();
                due.hash.write_tag(&mut name);
                name.push_str(&format!(":settled:{gateway}:{sync}"));
                batches.push((slot, Batch { name: name.into_bytes(), dues: vec![due] }));
            }
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

fn in_parts(dues: Vec<Due>) -> impl Iterator<Item = Vec<Due>> {
    let mut dues = dues.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<Due> = dues.by_ref().take(MOST_KEYS).collect();
        (!part.is_empty()).then_some(part)
    })
}

async fn tell(client: &Rc<Client>, ledger: &Ledger, batch: &Batch, number: u64, time: &Time) -> Result<(), StoreError> {
    let arguments = arguments(batch, &client.store.plan.prefix, number, time, time.now(ledger));
    // Nobody waits for it, so a store that is slow for a moment is not given up at once.
    let began = Instant::now();
    let due = began + client.store.timeout().max(ledger.sync);
    let reply = client.run_until(due, &SETTLE, &arguments).await?;
    let numbers: Option<Vec<u64>> =
        reply.items().iter().map(|item| item.integer().and_then(|number| number.try_into().ok())).collect();
    let numbers = numbers.filter(|numbers| numbers.len() == 1 + 3 * batch.dues.len()).ok_or(StoreError::Malformed)?;
    if let Time::Real(wall) = time {
        // The store has told its time about half way.
        let half = began.elapsed().as_micros() as u64 / 2;
        ledger.compare_clocks(numbers[0], wall.engine_micros().saturating_sub(half));
    }
    for (due, told) in batch.dues.iter().zip(numbers[1..].chunks_exact(3)) {
        ledger.settled(due, [told[0], told[1], told[2]], numbers[0]);
    }
    Ok(())
}

fn arguments(batch: &Batch, prefix: &str, number: u64, time: &Time, now: Micros) -> Arguments {
    let mut arguments = Arguments::new(1 + batch.dues.len());
    arguments.key(&batch.name);
    batch.dues.iter().for_each(|due| arguments.key(&due.name.key_of(prefix, &due.hash)));
    match time {
        Time::Real(_) => arguments.word(b""),
        Time::Told { store, .. } => arguments.number(*store as i64),
    }
    arguments.number(number as i64);
    for due in &batch.dues {
        let (letter, numbers) = due.pending.wire(due.kind, now);
        arguments.word(&[letter]);
        numbers.iter().for_each(|number| arguments.number(*number));
    }
    arguments
}
