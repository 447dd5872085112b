//! What routes match on and templates name, as a request and an exchange show it.

use std::net::IpAddr;

use crate::exchange::{Exchange, Request};
use crate::identity::Identity;
use crate::routing::Lookup;
use crate::template::Values;

impl Lookup for Request {
    fn host(&self) -> &[u8] {
        &self.host
    }

    fn path(&self) -> &[u8] {
        &self.path
    }

    fn method(&self) -> &[u8] {
        self.method_name()
    }

    fn query(&self) -> Option<&[u8]> {
        Request::query(self)
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        if name == "host" {
            // It was taken out of the head, but people match on it as on any other.
            return test(self.authority());
        }
        self.head.get_all(name.as_bytes()).any(test)
    }
}

impl Lookup for Exchange {
    fn host(&self) -> &[u8] {
        &self.request.host
    }

    fn path(&self) -> &[u8] {
        &self.request.path
    }

    fn method(&self) -> &[u8] {
        self.request.method_name()
    }

    fn query(&self) -> Option<&[u8]> {
        self.request.query()
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.request.any_header(name, test)
    }
}

impl Values for Exchange {
    fn capture(&self, name: &str) -> Option<&[u8]> {
        // Without a route the captures are an older exchange's.
        self.route?;
        self.captures.get(&self.snapshot.router, &self.request.path, name)
    }

    fn client_ip(&self) -> IpAddr {
        self.client_ip
    }

    fn route_name(&self) -> &str {
        self.route().map_or("", |route| &route.name)
    }

    fn service_name(&self) -> &str {
        Exchange::service_name(self)
    }

    fn request_id(&self) -> &[u8] {
        &self.id
    }

    fn scheme(&self) -> &str {
        if self.connection.tls { "https" } else { "http" }
    }

    fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
}
