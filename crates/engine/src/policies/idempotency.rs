//! Runs the first of several equal requests with one key, and answers the others as the first was answered.
//!
//! After draft-ietf-httpapi-idempotency-key-header-07. The policy finds the key; what it does stands around the action, as it needs
//! the body of the request and all of the answer: see [`run`].
//!
//! ```text
//! request with a key -> its body is collected -> the key is taken ----------> the action runs, its answer is recorded and kept
//!                                                   |  held by another: 409
//!                                                   |  of another request: 422
//!                                                   +  answered: the same answer again
//! ```

mod answer;
mod recording;
mod run;
mod shared;
mod table;

use std::sync::Arc;

use aws_lc_rs::digest::{Context as Digest, SHA256};

use crate::exchange::{Exchange, Upgrade};
use crate::pipeline::{Context, Flow};
use crate::plan;
use crate::policies::Local;
use crate::policies::limit_key::LimitKey;
use crate::problem::Problem;
use crate::redis::Store;
use crate::respond::{Code, Failure};
use crate::telemetry::metrics::{Family, Kind, Tally, Text};

pub use recording::Kept;
pub use run::run;
pub use table::Table;

pub static IDEMPOTENCY: Family = Family {
    name: "tidegate_idempotency",
    help: "Requests with an idempotency key, by what became of them.",
    label: "scope",
    outcome: "outcome",
    outcomes: &["ran", "replayed", "in_use", "reused", "not_kept", "unavailable"],
};

/// Places in the outcomes of [`IDEMPOTENCY`].
#[derive(Clone, Copy)]
enum Outcome {
    Ran,
    Replayed,
    InUse,
    Reused,
    NotKept,
    Unavailable,
}

/// What a key of a caller is known by, and what a request was.
type Name = [u8; 32];
type Fingerprint = [u8; 32];

/// Signs of a key, quotes not counted.
const LONGEST_KEY: usize = 255;

pub struct Idempotency {
    plan: plan::Idempotency,
    /// Whose the keys are.
    owner: LimitKey,
    table: Arc<Table>,
    /// `None`: keys hold in this gateway.
    store: Option<Arc<Store>>,
    tally: Arc<Tally>,
}

/// A request with a key, on its way to the action.
pub struct Asked {
    policy: Arc<Idempotency>,
    name: Name,
    /// Of the request's head; its body is still to come.
    fingerprint: Digest,
}

impl Idempotency {
    pub fn compile(plan: &plan::Idempotency, context: &Context<'_>) -> Result<Self, Problem> {
        Ok(Self {
            owner: LimitKey::compile(&plan.key, plan.ipv6_prefix)?,
            table: context.state.idempotency.of(&plan.scope, Table::default),
            store: context.shared(plan.store)?,
            tally: context.registry.tally(&IDEMPOTENCY, &plan.scope),
            plan: plan.clone(),
        })
    }

    pub fn on_request(self: &Arc<Self>, exchange: &mut Exchange) -> Flow {
        let request = &exchange.request;
        let meant = self.plan.methods.iter().any(|method| method.as_bytes() == request.method_name());
        if !meant || request.upgrade != Upgrade::None {
            return Flow::Continue;
        }
        let mut values = request.head.get_all(self.plan.header.as_bytes());
        let key = match (values.next(), values.next()) {
            (None, _) if self.plan.required => return Flow::Respond(Code::IdempotencyKeyMissing.into()),
            (None, _) => return Flow::Continue,
            (Some(value), None) => key(value),
            (Some(_), Some(_)) => None,
        };
        let Some(key) = key else {
            let detail = format!("`{}` is not one key of 1 to {LONGEST_KEY} signs", self.plan.header);
            return Flow::Respond(Failure::with(Code::IdempotencyKeyInvalid, detail));
        };
        let mut owner = Vec::with_capacity(64);
        let owned = self.owner.write_or_caller(exchange, &mut owner);
        let route = exchange.route().map_or("", |route| &route.name);
        let name = digest([self.plan.scope.as_bytes(), route.as_bytes(), &owner, key]);
        let fingerprint = fingerprint(exchange, owned);
        exchange.idempotency = Some(Box::new(Asked { policy: self.clone(), name, fingerprint }));
        Flow::Continue
    }

    fn count(&self, local: &Local, outcome: Outcome) {
        self.tally.count(local.worker, outcome as usize);
    }

    fn keeps(&self, status: u16) -> bool {
        self.plan.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// What makes two requests the same, apart from their bodies. `owned`: the request says itself whose its key is.
fn fingerprint(exchange: &Exchange, owned: bool) -> Digest {
    let request = &exchange.request;
    let mut digest = Digest::new(&SHA256);
    let content_type = request.head.get(b"content-type").unwrap_or_default();
    let parts = [request.method_name(), &request.path, request.query().unwrap_or_default(), content_type];
    parts.into_iter().for_each(|part| add(&mut digest, part));
    if !owned && exchange.identity.is_none() {
        // Nobody here knows who calls, but the service might: whoever shows something else to it is somebody else.
        let shown = [b"authorization".as_slice(), b"cookie"];
        shown.into_iter().flat_map(|name| request.head.get_all(name)).for_each(|value| add(&mut digest, value));
    }
    digest
}

/// The metrics of what is kept in memory.
pub(crate) fn render(tables: &[Arc<Table>], text: &mut Text) {
    if tables.is_empty() {
        return;
    }
    let (mut answers, mut bytes, mut evicted) = (0, 0, 0);
    for table in tables {
        let census = table.census();
        (answers, bytes, evicted) = (answers + census.0, bytes + census.1, evicted + census.2);
    }
    text.family("tidegate_idempotency_answers", Kind::Gauge, "Answers that are kept in memory.");
    text.sample(&[], answers as u64);
    text.family("tidegate_idempotency_bytes", Kind::Gauge, "Bytes of them.");
    text.sample(&[], bytes as u64);
    text.family("tidegate_idempotency_evictions", Kind::Counter, "Answers that had to go before their time.");
    text.sample(&[], evicted);
}

/// The key in a field: a string of structured fields (RFC 8941 section 3.3.3), as the draft wants it, or the bare text that most
/// clients send.
fn key(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let key = inner.unwrap_or(value);
    // With escapes there would be two ways to write one key.
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) && !matches!(byte, b'"' | b'\\');
    let bare = |byte: &u8| inner.is_some() || !matches!(byte, b' ' | b',' | b';');
    ((1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(|byte| plain(byte) && bare(byte))).then_some(key)
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Digest::new(&SHA256);
    parts.into_iter().for_each(|part| add(&mut digest, part));
    finished(digest)
}

/// Adds a part with its length: no two lists of parts give one digest.
fn add(digest: &mut Digest, part: &[u8]) {
    digest.update(&(part.len() as u64).to_le_bytes());
    digest.update(part);
}

fn finished(digest: Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_or_bare() {
        for (value, expected) in [
            (&b"\"8e03978e-40d5-43dd-bc93-6894a57f9324\""[..], Some(&b"8e03978e-40d5-43dd-bc93-6894a57f9324"[..])),
            (b"8e03978e", Some(b"8e03978e")),
            (b" a ", Some(b"a")),
            (b"\"a b\"", Some(b"a b")),
            (b"a b", None),
            (b"a, b", None),
            (b"\"a\";p=1", None),
            (b"\"a", None),
            (b"\"a\\\"b\"", None),
            (b"", None),
            (b"\"\"", None),
            (b"k\xc3\xa9", None),
            (&[b'a'; 256], None),
        ] {
            assert_eq!(key(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }
}
