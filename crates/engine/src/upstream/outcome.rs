//! How an attempt or a call ended, as far as the service is to blame for it.

use crate::respond::{Code, Failure, Side};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The head of an answer came, whatever it says.
    Answered { status: u16 },
    /// The service's fault: it could not be reached, was silent for too long, or broke off.
    Failed(Code),
    /// Nobody can say: the client left, its own time was over, or another attempt was quicker.
    Abandoned,
}

impl Outcome {
    /// Only failures of the service count against it.
    pub fn of(failure: &Failure) -> Self {
        match failure.code.side() {
            Side::Upstream => Self::Failed(failure.code),
            Side::Client | Side::Gateway => Self::Abandoned,
        }
    }
}
