//! Which route a CORS preflight belongs to: the one that will take the request it announces.
//!
//! A preflight (<https://fetch.spec.whatwg.org/#http-cors-protocol>) is an OPTIONS request that a browser sends before the real
//! one. A route that takes only POST does not take it, and yet it is this route's `cors` policy that has to answer. So a
//! preflight is routed by the method it announces, and counts as having the headers it announces. Only the policy ever sees a
//! preflight that was routed in this way: an action never does.

use tidegate_http1::{Known, is_token};

use crate::exchange::{Exchange, Method, Request};
use crate::routing::{Found, Lookup};
use crate::snapshot::Snapshot;

/// The request that a preflight announces, as far as it is known.
pub struct Announced<'a> {
    request: &'a Request,
    pub method: &'a [u8],
}

impl<'a> Announced<'a> {
    /// `None` for what is no preflight.
    pub fn by(request: &'a Request) -> Option<Self> {
        if request.method != Method::Options || request.head.get_known(Known::Origin).is_none() {
            return None;
        }
        let method = request.head.get_known(Known::AccessControlRequestMethod)?;
        is_token(method).then_some(Self { request, method })
    }

    /// Names of the headers that the request will have beside those that every request may have.
    pub fn headers(&self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.request.head.get_all(Known::AccessControlRequestHeaders.name().as_bytes());
        lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|name| is_token(name))
    }
}

impl Lookup for Announced<'_> {
    fn host(&self) -> &[u8] {
        &self.request.host
    }

    fn path(&self) -> &[u8] {
        &self.request.path
    }

    fn method(&self) -> &[u8] {
        self.method
    }

    fn query(&self) -> Option<&[u8]> {
        self.request.query()
    }

    /// A header that is announced comes with a value that nobody knows yet: the route that asks for one gets the benefit of
    /// the doubt, as it is the narrower one.
    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.headers().any(|announced| announced.eq_ignore_ascii_case(name.as_bytes()))
            || self.request.any_header(name, test)
    }
}

/// Where a preflight goes; `None` for what is none, and where no `cors` policy would answer it: a service may do so.
pub fn route(snapshot: &Snapshot, exchange: &mut Exchange) -> Option<Found> {
    let announced = Announced::by(&exchange.request)?;
    match snapshot.router.find(&announced, &mut exchange.captures) {
        Found::Route(index) => snapshot.routes[index].pipeline.answers_preflights().then_some(Found::Route(index)),
        // What the request itself will get, 404 or 405, is readable only if its preflight succeeds.
        Found::NotFound | Found::MethodNotAllowed { .. } => {
            snapshot.unrouted.answers_preflights().then_some(Found::NotFound)
        }
    }
}
