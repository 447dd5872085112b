//! A value with some of its members, or without some.
//!
//! A list is looked through: what is said of its elements' members is said of each, unless a step says which.

use super::raw::{Kind, Name, Raw, Step};

/// Paths of members, joined where they begin alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// The value itself is named; what is inside does not matter.
    whole: bool,
    branches: Vec<(Step, Members)>,
}

impl Members {
    pub(super) fn of(paths: &[Vec<String>]) -> Self {
        let mut members = Self::default();
        for path in paths {
            members.add(path.iter().map(|step| Step::of(step)));
        }
        members
    }

    pub(super) fn add(&mut self, path: impl IntoIterator<Item = Step>) {
        let mut at = self;
        for step in path {
            let known = at.branches.iter().position(|(known, _)| *known == step);
            let branch = known.unwrap_or_else(|| {
                at.branches.push((step, Self::default()));
                at.branches.len() - 1
            });
            at = &mut at.branches[branch].1;
        }
        at.whole = true;
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// What is said of a member of this name.
    pub(super) fn member(&self, is: impl Fn(&str) -> bool) -> Option<&Self> {
        let named = |step: &Step| match step {
            Step::Member(name) | Step::Index(_, name) => is(name),
            Step::Each => false,
        };
        self.branches.iter().find(|(step, _)| named(step)).map(|(_, members)| members)
    }

    fn named(&self, name: Name<'_>) -> Option<&Self> {
        self.member(|wanted| name.is(wanted))
    }

    /// What is said of an element of a list.
    fn element(&self, index: usize) -> Option<&Self> {
        let by_place = |step: &Step| matches!(step, Step::Index(wanted, _) if *wanted == index);
        let found = self.branches.iter().find(|(step, _)| by_place(step));
        let found = found.or_else(|| self.branches.iter().find(|(step, _)| *step == Step::Each));
        match found {
            Some((_, members)) => Some(members),
            None if self.branches.iter().any(|(step, _)| matches!(step, Step::Member(_))) => Some(self),
            None => None,
        }
    }

    /// Appends the value with what is named alone. What is in the way of a longer path and no object goes; `null` stays.
    pub(super) fn write_only(&self, value: Raw<'_>, out: &mut Vec<u8>) {
        match value.kind() {
            _ if self.whole => out.extend_from_slice(value.bytes()),
            Kind::Object => {
                let wanted = value.members().filter_map(|(name, value)| Some((name, value, self.named(name)?)));
                let there = |value: Raw<'_>| matches!(value.kind(), Kind::Object | Kind::Array | Kind::Null);
                let wanted = wanted.filter(|(_, value, members)| members.whole || there(*value));
                write_members(wanted, out, |value, members, out| members.write_only(value, out));
            }
            Kind::Array => {
                let wanted = value.items().enumerate().filter_map(|(at, value)| Some((value, self.element(at)?)));
                write_elements(wanted, out, |value, members, out| members.write_only(value, out));
            }
            _ => out.extend_from_slice(b"null"),
        }
    }

    /// Appends the value without what is named.
    pub(super) fn write_without(&self, value: Raw<'_>, out: &mut Vec<u8>) {
        let write = |value: Raw<'_>, members: Option<&Self>, out: &mut Vec<u8>| match members {
            Some(members) => members.write_without(value, out),
            None => out.extend_from_slice(value.bytes()),
        };
        let stays = |members: Option<&Self>| members.is_none_or(|members| !members.whole);
        match value.kind() {
            _ if self.whole => out.extend_from_slice(b"null"),
            Kind::Object => {
                let left = value.members().map(|(name, value)| (name, value, self.named(name)));
                write_members(left.filter(|(_, _, members)| stays(*members)), out, write);
            }
            Kind::Array => {
                let left = value.items().enumerate().map(|(at, value)| (value, self.element(at)));
                write_elements(left.filter(|(_, members)| stays(*members)), out, write);
            }
            _ => out.extend_from_slice(value.bytes()),
        }
    }
}

fn write_members<'a, M>(
    members: impl Iterator<Item = (Name<'a>, Raw<'a>, M)>,
    out: &mut Vec<u8>,
    write: impl Fn(Raw<'a>, M, &mut Vec<u8>),
) {
    out.push(b'{');
    for (at, (name, value, said)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.bytes());
        out.extend_from_slice(b"\":");
        write(value, said, out);
    }
    out.push(b'}');
}

fn write_elements<'a, M>(
    elements: impl Iterator<Item = (Raw<'a>, M)>,
    out: &mut Vec<u8>,
    write: impl Fn(Raw<'a>, M, &mut Vec<u8>),
) {
    out.push(b'[');
    for (at, (value, said)) in elements.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(value, said, out);
    }
    out.push(b']');
}
