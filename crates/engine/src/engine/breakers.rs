//! What operators see of circuit breakers, and do to them.

use crate::clock::Millis;
use crate::engine::Engine;
use crate::upstream::breaker::State;

impl Engine {
    /// Every circuit breaker that is in use: its name, its state, and how much longer it is open.
    pub fn breakers(&self) -> Vec<(String, State, Millis)> {
        let now = self.clock.now();
        let breakers = self.state.breakers.all().into_iter();
        breakers
            .map(|breaker| {
                let (state, left) = breaker.state(now);
                (breaker.name().to_owned(), state, left)
            })
            .collect()
    }

    /// Forces the breaker of that name open or closed; `None`: no more. False when there is none.
    pub fn force_breaker(&self, name: &str, open: Option<bool>) -> bool {
        let now = self.clock.now();
        let breakers = self.state.breakers.all();
        let named: Vec<_> = breakers.iter().filter(|breaker| breaker.name() == name).collect();
        named.iter().for_each(|breaker| breaker.force(open, now));
        !named.is_empty()
    }
}
