//! Knows callers by name and password (RFC 7617), checked against argon2id hashes.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
use crate::snapshot::{Pinned, Snapshot};
use crate::state::State;

/// Tells what one policy made of a user from what others do.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// A longer password would only make us work.
const LONGEST: usize = 1024;

pub struct Basic {
    number: u64,
    remember_ms: u64,
    remember_failures_ms: u64,
    consumer_headers: ConsumerHeaders,
    challenge: Box<[u8]>,
    state: Arc<State>,
}

impl Basic {
    pub fn compile(plan: &plan::Basic, context: &Context<'_>) -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
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
        let stored = credentials.users.get(*name).map_or(&credentials.nobody, |user| &user.stored);
        let digest = self.state.passwords.digest(name, password, stored);
        let now = exchange.started_micros / 1000;
        match self.state.passwords.remembered(&digest, now) {
            Some(fits) => self.judge(fits, &exchange.snapshot, name),
            None => self.wait(
                exchange.snapshot.clone(),
                (*name).into(),
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
            subject: Some(String::from_utf8_lossy(name).into()),
            lines: self.consumer_headers.lines(&user.consumer),
            consumer: Some(user.consumer.clone()),
            ..Identity::default()
        }
    }

    /// Requests of one user share one identity.
    fn judge(&self, fits: bool, snapshot: &Snapshot, name: &[u8]) -> Proof {
        match snapshot.credentials.users.get(name) {
            Some(user) if fits => Proof::Proved(user.memo.get(self.number, || self.identity(user, name))),
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

    fn wait(self: &Arc<Self>, snapshot: Pinned, name: Box<[u8]>, question: Question) -> Proof {
        let this = self.clone();
        Proof::Wait(Box::new(move |_: Rc<_>| {
            Box::pin(async move {
                match this.state.passwords.check(question).await {
                    Some(fits) => this.judge(fits, &snapshot, &name),
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
    use crate::clock::Clock;
    use crate::credentials::passwords::hash;
    use crate::exchange::Connection;
    use crate::telemetry::Telemetry;

    #[test]
    fn requests_of_one_user_share_an_identity_and_those_of_two_policies_do_not() {
        let telemetry = Telemetry::start(1, Clock::default()).unwrap();
        let state = State::new();
        let mut plan = plan::Plan::empty();
        let user = plan::BasicUser { username: "ann".into(), password_hash: hash(b"secret") };
        plan.consumers.push(plan::Consumer {
            name: "acme".into(),
            tier: None,
            tags: vec![],
            policies: vec![],
            keys: vec![],
            basic: vec![user],
            certificates: vec![],
        });
        let snapshot =
            Snapshot::compile(plan, None, &telemetry.registry, &state).unwrap_or_else(|_| panic!("no faults"));
        let (services, consumers) = (Default::default(), Default::default());
        let context = Context::new(&telemetry.registry, &state, &services, &consumers);
        let plan = plan::Basic {
            remember_ms: 60_000,
            remember_failures_ms: 1000,
            realm: "r".into(),
            consumer_to_headers: vec![],
            optional: false,
        };
        let [first, second] = [0, 1].map(|_| Arc::new(Basic::compile(&plan, &context)));
        let peer = "127.0.0.1:1".parse().unwrap();
        let connection = Connection {
            peer,
            local: peer,
            tls: false,
            listener: "l".into(),
            server_name: None,
            client_certificate: None,
        };
        let local = Local::new(telemetry.wall.clone(), 0);
        let mut exchange = Exchange::new(Pinned::new(Arc::new(snapshot)), Rc::new(connection), 1_000_000);
        exchange.request.head.add(b"authorization", b"Basic YW5uOnNlY3JldA==");
        let stored = exchange.snapshot.credentials.users[&b"ann"[..]].stored.clone();
        let digest = state.passwords.digest(b"ann", b"secret", &stored);
        let question =
            Question { stored, password: b"secret"[..].into(), digest, good_until: 60_000, bad_until: 60_000 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(state.passwords.check(question)), Some(true));
        let mut identity = |policy: &Arc<Basic>| match policy.check(&local, &exchange) {
            Proof::Proved(identity) => identity,
            _ => panic!("the password was checked"),
        };
        let proved = [&first, &first, &second].map(&mut identity);
        assert!(Arc::ptr_eq(&proved[0], &proved[1]));
        assert!(!Arc::ptr_eq(&proved[0], &proved[2]));
        assert_eq!(proved[2].subject.as_deref(), Some("ann"));
    }

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
