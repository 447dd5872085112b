//! Where a token stands in a request: what `jwt` and `introspection` ask alike (RFC 6750).

use tidegate_http1::Known;

use crate::exchange::Request;
use crate::plan::TokenPlace;
use crate::policies::presented::{self, Presented};
use crate::policies::trust::is_alias;

/// In the order in which they are looked at.
pub struct TokenPlaces(Box<[TokenPlace]>);

impl TokenPlaces {
    pub fn new(places: &[TokenPlace]) -> Self {
        Self(places.into())
    }

    pub fn presented<'a>(&self, request: &'a Request) -> Presented<'a> {
        let head = &request.head;
        let find = |place: &TokenPlace| match place {
            TokenPlace::Authorization if head.get_known(Known::Authorization).is_none() => Presented::Nothing,
            TokenPlace::Authorization => presented::one(head.get_all(b"authorization").filter_map(bearer)),
            TokenPlace::Header(name) => {
                presented::one(head.get_all(name.as_bytes()).map(|value| bearer(value).unwrap_or(value)))
            }
            TokenPlace::Cookie(name) => presented::in_cookies(request, name),
        };
        self.0.iter().fold(Presented::Nothing, |found, place| found.or_else(|| find(place)))
    }

    /// Takes the token out of every place it could be in; another credential in `Authorization` stays.
    pub fn strip(&self, request: &mut Request) {
        for place in &self.0 {
            match place {
                TokenPlace::Authorization => {
                    request.head.retain(|known, _, value| known != Known::Authorization || bearer(value).is_none());
                }
                TokenPlace::Header(name) => request.head.retain(|_, found, _| !is_alias(found, name.as_bytes())),
                TokenPlace::Cookie(name) => presented::strip_cookie(&mut request.head, name),
            }
        }
    }
}

/// What `WWW-Authenticate` says where nothing was presented (RFC 6750 section 3).
pub fn challenge(realm: &str) -> Box<[u8]> {
    format!("Bearer realm=\"{realm}\"").into_bytes().into()
}

/// What follows `Bearer` (RFC 6750 section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    presented::after_scheme(value, b"Bearer")
}
