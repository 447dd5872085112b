//! Which target a request goes to.
//!
//! ```text
//! priorities (levels) -> targets that may be used, or all in a panic -> one of them by the algorithm
//! ```
//!
//! All that can be known beforehand (who may be used, shares, tables) is worked out when something changes, not for every
//! request: [`targets`](crate::upstream::targets) holds it as one.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

pub mod chance;
pub mod dice;
pub mod hashed;
pub mod latency;
pub mod level;
pub mod maglev;
pub mod priorities;
pub mod ring;
pub mod round_robin;

/// A hash that is the same in every gateway and every version: keys must not move when one is restarted.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 0);
    hasher.write(bytes);
    hasher.finish()
}
