//! Tells browsers what they may do with an answer, and takes out what tells attackers about the service.

use crate::exchange::Exchange;
use crate::identity::Line;
use crate::plan;

pub struct SecurityHeaders {
    /// `Strict-Transport-Security`: only where it counts, see [`Exchange::secure`].
    hsts: Option<Box<[u8]>>,
    /// Lower-case name, value.
    set: Box<[Line]>,
    remove: Box<[Box<[u8]>]>,
    /// What a service has set itself stays.
    keep: bool,
}

const HSTS: &[u8] = b"strict-transport-security";

impl SecurityHeaders {
    pub fn compile(plan: &plan::SecurityHeaders) -> Self {
        let line = |line: &plan::Line| (line.name.as_bytes().into(), line.value.as_bytes().into());
        Self {
            hsts: plan.strict_transport_security.as_ref().map(|value| value.as_bytes().into()),
            set: plan.set.iter().map(line).collect(),
            remove: plan.remove.iter().map(|name| name.as_bytes().into()).collect(),
            keep: !plan.replace,
        }
    }

    pub fn on_response(&self, exchange: &mut Exchange) {
        let head = &mut exchange.answer.head;
        self.remove.iter().for_each(|name| head.remove(name));
        // Over plain text the header must not be sent, and browsers ignore it (RFC 6797 section 7.2).
        let hsts = self.hsts.as_ref().filter(|_| exchange.secure).map(|value| (HSTS, &**value));
        let set = self.set.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in hsts.into_iter().chain(set) {
            match self.keep {
                true if head.contains(name) => {}
                true => head.add(name, value),
                false => head.set(name, value),
            }
        }
    }
}
