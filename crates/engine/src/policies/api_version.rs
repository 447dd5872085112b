//! Counts who still uses a version of an API, tells that it ends (RFC 9745, RFC 8594), and ends it.

use std::sync::Arc;

use crate::exchange::Exchange;
use crate::pipeline::{Context, Flow};
use crate::plan::{self, VersionRefusal};
use crate::policies::Local;
use crate::policies::cors::add_vary;
use crate::respond::{Code, Failure};
use crate::telemetry::metrics::{Family, Tally};

pub static API_VERSIONS: Family = Family {
    name: "tidegate_api_versions",
    help: "Requests by the version of the API that they ask for.",
    label: "version",
    outcome: "state",
    outcomes: &["current", "deprecated", "gone", "refused"],
};
const CURRENT: usize = 0;
const DEPRECATED: usize = 1;
const GONE: usize = 2;
const REFUSED: usize = 3;

/// Lower-case name, value.
type Field = (&'static [u8], Box<[u8]>);

pub struct ApiVersion {
    fields: Box<[Field]>,
    vary: Option<Box<[u8]>>,
    is_deprecated: bool,
    gone_at_ms: Option<u64>,
    refusal: Option<Code>,
    tally: Arc<Tally>,
}

impl ApiVersion {
    pub fn compile(plan: &plan::ApiVersion, context: &Context<'_>) -> Self {
        let field = |name: &'static [u8], value: &String| (name, value.as_bytes().into());
        let deprecation = plan.deprecation.iter().map(|value| field(b"deprecation", value));
        let sunset = plan.sunset.iter().map(|value| field(b"sunset", value));
        let links = plan.links.iter().map(|value| field(b"link", value));
        Self {
            fields: deprecation.chain(sunset).chain(links).collect(),
            vary: plan.vary.as_ref().map(|name| name.as_bytes().into()),
            is_deprecated: plan.deprecation.is_some() || plan.sunset.is_some(),
            gone_at_ms: plan.gone_at_ms,
            refusal: plan.refuse.map(|refuse| match refuse {
                VersionRefusal::Unknown => Code::UnknownVersion,
                VersionRefusal::Missing => Code::MissingVersion,
                VersionRefusal::NotAcceptable => Code::VersionNotAcceptable,
            }),
            tally: context.registry.tally(&API_VERSIONS, &plan.name),
        }
    }

    pub fn on_request(&self, local: &Local, exchange: &Exchange) -> Flow {
        let (outcome, refusal) = match (self.refusal, self.gone_at_ms) {
            (Some(code), _) => (REFUSED, Some(code)),
            (None, Some(at)) if local.epoch_millis(exchange.started_micros) >= at => (GONE, Some(Code::VersionGone)),
            _ if self.is_deprecated => (DEPRECATED, None),
            _ => (CURRENT, None),
        };
        self.tally.count(local.worker, outcome);
        refusal.map_or(Flow::Continue, |code| Flow::Respond(Failure::from(code)))
    }

    pub fn on_response(&self, exchange: &mut Exchange) {
        let head = &mut exchange.answer.head;
        for (name, value) in &self.fields {
            // A service that tells of itself knows better; links stand beside others.
            if *name == b"link" || !head.contains(name) {
                head.add(name, value);
            }
        }
        if let Some(vary) = &self.vary {
            add_vary(head, vary);
        }
    }
}
