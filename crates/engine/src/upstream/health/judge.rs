//! From results of probes to a state: so many in a row change it.

use crate::plan::ActiveCheck;

/// The state of one target, by its probes alone. Pure.
#[derive(Debug, Clone)]
pub struct Judge {
    healthy: bool,
    /// Results in a row that speak against the state.
    against: u32,
    /// A result has come.
    begun: bool,
}

impl Judge {
    pub fn new(check: &ActiveCheck) -> Self {
        Self { healthy: check.initially_healthy, against: 0, begun: false }
    }

    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Results in a row that speak against the state.
    pub fn against(&self) -> u32 {
        self.against
    }

    /// Takes one result; the new state, when it changed.
    ///
    /// What was not trusted at first needs one success only, if that is the first result: a start is no recovery.
    pub fn take(&mut self, passed: bool, check: &ActiveCheck) -> Option<bool> {
        let first = !std::mem::replace(&mut self.begun, true);
        if passed == self.healthy {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let wanted = match passed {
            true if first => 1,
            true => check.healthy,
            false => check.unhealthy,
        };
        if self.against < wanted {
            return None;
        }
        (self.healthy, self.against) = (passed, 0);
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Probe;

    fn check(initially_healthy: bool) -> ActiveCheck {
        ActiveCheck {
            probe: Probe::Tcp,
            port: None,
            interval_ms: 1000,
            unhealthy_interval_ms: 1000,
            jitter_percent: 0,
            timeout_ms: 100,
            healthy: 2,
            unhealthy: 3,
            initially_healthy,
        }
    }

    /// States after each result: `+` passed, `-` failed.
    fn states(initially_healthy: bool, results: &str) -> String {
        let check = check(initially_healthy);
        let mut judge = Judge::new(&check);
        let states = results.bytes().map(|result| {
            judge.take(result == b'+', &check);
            if judge.is_healthy() { 'h' } else { 'u' }
        });
        states.collect()
    }

    #[test]
    fn so_many_results_in_a_row_change_the_state() {
        for (initially, results, expected) in [
            (true, "---", "hhu"),
            (true, "--+---", "hhhhhu"),
            (true, "---+-++", "hhuuuuh"),
            (true, "---++--", "hhuuhhh"),
            (false, "+", "h"),
            (false, "-++", "uuh"),
            (false, "-+-++", "uuuuh"),
        ] {
            assert_eq!(states(initially, results), expected, "{results}");
        }
    }

    #[test]
    fn only_a_change_is_told() {
        let check = check(true);
        let mut judge = Judge::new(&check);
        let told: Vec<_> = [false, false, false, false, true, true].map(|passed| judge.take(passed, &check)).into();
        assert_eq!(told, [None, None, Some(false), None, None, Some(true)]);
    }
}
