//! Knows callers by name and password (RFC 7617), checked against argon2id hashes.

use std::rc::Rc;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use tidegate_http1::Known;

use crate::credentials::document::User;
use crate::credentials::passwords::Question;
use crate::exchange::{Exchange, Request};
use crate::identity::Identity;
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::consumer_headers::ConsumerHeaders;
use crate::policies::presented::{self, Presented};
use crate::respond::Code;
use crate::state::State;

/// A longer password would only make us work.
const LONGEST: usize = 1024;

pub struct Basic {
    remember_ms: u64,
    remember_failures_ms: u64,
    consumer_headers: ConsumerHeaders,
    challenge: Box<[u8]>,
    state: Arc<State>,
}

impl Basic {
    pub fn compile(plan: &plan::Basic, context: &Context<'_>) -> Self {
        Self {
            remember_ms: plan.remember_ms,
            remember_failures_ms: plan.remember_failures_ms,
            consumer_headers: ConsumerHeaders::compile(&plan.consumer_to_headers),
            challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", plan.realm).into_bytes().into(),
            state: context.state.clone(),
        }
    }

    pub fn check(self: &Arc<Self>, _local: &Local, exchange: &Exchange) -> Proof {
        let values = exchange.request.head.get_all(b"authorization");
        let decoded = match presented::one(values.filter_map(|value| presented::after_scheme(value, b"Basic"))) {
            Presented::Nothing => return Proof::Missing,
            Presented::Several => return self.refuse("the password is given more than once"),
            Presented::One(value) => decode(&value),
        };
        let Some((name, password)) = &decoded.as_deref().and_then(split) else {
            return self.refuse("not a name and a password in base64");
        };
        let credentials = &exchange.snapshot.credentials;
        // Whether there is such a user must not be told by the time that the answer takes.
        let user = credentials.users.get(*name);
        let stored = user.map_or(&credentials.nobody, |user| &user.stored);
        let digest = self.state.passwords.digest(name, password, stored);
        let now = exchange.started_micros / 1000;
        let identity = user.map(|user| self.identity(user, name));
        match self.state.passwords.remembered(&digest, now) {
            Some(fits) => self.judge(fits, identity),
            None => self.wait(
                identity,
                Question {
                    stored: stored.clone(),
                    password: (*password).into(),
                    digest,
                    good_until: now.saturating_add(self.remember_ms),
                    bad_until: now.saturating_add(self.remember_failures_ms),
                },
            ),
        }
    }

    /// Takes the password out of the request; another scheme's credential stays.
    pub fn strip(&self, request: &mut Request) {
        request.head.retain(|known, _, value| {
            known != Known::Authorization || presented::after_scheme(value, b"Basic").is_none()
        });
    }

    pub fn challenge(&self) -> Option<Box<[u8]>> {
        Some(self.challenge.clone())
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        self.consumer_headers.owned(names);
    }

    fn identity(&self, user: &User, name: &[u8]) -> Identity {
        Identity {
            method: "basic",
            subject: (*String::from_utf8_lossy(name)).into(),
            lines: self.consumer_headers.lines(&user.consumer),
            consumer: Some(user.consumer.clone()),
            ..Identity::default()
        }
    }

    fn judge(&self, fits: bool, identity: Option<Identity>) -> Proof {
        match identity {
            Some(identity) if fits => Proof::Proved(Arc::new(identity)),
            // One text for both: the log must not become a list of who exists.
            _ => self.refuse("wrong name or password"),
        }
    }

    fn refuse(&self, detail: &str) -> Proof {
        Proof::Refused(Refusal {
            code: Code::InvalidCredentials,
            challenge: self.challenge(),
            detail: Some(detail.into()),
        })
    }

    fn wait(self: &Arc<Self>, identity: Option<Identity>, question: Question) -> Proof {
        let this = self.clone();
        Proof::Wait(Box::new(move |_: Rc<_>| {
            Box::pin(async move {
                match this.state.passwords.check(question).await {
                    Some(fits) => this.judge(fits, identity),
                    None => Proof::Refused(Refusal {
                        code: Code::AuthenticationUnavailable,
                        challenge: None,
                        detail: Some("too many passwords wait to be checked".into()),
                    }),
                }
            })
        }))
    }
}

fn decode(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() > LONGEST * 2 {
        return None;
    }
    Base64::decode_vec(std::str::from_utf8(value).ok()?).ok()
}

/// Name and password; a name has no colon (RFC 7617 section 2).
fn split(decoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = decoded.iter().position(|byte| *byte == b':')?;
    let (name, password) = (&decoded[..at], &decoded[at + 1..]);
    (!name.is_empty() && password.len() <= LONGEST).then_some((name, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_are_read_strictly() {
        for (value, read) in [
            ("YW5uOnNlY3JldA==", Some(("ann", "secret"))),
            ("YW5uOmE6Yg==", Some(("ann", "a:b"))),
            ("YW5uOg==", Some(("ann", ""))),
            ("OnNlY3JldA==", None),
            ("YW5u", None),
            ("YW5uOnNlY3JldA", None),
            ("YW5uOnNlY3JldB==", None),
            ("YW5u OnNl", None),
            ("", None),
        ] {
            let decoded = decode(value.as_bytes());
            let read = read.map(|(name, password): (&str, &str)| (name.as_bytes(), password.as_bytes()));
            assert_eq!(decoded.as_deref().and_then(split), read, "{value}");
        }
    }
}
