//! Applications that run inside the gateway.

use serde::Deserialize;

use super::Handler;

/// An ASGI application, known to the bridge by its number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub handler: Handler,
    /// The matched literal prefix becomes the application's `root_path`.
    pub strip_path: bool,
}
