//! Why a store gave no answer.

use std::fmt;

/// Small and typed; what a client sees of it is the policy's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The answer did not come within the budget.
    Late,
    /// There is no connection, and none can be had now.
    Unreachable,
    /// The connection broke with the command in flight: it may or may not have been carried out.
    Lost,
    /// The breaker is open: the store is not even asked.
    Open,
    /// More commands are in flight than one connection takes.
    Full,
    /// The server refused: `OOM command not allowed when used memory > 'maxmemory'.`
    Refused(Box<str>),
    /// The server answered with something that makes no sense.
    Malformed,
}

impl StoreError {
    /// For metrics, by [`StoreError::index`].
    pub const WORDS: [&str; 7] = ["late", "unreachable", "lost", "open", "full", "refused", "malformed"];

    pub fn index(&self) -> usize {
        match self {
            Self::Late => 0,
            Self::Unreachable => 1,
            Self::Lost => 2,
            Self::Open => 3,
            Self::Full => 4,
            Self::Refused(_) => 5,
            Self::Malformed => 6,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => formatter.write_str("no answer within the timeout"),
            Self::Unreachable => formatter.write_str("not connected"),
            Self::Lost => formatter.write_str("the connection broke"),
            Self::Open => formatter.write_str("failed before, and is being tried in the background"),
            Self::Full => formatter.write_str("too many commands wait for an answer"),
            Self::Refused(text) => write!(formatter, "refused: {text}"),
            Self::Malformed => formatter.write_str("its answer makes no sense"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// By either side.
    Closed,
    Io(std::io::Error),
    /// The server owed an answer for too long.
    Silent,
    Malformed,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("the server closed the connection"),
            // As servers end TLS, and as rustls tells it at length.
            Self::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Self::Closed.fmt(formatter),
            Self::Io(error) => error.fmt(formatter),
            Self::Silent => formatter.write_str("the server does not answer"),
            Self::Malformed => formatter.write_str("the server's answer is not RESP2"),
        }
    }
}
