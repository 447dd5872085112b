//! Whom a credential speaks of.

use crate::claims::{Claims, Place};

/// The subject of an identity.
#[derive(Clone, Default)]
pub enum Subject {
    #[default]
    Nobody,
    Named(Box<str>),
    /// One of the claims, as it stands there.
    Claim(Place),
}

impl Subject {
    /// A text out of these claims.
    pub(super) fn of(text: &str, claims: &Claims) -> Self {
        claims.place_of(text).map_or_else(|| Self::Named(text.into()), Self::Claim)
    }

    pub(super) fn text<'a>(&'a self, claims: &'a Claims) -> Option<&'a str> {
        match self {
            Self::Nobody => None,
            Self::Named(name) => Some(name),
            Self::Claim(place) => claims.at(*place),
        }
    }
}

impl From<Box<str>> for Subject {
    fn from(name: Box<str>) -> Self {
        Self::Named(name)
    }
}

impl From<&str> for Subject {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}
