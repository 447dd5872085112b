//! What is counted for a worker as a whole.

use crate::respond::Code;
use crate::telemetry::metrics::cell::Counter;

pub(crate) struct WorkerPart {
    pub begun: Counter,
    pub ended: Counter,
    /// By code.
    refusals: [Counter; Code::ALL.len()],
}

impl Default for WorkerPart {
    fn default() -> Self {
        Self {
            begun: Counter::default(),
            ended: Counter::default(),
            refusals: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl WorkerPart {
    pub fn refused(&self, code: Code) {
        self.refusals[code as usize].add(1);
    }

    pub(super) fn refusals(&self, code: Code) -> u64 {
        self.refusals[code as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_as_they_are_listed() {
        assert!(Code::ALL.iter().enumerate().all(|(index, code)| *code as usize == index));
    }
}
