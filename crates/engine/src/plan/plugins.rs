//! Plugins: functions of the user's around an answer.

use serde::Deserialize;

use super::Callback;

/// One plugin, with the hooks that it has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// For the log.
    pub name: String,
    pub on_request: Option<Callback>,
    pub on_response: Option<Callback>,
    pub on_complete: Option<Callback>,
    /// An error lets the request go on.
    pub fail_open: bool,
    /// For one hook.
    pub timeout_ms: u64,
}

impl Plugin {
    /// Every function that it names.
    pub fn callbacks_mut(&mut self) -> impl Iterator<Item = &mut Callback> {
        [&mut self.on_request, &mut self.on_response, &mut self.on_complete].into_iter().flatten()
    }
}
