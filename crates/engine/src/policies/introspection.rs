//! Asks the provider whether a token is good, and whose it is (RFC 7662).

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::base64;
use crate::claims::{Claim, Claims};
use crate::exchange::{Exchange, Request};
use crate::head::Head;
use crate::identity::{Consumers, Identity};
use crate::jose::{Expectations, Refused, parse_object};
use crate::path::{is_unreserved, push_escaped};
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::claims_to_headers::ClaimsToHeaders;
use crate::policies::presented::Presented;
use crate::policies::token_places::{self, TokenPlaces};
use crate::policies::verdicts::{Verdict, Verdicts};
use crate::problem::Problem;
use crate::respond::Code;
use crate::snapshot::Pinned;
use crate::upstream::fetch::{Errand, Fetched, fetch};
use crate::worker::Worker;

/// No provider gives out tokens that are longer; asking about megabytes for a caller is not our business.
const LONGEST_TOKEN: usize = 8 * 1024;
/// Longest answer of the provider.
const MOST_BYTES: usize = 64 * 1024;

pub struct Introspection {
    service: usize,
    host: Box<[u8]>,
    target: Box<[u8]>,
    /// `Authorization` of the gateway at the provider.
    authorization: Option<Box<[u8]>>,
    /// What follows the token in the form: the hint, and perhaps the client's credentials.
    form: Box<[u8]>,
    places: TokenPlaces,
    expectations: Expectations,
    scopes: Box<[Box<str>]>,
    claims_to_headers: ClaimsToHeaders,
    subject: Box<[String]>,
    consumer: Option<Box<[String]>>,
    consumers: Arc<Consumers>,
    realm: Box<str>,
    timeout_ms: u64,
    ttl_ms: u64,
    negative_ttl_ms: u64,
    verdicts: Arc<Verdicts<Outcome>>,
}

/// What is known of a token.
#[derive(Clone)]
pub enum Outcome {
    Active(Arc<Identity>),
    /// Active, but it does not reach as far as it must.
    TooNarrow,
    Expired,
    Invalid(&'static str),
    /// The provider did not tell; for the log.
    Unknown(Arc<str>),
}

impl Introspection {
    pub fn compile(plan: &plan::Introspection, context: &Context<'_>) -> Result<Self, Problem> {
        let Some((service, known)) = context.services.get(plan.service.as_str()) else {
            let message = format!("no service is named `{}`", plan.service);
            return Err(Problem::new("service", "config.unknown_name", message));
        };
        let (authorization, form) = credentials(plan);
        Ok(Self {
            service: *service,
            host: known.plan.host.as_bytes().into(),
            target: [known.plan.base_path.as_bytes(), plan.path.as_bytes()].concat().into(),
            authorization,
            form: form.into(),
            places: TokenPlaces::new(&plan.token),
            expectations: Expectations {
                issuer: plan.issuer.as_deref().map(Into::into),
                audiences: plan.audience.iter().map(|audience| audience.as_str().into()).collect(),
                leeway_ms: plan.leeway_ms,
                ..Expectations::default()
            },
            scopes: plan.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            claims_to_headers: ClaimsToHeaders::compile(&plan.claims_to_headers),
            subject: plan.subject_claim.clone().into(),
            consumer: plan.consumer_claim.clone().map(Into::into),
            consumers: context.consumers.clone(),
            realm: plan.realm.as_str().into(),
            timeout_ms: plan.timeout_ms,
            ttl_ms: plan.ttl_ms,
            negative_ttl_ms: plan.negative_ttl_ms,
            verdicts: match &plan.consumer_claim {
                None => context.state.introspections.of(plan, || Verdicts::new(plan.entries)),
                // What is known of a token names a consumer of this very document.
                Some(_) => Arc::new(Verdicts::new(plan.entries)),
            },
        })
    }

    pub fn check(self: &Arc<Self>, local: &Local, exchange: &Exchange) -> Proof {
        let token = match self.places.presented(&exchange.request) {
            Presented::Nothing => return Proof::Missing,
            Presented::Several => return self.proof(Outcome::Invalid("the token is given more than once")),
            Presented::One(token) => token,
        };
        if !is_token(&token) {
            return self.proof(Outcome::Invalid("it has no form of a token"));
        }
        let now = local.epoch_millis(exchange.started_micros);
        let key = self.verdicts.key([&*token]);
        if let Some(outcome) = self.verdicts.get(&key, now) {
            return self.proof(outcome);
        }
        let (this, snapshot, body) = (self.clone(), exchange.snapshot.clone(), self.body(&token));
        Proof::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let asked = this.verdicts.get_or_ask(key, now, async || this.ask(&worker, &snapshot, body).await);
                let outcome = asked.await;
                this.proof(outcome)
            })
        }))
    }

    pub fn strip(&self, request: &mut Request) {
        self.places.strip(request);
    }

    pub fn challenge(&self) -> Option<Box<[u8]>> {
        Some(token_places::challenge(&self.realm))
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        self.claims_to_headers.own(names);
    }

    fn body(&self, token: &[u8]) -> Bytes {
        let mut body = b"token=".to_vec();
        push_form(&mut body, token);
        body.extend_from_slice(&self.form);
        body.into()
    }

    async fn ask(&self, worker: &Rc<Worker>, snapshot: &Pinned, body: Bytes) -> Verdict<Outcome> {
        let mut head = Head::default();
        head.add(b"content-type", b"application/x-www-form-urlencoded");
        head.add(b"accept", b"application/json");
        if let Some(authorization) = &self.authorization {
            head.add(b"authorization", authorization);
        }
        let errand = Errand {
            service: self.service,
            method: b"POST",
            target: &self.target,
            host: &self.host,
            head,
            body,
            deadline: worker.now().saturating_add(self.timeout_ms),
            most_bytes: MOST_BYTES,
        };
        match fetch(worker, snapshot, errand).await {
            Ok(Fetched { status: 200, body, .. }) => self.judge(&body, worker.clock.wall()),
            Ok(Fetched { status, .. }) => unknown(format_args!("the provider answered {status}")),
            Err(failure) => unknown(failure),
        }
    }

    fn judge(&self, body: &[u8], now: u64) -> Verdict<Outcome> {
        let Ok(mut claims) = parse_object(body) else { return unknown("the provider's answer is no JSON object") };
        match claims.remove("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return self.refused(Outcome::Invalid("the token is not active"), now),
            _ => return unknown("the provider's answer does not say whether the token is active"),
        }
        let claims = Claims::from(&claims);
        let validity = match self.expectations.check_claims(&claims, now) {
            Ok(validity) => validity,
            Err(Refused::Expired) => return self.refused(Outcome::Expired, now),
            Err(refused) => return self.refused(Outcome::Invalid(refused.reason()), now),
        };
        if !self.scopes.iter().all(|scope| has_scope(claims.get("scope"), scope)) {
            return self.refused(Outcome::TooNarrow, now);
        }
        let mut identity = Identity {
            method: "introspection",
            expires: validity.expires.map(|expires| expires / 1000),
            claims,
            ..Identity::default()
        };
        let text = |path: &[String]| identity.claim(path).and_then(Claim::as_str);
        let consumer = self.consumer.as_deref().and_then(text).and_then(|name| self.consumers.by_name(name)).cloned();
        identity.consumer = consumer;
        identity.take_subject(&self.subject);
        identity.lines = self.claims_to_headers.lines(&identity);
        let until = validity.until.min(now.saturating_add(self.ttl_ms));
        Verdict { value: Outcome::Active(Arc::new(identity)), until, alone: false }
    }

    fn refused(&self, outcome: Outcome, now: u64) -> Verdict<Outcome> {
        let until = if self.negative_ttl_ms == 0 { 0 } else { now.saturating_add(self.negative_ttl_ms) };
        Verdict { value: outcome, until, alone: false }
    }

    fn proof(&self, outcome: Outcome) -> Proof {
        let refused = |code: Code, error: &str, detail: &str| {
            Proof::Refused(Refusal {
                code,
                challenge: Some(format!("Bearer realm=\"{}\", {error}", self.realm).into_bytes().into()),
                detail: Some(format!("introspection: {detail}").into()),
            })
        };
        const INVALID: &str = r#"error="invalid_token""#;
        match outcome {
            Outcome::Active(identity) => Proof::Proved(identity),
            Outcome::Expired => refused(Code::TokenExpired, INVALID, Refused::Expired.reason()),
            Outcome::Invalid(why) => refused(Code::InvalidToken, INVALID, why),
            Outcome::TooNarrow => {
                let error = format!(r#"error="insufficient_scope", scope="{}""#, self.scopes.join(" "));
                refused(Code::Forbidden, &error, "the token does not have every scope")
            }
            Outcome::Unknown(why) => {
                Proof::Refused(Refusal { detail: Some((*why).into()), ..Code::AuthenticationUnavailable.into() })
            }
        }
    }
}

/// What cannot be told is not kept: the next request asks again.
fn unknown(why: impl std::fmt::Display) -> Verdict<Outcome> {
    Verdict { value: Outcome::Unknown(format!("introspection: {why}").into()), until: 0, alone: false }
}

/// Scopes are a text with blanks between (RFC 7662 section 2.2); some providers send a list.
fn has_scope(scopes: Option<Claim<'_>>, scope: &str) -> bool {
    match scopes {
        Some(Claim::Text(text)) => text.split(' ').any(|known| known == scope),
        Some(Claim::List(list)) => list.iter().any(|known| known.as_str() == Some(scope)),
        _ => false,
    }
}

/// The `b64token` of RFC 6750 section 2.1.
fn is_token(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    end > 0 && text.len() <= LONGEST_TOKEN && text[..end].iter().all(fits)
}

/// The gateway's own credentials at the provider (RFC 6749 section 2.3.1): a header, and what is added to the form.
fn credentials(plan: &plan::Introspection) -> (Option<Box<[u8]>>, Vec<u8>) {
    let mut form = Vec::new();
    if let Some(hint) = &plan.token_type_hint {
        form.extend_from_slice(b"&token_type_hint=");
        push_form(&mut form, hint.as_bytes());
    }
    let header = match &plan.client {
        plan::IntrospectionClient::None => None,
        plan::IntrospectionClient::Basic { id, secret } => {
            let mut pair = Vec::new();
            push_form(&mut pair, id.as_bytes());
            pair.push(b':');
            push_form(&mut pair, secret.as_bytes());
            let mut header = b"Basic ".to_vec();
            base64::push_plain(&mut header, &pair);
            Some(header.into())
        }
        plan::IntrospectionClient::Post { id, secret } => {
            form.extend_from_slice(b"&client_id=");
            push_form(&mut form, id.as_bytes());
            form.extend_from_slice(b"&client_secret=");
            push_form(&mut form, secret.as_bytes());
            None
        }
        plan::IntrospectionClient::Bearer { token } => Some([b"Bearer ", token.as_bytes()].concat().into()),
    };
    (header, form)
}

/// `application/x-www-form-urlencoded`, with `%20` for a blank, which every decoder takes.
fn push_form(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match *byte {
            byte if is_unreserved(byte) => out.push(byte),
            byte => push_escaped(out, byte),
        }
    }
}
