//! New tokens for old ones: one request to the provider for a session, however many requests of the browser ask for it.

use std::rc::Rc;
use std::sync::Arc;

use super::provider::Unmet;
use super::session::{Kept, Session, claims};
use super::{Asked, Oidc, refused};
use crate::claims::Claim;
use crate::policies::authentication::Proof;
use crate::policies::presented::for_one_only;
use crate::policies::verdicts::Verdict;
use crate::respond::Code;
use crate::worker::Worker;

/// For so long a browser may still show the cookie from before a refresh: requests that were on their way.
const GRACE_MS: u64 = 60_000;
/// A provider that does not answer is left alone for so long.
const PAUSE_MS: u64 = 5_000;

/// What came of a refresh.
#[derive(Clone)]
pub enum Refreshed {
    #[expect(private_interfaces, reason = "others keep it, and nobody else looks in")]
    New(Arc<Kept>),
    /// The provider says no.
    Denied,
    /// It did not say.
    Unavailable(Arc<str>),
}

impl Oidc {
    /// A session whose access token ends soon, or has ended.
    pub(super) fn refresh(self: &Arc<Self>, session: Arc<Session>, asked: Asked) -> Proof {
        let token = session.kept.refresh_token.as_deref().unwrap_or_default();
        let key = self.refreshed.key([session.kept.id.as_bytes(), token.as_bytes()]);
        if let Some(known) = self.refreshed.get(&key, asked.now.saturating_mul(1000)) {
            return self.refreshed(known, &session, asked);
        }
        let this = self.clone();
        Proof::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let snapshot = asked.snapshot.clone();
                let (asking, old) = (this.clone(), session.clone());
                // On a task of its own: a browser that leaves must not take back a token that the provider has used up.
                let task = tokio::task::spawn_local(async move {
                    let now = worker.clock.wall();
                    let ask = async || asking.ask_for_new(&worker, &snapshot, &old.kept).await;
                    asking.refreshed.get_or_ask(key, now, ask).await
                });
                match task.await {
                    Ok(refreshed) => this.refreshed(refreshed, &session, asked),
                    Err(_) => refused(Code::AuthenticationUnavailable, "the refresh was cut off"),
                }
            })
        }))
    }

    async fn ask_for_new(
        &self,
        worker: &Rc<Worker>,
        snapshot: &crate::snapshot::Pinned,
        old: &Kept,
    ) -> Verdict<Refreshed> {
        let outcome = self.new_tokens(worker, snapshot, old).await;
        let now = worker.clock.wall();
        match outcome {
            Ok(kept) => Verdict { value: Refreshed::New(Arc::new(kept)), until: now + GRACE_MS, alone: false },
            Err(Unmet::Denied(why)) => {
                tracing::debug!(reason = why, "session not refreshed");
                Verdict { value: Refreshed::Denied, until: now + GRACE_MS, alone: false }
            }
            Err(Unmet::Unavailable(why)) => {
                tracing::warn!(issuer = self.options.issuer, reason = why, "session not refreshed");
                Verdict { value: Refreshed::Unavailable(why.into()), until: now + PAUSE_MS, alone: false }
            }
        }
    }

    async fn new_tokens(
        &self,
        worker: &Rc<Worker>,
        snapshot: &crate::snapshot::Pinned,
        old: &Kept,
    ) -> Result<Kept, Unmet> {
        let token = old.refresh_token.as_deref().unwrap_or_default();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let tokens = self.ask_tokens(worker, snapshot, &form).await?;
        let mut kept = old.clone();
        if let Some(id_token) = tokens.id_token.clone() {
            // OpenID Connect Core 1.0 section 12.2: of the same issuer, for the same user.
            let (new, before) = (self.verify(worker, &id_token).await?, claims(&old.id_token).unwrap_or_default());
            if new.get("sub").and_then(Claim::as_str) != before.get("sub").and_then(Claim::as_str) {
                return Err(Unmet::Denied("id_token: it is of another user".into()));
            }
            kept.id_token = id_token;
        }
        let known = claims(&kept.id_token).unwrap_or_default();
        match self.userinfo(worker, snapshot, tokens.access_token.as_deref(), &known).await {
            Ok(Some(told)) => kept.userinfo = Some(told),
            Ok(None) => {}
            // What was told before still holds, as far as anybody knows.
            Err(Unmet::Unavailable(why)) => tracing::debug!(reason = why, "claims not refreshed"),
            Err(denied) => return Err(denied),
        }
        self.keep(kept, tokens, worker.clock.wall() / 1000)
    }

    fn refreshed(self: &Arc<Self>, refreshed: Refreshed, session: &Session, asked: Asked) -> Proof {
        match refreshed {
            Refreshed::New(kept) => {
                let fields = self.set_session(&asked.jar, &kept, asked.now);
                match (fields, self.open((*kept).clone(), asked.now)) {
                    (Ok(mut fields), Some(session)) => {
                        fields.push(for_one_only());
                        Proof::ProvedWith(session.identity, fields)
                    }
                    (Err(why), _) => refused(Code::AuthenticationUnavailable, why),
                    (_, None) => refused(Code::AuthenticationUnavailable, "the new session does not open"),
                }
            }
            Refreshed::Denied => self.nobody(asked),
            Refreshed::Unavailable(why) => {
                if session.kept.access_until.is_some_and(|until| asked.now >= until) {
                    return refused(Code::AuthenticationUnavailable, why);
                }
                // What there is holds a little longer; that it was used is written down as ever.
                let mut fields = Vec::new();
                if self.is_news(session, asked.now) {
                    fields.push(for_one_only());
                    self.set_seen(&asked.jar, &session.kept, asked.now, &mut fields);
                }
                Proof::ProvedWith(session.identity.clone(), fields)
            }
        }
    }
}
