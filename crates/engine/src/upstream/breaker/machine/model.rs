//! Random traces against a plain model, which keeps every call it ever saw and counts them anew each time.

use super::tests::settings;
use super::*;
use crate::plan::BreakerRates;

/// Numbers that differ from run to run would hide what once failed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Debug, Clone, Copy)]
enum Period {
    Closed,
    Open { until: Millis },
    HalfOpen { until: Millis },
}

struct Model {
    settings: CircuitBreaker,
    period: Period,
    number: u32,
    /// Calls of this period that ended.
    calls: Vec<(Millis, Verdict)>,
    under_way: u32,
}

impl Model {
    fn begin(&mut self, period: Period) {
        self.period = period;
        self.number += 1;
        self.calls.clear();
        self.under_way = 0;
    }

    /// Whether a call goes through, and the number of the period it belongs to.
    fn admit(&mut self, now: Millis) -> Option<u32> {
        self.look(now);
        match self.period {
            Period::Closed => {}
            Period::Open { .. } => return None,
            Period::HalfOpen { .. } => {
                let needed = match self.decides_by_rate() {
                    true => self.settings.half_open_calls,
                    false => self.settings.success_threshold,
                };
                if self.under_way >= self.settings.half_open_calls || self.under_way + self.calls.len() as u32 >= needed
                {
                    return None;
                }
                self.under_way += 1;
            }
        }
        Some(self.number)
    }

    fn look(&mut self, now: Millis) {
        let until = now + self.settings.timeout_ms;
        match self.period {
            Period::Open { until: over } if now >= over => self.begin(Period::HalfOpen { until }),
            Period::HalfOpen { until: over } if now >= over => {
                self.under_way = 0;
                self.period = Period::HalfOpen { until };
            }
            _ => {}
        }
    }

    fn decides_by_rate(&self) -> bool {
        self.settings.rates.is_some() && self.settings.failure_threshold.is_none()
    }

    fn record(&mut self, number: u32, verdict: Option<Verdict>, now: Millis) {
        if verdict.is_some() {
            self.look(now);
        }
        if number != self.number {
            return;
        }
        self.under_way = self.under_way.saturating_sub(1);
        let Some(verdict) = verdict else { return };
        self.calls.push((now, verdict));
        let open = Period::Open { until: now + self.settings.timeout_ms };
        match self.period {
            Period::Closed => {
                if self.fails_in_a_row() || self.rate_is_reached(now, u32::MAX) == Some(true) {
                    self.begin(open);
                }
            }
            Period::HalfOpen { .. } if self.decides_by_rate() => {
                match self.rate_is_reached(now, self.settings.half_open_calls) {
                    Some(true) => self.begin(open),
                    Some(false) => self.begin(Period::Closed),
                    None => {}
                }
            }
            Period::HalfOpen { .. } if verdict.failed => self.begin(open),
            Period::HalfOpen { .. } if self.calls.len() as u32 >= self.settings.success_threshold => {
                self.begin(if self.trials_are_slow() { open } else { Period::Closed });
            }
            Period::HalfOpen { .. } | Period::Open { .. } => {}
        }
    }

    fn fails_in_a_row(&self) -> bool {
        let Some(threshold) = self.settings.failure_threshold else { return false };
        let last: Vec<_> = self.calls.iter().rev().take(threshold as usize).collect();
        last.len() == threshold as usize
            && last.iter().all(|(_, verdict)| verdict.failed)
            && last[0].0 - last[last.len() - 1].0 <= self.settings.window_ms
    }

    fn trials_are_slow(&self) -> bool {
        let Some(share) = self.settings.rates.as_ref().and_then(|rates| rates.slow) else { return false };
        let slow = self.calls.iter().filter(|(_, verdict)| verdict.slow).count() as u64;
        slow * 1_000_000 >= u64::from(share) * self.calls.len() as u64
    }

    /// `None`: there are too few calls. Trials are a window of their own, whatever their age.
    fn rate_is_reached(&self, now: Millis, most: u32) -> Option<bool> {
        let rates = self.settings.rates.as_ref()?;
        let size = rates.window_calls.unwrap_or(u32::MAX);
        let seconds = self.settings.window_ms / 1000;
        let trials = most != u32::MAX;
        let within = |at: Millis| trials || rates.window_calls.is_some() || at / 1000 + seconds > now / 1000;
        let calls: Vec<_> = self.calls.iter().rev().take(size as usize).filter(|(at, _)| within(*at)).collect();
        let count = calls.len() as u64;
        if count < u64::from(rates.minimum_calls.min(most).min(size)) {
            return None;
        }
        let reached = |share: Option<u32>, part: usize| {
            share.is_some_and(|share| part as u64 * 1_000_000 >= u64::from(share) * count)
        };
        let failed = calls.iter().filter(|(_, verdict)| verdict.failed).count();
        let slow = calls.iter().filter(|(_, verdict)| verdict.slow).count();
        Some(reached(rates.failure, failed) || reached(rates.slow, slow))
    }
}

fn any_settings(random: &mut Random) -> CircuitBreaker {
    let rates = (random.below(3) > 0).then(|| BreakerRates {
        failure: (random.below(3) > 0).then(|| 1 + random.below(1_000_000) as u32),
        slow: (random.below(2) > 0).then(|| 1 + random.below(1_000_000) as u32),
        slow_call_ms: 100,
        minimum_calls: 1 + random.below(12) as u32,
        window_calls: (random.below(2) > 0).then(|| 1 + random.below(12) as u32),
    });
    let in_a_row = rates.is_none() || random.below(2) > 0;
    CircuitBreaker {
        failure_threshold: in_a_row.then(|| 1 + random.below(6) as u32),
        success_threshold: 1 + random.below(5) as u32,
        timeout_ms: 1 + random.below(20_000),
        window_ms: (2 + random.below(9)) * 1000,
        half_open_calls: 1 + random.below(6) as u32,
        rates,
        ..settings()
    }
}

#[test]
fn random_traces_give_what_the_plain_model_gives() {
    for seed in 0..600 {
        let mut random = Random(seed);
        let settings = any_settings(&mut random);
        let mut now = random.below(100_000);
        let mut machine = Machine::new(settings.clone(), now);
        let mut model =
            Model { settings: settings.clone(), period: Period::Closed, number: 0, calls: Vec::new(), under_way: 0 };
        let mut under_way: Vec<(Admission, u32)> = Vec::new();
        let bad = 1 + random.below(9);
        for step in 0..400 {
            let longest = if random.below(20) == 0 { 8000 } else { 300 };
            now += random.below(longest);
            if under_way.is_empty() || (under_way.len() < 8 && random.below(2) == 0) {
                let (one, other) = (machine.admit(now), model.admit(now));
                assert_eq!(one.is_ok(), other.is_some(), "seed {seed} step {step} {settings:?}");
                under_way.extend(one.ok().zip(other));
            } else {
                let index = random.below(under_way.len() as u64) as usize;
                let (admission, number) = under_way.swap_remove(index);
                if random.below(12) == 0 {
                    machine.release(admission);
                    model.record(number, None, now);
                } else {
                    let verdict = Verdict { failed: random.below(10) < bad, slow: random.below(10) < bad };
                    machine.record(admission, verdict, now);
                    model.record(number, Some(verdict), now);
                }
            }
            let state = match model.period {
                Period::Closed => State::Closed,
                Period::Open { .. } => State::Open,
                Period::HalfOpen { .. } => State::HalfOpen,
            };
            assert_eq!(machine.state(), state, "seed {seed} step {step} {settings:?}");
        }
    }
}
