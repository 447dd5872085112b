//! Quotas that several gateways share and that no request waits for: counted here, and settled with Redis now and then.

use crate::exchange::Exchange;
use crate::limits::quota::QuotaTold;
use crate::limits::shared::What;
use crate::limits::synced::{Ledger, SyncedAsk};
use crate::limits::{Key, MOST_LIMITS, Micros, Told};
use crate::pipeline::Flow;
use crate::policies::Local;
use crate::policies::quota::{MetQuota, Quota};

impl Quota {
    pub(super) fn take_synced(&self, ledger: &Ledger, local: &Local, exchange: &mut Exchange) -> Flow {
        // The keys of all quotas, one behind the other.
        let (mut texts, mut ends) = (Vec::with_capacity(64), [0; MOST_LIMITS + 1]);
        let mut count = 0;
        self.meet(local, exchange, |_, _, text| {
            texts.extend_from_slice(text);
            count += 1;
            ends[count] = texts.len();
        });
        if count == 0 {
            return Flow::Continue;
        }
        if ledger.is_away() {
            let live = self.shared.as_ref().map_or(1, |store| store.live_gateways());
            return self.unanswered(live, format_args!("quotas could not be settled"), local, exchange);
        }
        let ask = |(index, met): (usize, &MetQuota)| SyncedAsk {
            key: Key::of_quota(met.ask.key),
            name: &self.limits[met.limit].named,
            text: &texts[ends[index]..ends[index + 1]],
            what: What::quota(&met.ask),
            cost: met.ask.cost,
            shadow: met.ask.shadow,
        };
        let asks: Vec<SyncedAsk<'_>> = exchange.quotas.met.iter().enumerate().map(ask).collect();
        let mut told = [Told::default(); MOST_LIMITS];
        let now = ledger.time(exchange.started_micros, local.epoch_micros(0));
        let goes = ledger.take(now, &asks, &mut told[..count]);
        for (met, told) in exchange.quotas.met.iter_mut().zip(told) {
            let used = met.ask.amount.saturating_sub(told.reading.remaining);
            met.told = QuotaTold { passed: told.passed, charged: told.charged, used };
        }
        exchange.quotas.synced = true;
        self.decide(goes, local, exchange)
    }
}

/// Gives back what a request was charged, as far as its period goes on.
pub(super) fn give_back(ledger: &Ledger, met: &MetQuota, engine_micros: Micros) {
    let what = What::quota(&met.ask);
    let What::Quota { start, .. } = what else { return };
    ledger.give_back(ledger.later(engine_micros), Key::of_quota(met.ask.key), &what, start, met.ask.cost);
}
