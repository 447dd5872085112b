//! The metrics of canaries.

use std::sync::Arc;

use super::machine::{Phase, Reason};
use super::{Canary, Course};
use crate::telemetry::metrics::{Kind, Text};

pub(crate) fn render(canaries: &[Arc<Canary>], text: &mut Text) {
    if canaries.is_empty() {
        return;
    }
    text.family("tidegate_canary_share", Kind::Gauge, "The part of the requests that a canary gets.");
    each(canaries, |labels, course| text.ratio(labels, course.share));
    text.family("tidegate_canary_step", Kind::Gauge, "The step that a canary is at, from 1.");
    each(canaries, |labels, course| text.sample(labels, course.machine.as_ref().map_or(1, |it| it.step as u64 + 1)));
    text.family("tidegate_canary_phase", Kind::Gauge, "1 for the phase that a canary is in.");
    each(canaries, |labels, course| {
        for phase in Phase::ALL {
            let is = course.machine.as_ref().map_or(Phase::Advancing, |machine| machine.phase) == phase;
            text.sample(&[labels[0], labels[1], ("phase", phase.word())], u64::from(is));
        }
    });
    text.family("tidegate_canary_rollbacks", Kind::Counter, "Times that a canary went back, by the reason.");
    each(canaries, |labels, course| {
        for reason in Reason::ALL {
            let count = course.rolled_back[reason as usize];
            text.sample(&[labels[0], labels[1], ("reason", reason.word())], count);
        }
    });
}

fn each(canaries: &[Arc<Canary>], mut show: impl FnMut(&[(&str, &str); 2], &Course)) {
    for canary in canaries {
        show(&[("route", &canary.names.route), ("service", &canary.names.service)], &canary.lock());
    }
}
