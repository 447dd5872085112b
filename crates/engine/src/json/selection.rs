//! What a client asks to see of an answer: `?fields=order.id,user`.

use super::prune::Members;
use super::raw::Step;

/// Names in one selection, and steps in one of them.
const MOST_NAMES: usize = 64;
const MOST_STEPS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub(super) members: Members,
}

impl Selection {
    /// Reads a list of names with dots, separated by commas; `None` for one with an empty name, or that is too long.
    pub fn parse(text: &str) -> Option<Self> {
        let mut members = Members::default();
        for (at, name) in text.split(',').enumerate() {
            let name = name.trim_ascii();
            if at == MOST_NAMES || name.split('.').count() > MOST_STEPS || name.split('.').any(str::is_empty) {
                return None;
            }
            members.add(name.split('.').map(Step::of));
        }
        Some(Self { members })
    }
}
