//! How one attempt at a service ended.

use crate::respond::Code;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The head of an answer came, whatever it says.
    Answered { status: u16 },
    /// Nothing came that could be passed on.
    Failed(Code),
    /// It was given up for a reason that is not the service's: the client left, another attempt was faster.
    Abandoned,
}
