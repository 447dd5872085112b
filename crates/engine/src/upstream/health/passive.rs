//! Takes targets of one service out by what becomes of their calls, as long as enough of them are left.
//!
//! As in Envoy, whether too many are out is asked before an ejection and without counting it: of any number of targets one may
//! be ejected, also the only one. What then happens to requests is said by the panic threshold of the service.

use std::sync::{Arc, Weak};

use crate::clock::{Millis, NEVER};
use crate::plan::{PassiveCheck, StatusRange};
use crate::upstream::health::outlier::Cause;
use crate::upstream::outcome::Outcome;
use crate::upstream::service::Service;
use crate::upstream::target::{Target, health};

/// The rules of one service.
pub struct Passive {
    service: Weak<Service>,
    check: PassiveCheck,
}

impl Passive {
    pub fn new(service: &Arc<Service>, check: &PassiveCheck) -> Arc<Self> {
        Arc::new(Self { service: Arc::downgrade(service), check: check.clone() })
    }

    /// An attempt at a target is over; `micros` is how long the head of its answer took.
    #[inline]
    pub fn ended(&self, target: &Target, outcome: Outcome, micros: u64, now: Millis) {
        let cause = match outcome {
            Outcome::Answered { status } if !StatusRange::holds(&self.check.statuses, status) => {
                target.outlier.succeeded(&self.check, now, micros / 1000)
            }
            Outcome::Answered { .. } => target.outlier.failed(&self.check, now),
            Outcome::Failed(_) => target.outlier.failed(&self.check, now),
            // Nothing that the target could help.
            Outcome::Abandoned => return,
        };
        if let Some(cause) = cause {
            self.eject(target, cause, now);
        }
    }

    #[cold]
    fn eject(&self, target: &Target, cause: Cause, now: Millis) {
        // A service that is gone has nobody who could be sent elsewhere.
        let Some(service) = self.service.upgrade() else { return };
        // One at a time, so that no two take the last place.
        let _turn = target.ejecting();
        if target.outlier.is_out(now) {
            return;
        }
        let set = service.targets.set();
        let out = set.members.iter().filter(|member| member.target.outlier.is_out(now)).count();
        let (service, name) = (&*service.name, &*target.name);
        if out * 1000 >= set.members.len().max(1) * self.check.most_ejected as usize {
            target.outlier.spare();
            tracing::debug!(service, target = name, out, "target spared, others are out");
            return;
        }
        let for_ms = target.outlier.eject(&self.check, cause, now);
        target.take_out(health::EJECTED);
        tracing::warn!(service, target = name, cause = cause.word(), for_ms, "target ejected");
    }
}

/// Lets a target back in whose ejection is over; true when it was this call. The caller holds its [`Target::ejecting`].
pub fn bring_back_if_due(service: &str, target: &Target, now: Millis) -> bool {
    let ended = target.outlier.end_if_due(now);
    if ended {
        target.bring_back(health::EJECTED, now);
        tracing::info!(service, target = &*target.name, "target returns from its ejection");
    }
    ended
}

/// Lets a target back in that nobody judges any more.
pub fn pardon(target: &Target, now: Millis) {
    let _turn = target.ejecting();
    if target.outlier.end_if_due(NEVER) {
        target.bring_back(health::EJECTED, now);
    }
}
