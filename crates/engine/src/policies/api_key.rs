//! Knows callers by a key in a header, the query or a cookie.
//!
//! A key is looked up by its SHA-256: first among those of the document, then among those of the store, both in memory. No
//! lookup waits, but for the first moments of a process that has not read its store yet.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, json};
use tidegate_http1::Known;

use crate::claims::Claims;
use crate::credentials::keys::Key;
use crate::credentials::secret::{Digest, is_mistyped};
use crate::exchange::{Exchange, Request};
use crate::identity::Identity;
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::consumer_headers::ConsumerHeaders;
use crate::policies::presented::{self, Presented};
use crate::policies::trust::is_alias;
use crate::respond::Code;
use crate::snapshot::{Pinned, Snapshot};
use crate::state::State;

/// Longest wait for a store that has not been read yet.
const FIRST_LOAD: Duration = Duration::from_secs(3);
/// Nobody's key is so long; hashing megabytes for a caller is not our business.
const LONGEST: usize = 1024;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

pub struct ApiKey {
    /// Differs from that of every other policy of the process.
    number: u64,
    header: Option<Header>,
    query: Option<Box<str>>,
    cookie: Option<Box<str>>,
    consumer_headers: ConsumerHeaders,
    challenge: Box<[u8]>,
    state: Arc<State>,
}

struct Header {
    /// In lower case.
    name: Box<[u8]>,
    known: Known,
    /// What stands before the key, without the blank; without regard to case (RFC 9110 section 11.1).
    scheme: Option<Box<[u8]>>,
}

impl ApiKey {
    pub fn compile(plan: &plan::ApiKey, context: &Context<'_>) -> Self {
        let header = plan.header.as_ref().map(|name| Header {
            name: name.as_bytes().into(),
            known: Known::of(name.as_bytes()),
            scheme: plan.scheme.as_ref().map(|scheme| scheme.as_bytes().into()),
        });
        let scheme = plan.scheme.as_deref().unwrap_or("ApiKey");
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            header,
            query: plan.query.as_deref().map(Into::into),
            cookie: plan.cookie.as_deref().map(Into::into),
            consumer_headers: ConsumerHeaders::compile(&plan.consumer_to_headers),
            challenge: format!("{scheme} realm=\"{}\"", plan.realm).into_bytes().into(),
            state: context.state.clone(),
        }
    }

    pub fn check(self: &Arc<Self>, local: &Local, exchange: &Exchange) -> Proof {
        let digest = match self.presented(&exchange.request) {
            Presented::Nothing => return Proof::Missing,
            Presented::Several => return self.refuse("the key is given more than once"),
            Presented::One(secret) if secret.len() > LONGEST => return self.refuse("the key is too long"),
            Presented::One(secret) if is_mistyped(&secret) => return self.refuse("the checksum of the key is wrong"),
            Presented::One(secret) => Digest::of(&secret),
        };
        let now = local.epoch_millis(exchange.started_micros) / 1000;
        match self.known(&exchange.snapshot, &digest) {
            Some(key) => self.judge(&exchange.snapshot, &key, now),
            None if !exchange.snapshot.plan.key_store => self.refuse(UNKNOWN),
            None if self.state.keys.is_loaded() => self.refuse(UNKNOWN),
            None => self.wait(exchange.snapshot.clone(), digest, now),
        }
    }

    /// Takes the key out of the request, wherever it may stand.
    pub fn strip(&self, request: &mut Request) {
        if let Some(header) = &self.header {
            header.strip(request);
        }
        if let Some(name) = &self.query {
            presented::strip_query(request, name);
        }
        if let Some(name) = &self.cookie {
            presented::strip_cookie(&mut request.head, name);
        }
    }

    pub fn challenge(&self) -> Option<Box<[u8]>> {
        Some(self.challenge.clone())
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        self.consumer_headers.owned(names);
    }

    fn presented<'a>(&self, request: &'a Request) -> Presented<'a> {
        let header = self.header.as_ref().map_or(Presented::Nothing, |header| header.presented(request));
        header
            .or_else(|| self.query.as_ref().map_or(Presented::Nothing, |name| presented::in_query(request, name)))
            .or_else(|| self.cookie.as_ref().map_or(Presented::Nothing, |name| presented::in_cookies(request, name)))
    }

    fn known(&self, snapshot: &Snapshot, digest: &Digest) -> Option<Arc<Key>> {
        if let Some(key) = snapshot.credentials.keys.get(digest) {
            return Some(key.clone());
        }
        if snapshot.plan.key_store { self.state.keys.get(digest) } else { None }
    }

    fn judge(&self, snapshot: &Snapshot, key: &Key, now: u64) -> Proof {
        if key.revoked {
            return self.refuse(format!("the key {} was revoked", key.id));
        }
        if key.expires.is_some_and(|expires| expires <= now) {
            return self.refuse(format!("the key {} has expired", key.id));
        }
        Proof::Proved(key.memo.get(self.number, || self.identity(snapshot, key)))
    }

    fn identity(&self, snapshot: &Snapshot, key: &Key) -> Identity {
        // A consumer of the document has policies of its own, and what the document says of it goes before the store.
        let consumer = snapshot.consumers.by_name(&key.consumer.name).unwrap_or(&key.consumer).clone();
        Identity {
            method: "api_key",
            subject: consumer.name.clone().into(),
            claims: claims(key),
            lines: self.consumer_headers.lines(&consumer),
            consumer: Some(consumer),
            expires: key.expires,
        }
    }

    fn refuse(&self, detail: impl Into<String>) -> Proof {
        Proof::Refused(Refusal {
            code: Code::InvalidCredentials,
            challenge: self.challenge(),
            detail: Some(detail.into().into()),
        })
    }

    /// Waits for the first load of the store: until then nobody knows whether a key is a wrong one.
    fn wait(self: &Arc<Self>, snapshot: Pinned, digest: Digest, now: u64) -> Proof {
        let this = self.clone();
        Proof::Wait(Box::new(move |_: Rc<_>| {
            Box::pin(async move {
                let loaded = tokio::time::timeout(FIRST_LOAD, this.state.keys.until_loaded()).await;
                match (this.known(&snapshot, &digest), loaded) {
                    (Some(key), _) => this.judge(&snapshot, &key, now),
                    (None, Ok(())) => this.refuse(UNKNOWN),
                    (None, Err(_)) => Proof::Refused(Refusal {
                        code: Code::AuthenticationUnavailable,
                        challenge: None,
                        detail: Some("the key store has not been read yet".into()),
                    }),
                }
            })
        }))
    }
}

const UNKNOWN: &str = "no such key";

/// Which key it was, for `{claims.key.id}`; keys of the document have no id.
fn claims(key: &Key) -> Claims {
    let mut claims = Map::new();
    if !key.id.is_empty() {
        claims.insert("key".into(), json!({"id": key.id, "name": key.name}));
    }
    Claims::from(&claims)
}

impl Header {
    fn presented<'a>(&self, request: &'a Request) -> Presented<'a> {
        presented::one(request.head.get_all(&self.name).filter_map(|value| self.key_of(value)))
    }

    /// The key in a value; nothing where the scheme is another.
    fn key_of<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        match &self.scheme {
            None => Some(value),
            Some(scheme) => presented::after_scheme(value, scheme),
        }
    }

    fn strip(&self, request: &mut Request) {
        request.head.retain(|known, name, value| {
            let is_it = known == self.known && (known != Known::Other || is_alias(name, &self.name));
            !is_it || self.key_of(value).is_none()
        });
    }
}
