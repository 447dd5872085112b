//! Changes of breakers, on their way to functions of the user's.

use crate::outbox::Outbox;
use crate::upstream::breaker::machine::Change;

/// One change, for the function that the document names.
#[derive(Debug, Clone)]
pub struct BreakerNews {
    pub breaker: Box<str>,
    pub change: Change,
    /// The number of the function.
    pub handler: u32,
}

/// Of all breakers of an engine.
pub type News = Outbox<BreakerNews>;
