//! Budgets that several gateways share and that no request waits for: counted here, and settled with Redis now and then.

use std::sync::Arc;

use crate::exchange::Exchange;
use crate::limits::shared::What;
use crate::limits::synced::{Ledger, SyncedAsk};
use crate::limits::{MOST_LIMITS, Micros, Reading, Told};
use crate::pipeline::Flow;
use crate::policies::Local;
use crate::policies::rate_limit::shared::{Counted, Shared};
use crate::policies::rate_limit::{Met, RateLimit};

impl RateLimit {
    pub(super) fn take_synced(
        &self,
        shared: &Shared,
        ledger: &Ledger,
        engine_now: Micros,
        local: &Local,
        exchange: &mut Exchange,
    ) -> Flow {
        // The keys of all limits, one behind the other.
        let (mut texts, mut ends) = (Vec::with_capacity(64), [0; MOST_LIMITS + 1]);
        let mut count = 0;
        self.meet(local.worker, exchange, |_, _, text| {
            texts.extend_from_slice(text);
            count += 1;
            ends[count] = texts.len();
        });
        if count == 0 {
            return Flow::Continue;
        }
        if ledger.is_away() {
            return self.unanswered(shared, format_args!("limits could not be settled"), local, exchange);
        }
        let ask = |(index, met): (usize, &Met)| self.synced_ask(met, &texts[ends[index]..ends[index + 1]]);
        let meeting = self.meeting(exchange);
        let asks: Vec<SyncedAsk<'_>> = meeting.met.iter().enumerate().map(ask).collect();
        let mut told = [Told::default(); MOST_LIMITS];
        let now = ledger.time(engine_now, local.epoch_micros(0));
        let goes = ledger.take(now, &asks, &mut told[..count]);
        meeting.met.iter_mut().zip(told).for_each(|(met, told)| met.told = told);
        meeting.counted = Counted::Synced;
        self.decide(goes, engine_now, local, exchange)
    }

    pub(super) fn give_back_synced(&self, met: &Met, engine_now: Micros) -> Option<Reading> {
        let ledger: &Arc<Ledger> = self.shared.as_ref()?.ledger.as_ref()?;
        let what = What::Rule(self.budget(met)?.rule);
        ledger.give_back(ledger.later(engine_now), met.key, &what, met.told.at, met.cost)
    }

    fn synced_ask<'a>(&'a self, met: &Met, text: &'a [u8]) -> SyncedAsk<'a> {
        let budget = self.budget(met).expect("only limited tiers are met");
        SyncedAsk {
            key: met.key,
            name: budget.scope.named(),
            text,
            what: What::Rule(budget.rule),
            cost: met.cost,
            shadow: self.limits[met.limit].shadow,
        }
    }
}
