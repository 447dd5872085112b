//! Gives services a short-lived token that says who calls, signed by the gateway.
//!
//! Whoever reaches a service directly can write any header, but not this one. Signing costs tens of microseconds, so a token
//! is kept per worker for a quarter of its lifetime, and every request of the same caller to the same service shows it.

use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHasher;

use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::pipeline::{Context, Flow};
use crate::plan;
use crate::policies::Local;
use crate::policies::generations::Generations;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::signing::{Ring, SigningKey};

pub struct SignedIdentity {
    /// Tells the tokens of this policy from those of others, also of the same one before a reload.
    number: u64,
    header: Box<[u8]>,
    issuer: Box<str>,
    audience: Option<Box<str>>,
    claims: Box<[Box<str>]>,
    request_id: bool,
    anonymous: bool,
    ttl: u64,
    ring: Ring,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// Tokens kept per worker, in each of the two tables.
const KEPT: usize = 4096;

impl SignedIdentity {
    pub fn compile(plan: &plan::SignedIdentity, context: &Context<'_>) -> Result<Self, Problem> {
        let header: Box<[u8]> = plan.header.as_bytes().into();
        context.owned.borrow_mut().push(header.clone());
        Ok(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            header,
            issuer: plan.issuer.as_str().into(),
            audience: plan.audience.as_deref().map(Into::into),
            claims: plan.claims.iter().map(|name| name.as_str().into()).collect(),
            request_id: plan.request_id,
            anonymous: plan.anonymous,
            ttl: plan.ttl_s,
            ring: Ring::compile(&plan.keys, &context.state.signing)?,
        })
    }

    pub fn on_request(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        if exchange.identity.is_none() && !self.anonymous {
            return Flow::Continue;
        }
        let now = local.epoch_millis(exchange.started_micros) / 1000;
        let snapshot = exchange.snapshot.clone();
        let route = exchange.route.map(|index| &snapshot.routes[index]);
        let audience = match (&self.audience, route) {
            (Some(audience), _) => audience,
            (None, Some(route)) => match route.action.service_name(exchange.side) {
                "" => &route.name,
                service => service,
            },
            (None, None) => "",
        };
        let subject = Subject { identity: exchange.identity.as_ref(), audience, id: &exchange.id };
        let signed = &mut *local.signed.borrow_mut();
        match signed.token(self, &subject, now) {
            Some(token) => {
                exchange.request.head.set(&self.header, token);
                Flow::Continue
            }
            None => {
                let detail = "signed_identity: there is no key to sign with";
                Flow::Respond(Failure::with(Code::AuthenticationUnavailable, detail))
            }
        }
    }

    /// All of the payload that stays the same from one second to the next: `{"iss":...`
    fn write_stable(&self, subject: &Subject<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"iss\":");
        write_json(out, &*self.issuer);
        member(out, "aud", subject.audience);
        let Some(identity) = subject.identity else { return };
        if let Some(subject) = identity.subject() {
            member(out, "sub", subject);
        }
        if let Some(consumer) = &identity.consumer {
            member(out, "consumer", &*consumer.name);
            if let Some(tier) = &consumer.tier {
                member(out, "tier", &**tier);
            }
        }
        for name in &self.claims {
            if let Some(value) = identity.claims.get(name) {
                member(out, name, &value);
            }
        }
    }

    /// The rest of it. A token does not outlive the credential it stands for.
    fn write_times(&self, subject: &Subject<'_>, now: u64, out: &mut Vec<u8>) -> u64 {
        let credential = subject.identity.and_then(|identity| identity.expires).unwrap_or(u64::MAX);
        let expires = (now + self.ttl).min(credential.max(now + 1));
        member(out, "iat", &now);
        member(out, "exp", &expires);
        if self.request_id && !subject.id.is_empty() {
            // Letters, digits and marks that need no escape, by construction.
            member(out, "request_id", &String::from_utf8_lossy(subject.id));
        }
        out.push(b'}');
        expires
    }

    fn sign(&self, key: &SigningKey, stable: &[u8], subject: &Subject<'_>, now: u64) -> Token {
        let mut payload = stable.to_vec();
        let expires = self.write_times(subject, now, &mut payload);
        let mut bytes = Vec::with_capacity(payload.len() * 2 + 256);
        key.write_token(&payload, &mut bytes);
        Token { bytes: bytes.into(), renew: expires.min(now + (self.ttl / 4).max(1)) }
    }
}

/// Whom a token is about, for whom.
struct Subject<'a> {
    identity: Option<&'a Arc<Identity>>,
    audience: &'a str,
    /// Of the request.
    id: &'a [u8],
}

struct Token {
    bytes: Box<[u8]>,
    /// Unix seconds from which another one is made.
    renew: u64,
}

/// The tokens of one worker.
pub struct Signed {
    /// The fast way: by the very identity, which credentials that are remembered share. It is kept, so that its address is its.
    by_identity: Generations<(u64, usize, u64), Known>,
    /// By what the token says: for identities that are made anew for each request.
    by_text: Generations<Box<[u8]>, Rc<Token>>,
    /// Memory for texts, and the last token that cannot be kept.
    scratch: Vec<u8>,
    single: Rc<Token>,
}

struct Known {
    identity: Option<Arc<Identity>>,
    audience: Box<str>,
    token: Rc<Token>,
}

impl Known {
    fn is(&self, subject: &Subject<'_>) -> bool {
        let same = match (&self.identity, subject.identity) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            (left, right) => left.is_none() && right.is_none(),
        };
        same && *self.audience == *subject.audience
    }
}

impl Default for Signed {
    fn default() -> Self {
        Self {
            by_identity: Generations::new(KEPT),
            by_text: Generations::new(KEPT),
            scratch: Vec::new(),
            single: Rc::new(Token { bytes: Box::default(), renew: 0 }),
        }
    }
}

impl Signed {
    /// A token that is good now; `None` when there is no key.
    fn token(&mut self, policy: &SignedIdentity, subject: &Subject<'_>, now: u64) -> Option<&[u8]> {
        if policy.request_id {
            self.scratch.clear();
            policy.write_stable(subject, &mut self.scratch);
            let sign = |key: &SigningKey| policy.sign(key, &self.scratch, subject, now);
            self.single = Rc::new(policy.ring.load().signer(now).map(sign)?);
            return Some(&self.single.bytes);
        }
        let mut hasher = FxHasher::default();
        subject.audience.hash(&mut hasher);
        let address = subject.identity.map_or(0, |identity| Arc::as_ptr(identity) as usize);
        let place = (policy.number, address, hasher.finish());
        let known = self.by_identity.get(&place).filter(|known| now < known.token.renew && known.is(subject));
        if known.is_none() {
            let token = self.by_its_text(policy, subject, now)?;
            let known = Known { identity: subject.identity.cloned(), audience: subject.audience.into(), token };
            self.by_identity.insert(place, known);
        }
        self.by_identity.get(&place).map(|known| &*known.token.bytes)
    }

    fn by_its_text(&mut self, policy: &SignedIdentity, subject: &Subject<'_>, now: u64) -> Option<Rc<Token>> {
        let text = &mut self.scratch;
        text.clear();
        text.extend_from_slice(&policy.number.to_le_bytes());
        let expires = subject.identity.and_then(|identity| identity.expires).unwrap_or_default();
        text.extend_from_slice(&expires.to_le_bytes());
        let begin = text.len();
        policy.write_stable(subject, text);
        if let Some(token) = self.by_text.get(&**text).filter(|token| now < token.renew) {
            return Some(token.clone());
        }
        let sign = |key: &SigningKey| policy.sign(key, &text[begin..], subject, now);
        let token = Rc::new(policy.ring.load().signer(now).map(sign)?);
        self.by_text.insert(text.as_slice().into(), token.clone());
        Some(token)
    }
}

fn member<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.push(b',');
    write_json(out, name);
    out.push(b':');
    write_json(out, value);
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("texts, numbers and JSON values can be written");
}
