//! What is counted for one target of a service.

use crate::telemetry::metrics::cell::Counter;
use crate::telemetry::metrics::shards::Shards;
use crate::upstream::outcome::Outcome;

pub struct TargetSeries {
    pub(super) service: Box<str>,
    pub(super) target: Box<str>,
    parts: Shards<Part>,
}

#[derive(Default)]
struct Part {
    begun: Counter,
    answered: Counter,
    errors: Counter,
    failed: Counter,
    abandoned: Counter,
}

/// All parts added up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TargetReading {
    pub in_flight: u64,
    /// Answers below 500.
    pub answered: u64,
    /// Answers of 500 and more.
    pub errors: u64,
    pub failed: u64,
    pub abandoned: u64,
}

impl TargetSeries {
    pub(super) fn new(service: &str, target: &str, workers: usize) -> Self {
        Self { service: service.into(), target: target.into(), parts: Shards::new(workers) }
    }

    pub fn begun(&self, worker: usize) {
        self.parts.of(worker).begun.add(1);
    }

    pub fn ended(&self, worker: usize, outcome: Outcome) {
        let part = self.parts.of(worker);
        let counter = match outcome {
            Outcome::Answered { status: 500.. } => &part.errors,
            Outcome::Answered { .. } => &part.answered,
            Outcome::Failed(_) => &part.failed,
            Outcome::Abandoned => &part.abandoned,
        };
        counter.add(1);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.is_unused()
    }

    pub(super) fn read(&self) -> TargetReading {
        let sum = |counter: fn(&Part) -> &Counter| self.parts.sum(|part| counter(part).get());
        // Ends are read first, so that nothing ends that has not begun.
        let [answered, errors, failed, abandoned] =
            [sum(|it| &it.answered), sum(|it| &it.errors), sum(|it| &it.failed), sum(|it| &it.abandoned)];
        let in_flight = sum(|it| &it.begun).saturating_sub(answered + errors + failed + abandoned);
        TargetReading { in_flight, answered, errors, failed, abandoned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::Code;

    #[test]
    fn outcomes_are_told_apart() {
        let series = TargetSeries::new("a", "b", 2);
        let outcomes = [
            Outcome::Answered { status: 404 },
            Outcome::Answered { status: 503 },
            Outcome::Failed(Code::UpstreamReset),
            Outcome::Failed(Code::Timeout),
            Outcome::Abandoned,
        ];
        for (index, outcome) in outcomes.into_iter().enumerate() {
            series.begun(index % 2);
            series.ended(index % 2, outcome);
        }
        series.begun(1);
        let expected = TargetReading { in_flight: 1, answered: 1, errors: 1, failed: 2, abandoned: 1 };
        assert_eq!(series.read(), expected);
    }
}
