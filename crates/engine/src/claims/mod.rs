//! What a credential says of its bearer: JSON in one block of memory, read where it lies.
//!
//! Thousands of credentials are remembered, and each is looked at once in a while: as a tree of values, a dozen claims are two dozen
//! places in memory, all of them out of the processor's cache when they are freed. A block is one.

mod block;
mod claim;
mod writer;

pub use block::{Claims, Place};
pub use claim::{Claim, Entries, List, Members, Number, Object};
pub(crate) use writer::{Name, Writer};
