//! Finds all that is asked of one document in one pass over it.
//!
//! A shape that names thirty members of an answer would look through it thirty times otherwise, and a loop at every turn.

use super::raw::{Kind, Raw, Step};

/// What was found, by the number of its slot.
pub(super) type Slots<'a> = [Option<Raw<'a>>];

/// The paths into one value, joined where they begin alike.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Where the value itself goes.
    slot: Option<usize>,
    branches: Vec<(Step, Paths)>,
}

impl Paths {
    /// Adds a path, which ends at a `*`; gives the slot of what is found there. `slots` is how many there are.
    pub(super) fn add(&mut self, path: &[Step], slots: &mut usize) -> usize {
        match path.split_first() {
            None | Some((Step::Each, _)) => *self.slot.get_or_insert_with(|| {
                *slots += 1;
                *slots - 1
            }),
            Some((step, rest)) => {
                let known = self.branches.iter().position(|(known, _)| known == step);
                let branch = known.unwrap_or_else(|| {
                    self.branches.push((step.clone(), Self::default()));
                    self.branches.len() - 1
                });
                self.branches[branch].1.add(rest, slots)
            }
        }
    }

    /// Fills the slots from a value; what is not there leaves `None`.
    pub(super) fn locate<'a>(&self, value: Option<Raw<'a>>, slots: &mut Slots<'a>) {
        self.clear(slots);
        if let Some(value) = value {
            self.fill(value, slots);
        }
    }

    /// Whether one of these slots is filled from here.
    pub(super) fn has_any(&self, slots: &[bool]) -> bool {
        self.slot.is_some_and(|slot| slots[slot]) || self.branches.iter().any(|(_, branch)| branch.has_any(slots))
    }

    fn clear(&self, slots: &mut Slots<'_>) {
        if let Some(slot) = self.slot {
            slots[slot] = None;
        }
        self.branches.iter().for_each(|(_, branch)| branch.clear(slots));
    }

    fn fill<'a>(&self, value: Raw<'a>, slots: &mut Slots<'a>) {
        if let Some(slot) = self.slot {
            slots[slot] = Some(value);
        }
        if self.branches.is_empty() {
            return;
        }
        match value.kind() {
            Kind::Object => self.fill_from_members(value, slots),
            Kind::Array => self.fill_from_elements(value, slots),
            _ => {}
        }
    }

    fn fill_from_members<'a>(&self, value: Raw<'a>, slots: &mut Slots<'a>) {
        for (name, member) in value.members() {
            for (step, branch) in &self.branches {
                match step {
                    // Of members with one name the last counts.
                    Step::Member(wanted) | Step::Index(_, wanted) if name.is(wanted) => {
                        branch.locate(Some(member), slots)
                    }
                    _ => {}
                }
            }
        }
    }

    fn fill_from_elements<'a>(&self, value: Raw<'a>, slots: &mut Slots<'a>) {
        let index = |step: &Step| match step {
            Step::Index(index, _) => Some(*index),
            _ => None,
        };
        let Some(last) = self.branches.iter().filter_map(|(step, _)| index(step)).max() else { return };
        for (at, element) in value.items().take(last.saturating_add(1)).enumerate() {
            for (_, branch) in self.branches.iter().filter(|(step, _)| index(step) == Some(at)) {
                branch.fill(element, slots);
            }
        }
    }
}
