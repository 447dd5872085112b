//! What outlives a reload: counters, keys and the like, shared by all workers and by one snapshot after the other.

use std::sync::Arc;

/// One for each engine; whoever compiles a policy finds in it what the policy before the reload has left.
#[derive(Default)]
pub struct State {}

impl State {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
}
