//! One part per worker.

use std::sync::OnceLock;

/// The parts of a series. A part is made when its worker first writes, and lies apart from the others.
pub(crate) struct Shards<T>(Box<[OnceLock<Box<Apart<T>>>]>);

/// On cache lines of its own, so that two workers never write to the same one.
#[repr(align(64))]
#[derive(Default)]
struct Apart<T>(T);

impl<T: Default> Shards<T> {
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| OnceLock::new()).collect())
    }

    /// The part of a worker. A worker that was not announced shares the last part: a count may then be lost, never a request.
    pub fn of(&self, worker: usize) -> &T {
        let slot = &self.0[worker.min(self.0.len() - 1)];
        &slot.get_or_init(Box::default).0
    }

    /// The parts that were made.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|slot| slot.get().map(|part| &part.0))
    }

    pub fn is_unused(&self) -> bool {
        self.iter().next().is_none()
    }

    pub fn sum(&self, count: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(count).fold(0, u64::wrapping_add)
    }
}
