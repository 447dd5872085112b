//! The way back from the provider: a code becomes a session.

use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::provider::{Tokens, Unmet, error_word};
use super::redirects::redirect;
use super::session::{Kept, Login, random_text};
use super::{Asked, LOGIN_SECONDS, Oidc, refused};
use crate::claims::{Claim, Claims};
use crate::exchange::{Exchange, Method};
use crate::policies::authentication::Proof;
use crate::policies::presented::{self, Presented};
use crate::respond::Code;
use crate::worker::Worker;

impl Oidc {
    pub(super) fn callback(self: &Arc<Self>, exchange: &Exchange, now: u64) -> Proof {
        let (login, code) = match self.answer(exchange, now) {
            Ok(answer) => answer,
            Err((code, why)) => return refused(code, why),
        };
        let (this, asked) = (self.clone(), self.asked(exchange, now));
        Proof::Wait(Box::new(move |worker| {
            Box::pin(async move {
                match this.begin_session(&worker, &asked, &login, &code).await {
                    Ok(kept) => this.welcome(&asked, &login, &kept),
                    Err(unmet) => refused(unmet.code(), unmet.why()),
                }
            })
        }))
    }

    /// What the provider's answer says (OpenID Connect Core 1.0 section 3.1.2.5), if it answers a login of this browser.
    fn answer(&self, exchange: &Exchange, now: u64) -> Result<(Login, String), (Code, String)> {
        if exchange.request.method != Method::Get {
            return Err((Code::CsrfFailed, "the provider's answer is no GET".into()));
        }
        let parameter = |name: &str| match presented::in_query(&exchange.request, name) {
            Presented::Nothing => Ok(None),
            Presented::One(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            Presented::Several => Err((Code::InvalidCredentials, format!("`{name}` comes twice"))),
        };
        let login = parameter("state")?.and_then(|state| self.login(exchange, &state));
        let login = login.filter(|login| now < login.began.saturating_add(LOGIN_SECONDS));
        let unknown = || (Code::CsrfFailed, "no login with this state was begun by this browser".to_owned());
        let login = login.ok_or_else(unknown)?;
        // RFC 9207 section 2.4: an answer that another provider was made to give.
        match parameter("iss")? {
            Some(issuer) if issuer == self.options.issuer => {}
            None if !self.provider_names_itself() => {}
            _ => return Err((Code::InvalidCredentials, "the answer is not of this provider".into())),
        }
        if let Some(error) = parameter("error")? {
            return Err((Code::InvalidCredentials, format!("the provider says `{}`", error_word(error.as_bytes()))));
        }
        let missing = || (Code::InvalidCredentials, "the answer has no code".to_owned());
        Ok((login, parameter("code")?.ok_or_else(missing)?))
    }

    fn login(&self, exchange: &Exchange, state: &str) -> Option<Login> {
        let sealed = self.jar(exchange).login(&exchange.request.head, state)?;
        let login: Login = self.opened("login", sealed)?;
        verify_slices_are_equal(login.state.as_bytes(), state.as_bytes()).ok()?;
        Some(login)
    }

    async fn begin_session(
        &self,
        worker: &Rc<Worker>,
        asked: &Asked,
        login: &Login,
        code: &str,
    ) -> Result<Kept, Unmet> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &login.redirect_uri),
            ("code_verifier", &login.verifier),
        ];
        let tokens = self.ask_tokens(worker, &asked.snapshot, &form).await?;
        let Some(id_token) = tokens.id_token.clone() else {
            return Err(Unmet::Unavailable("the provider's answer has no id_token".into()));
        };
        let claims = self.verify(worker, &id_token).await?;
        if !is_nonce(&claims, &login.nonce) {
            return Err(Unmet::Denied("id_token: it is of another login".into()));
        }
        let kept = Kept {
            id: random_text(),
            began: asked.now,
            id_token,
            access_token: None,
            refresh_token: None,
            access_until: None,
            renew_from: None,
            userinfo: self.userinfo(worker, &asked.snapshot, tokens.access_token.as_deref(), &claims).await?,
        };
        self.keep(kept, tokens, asked.now)
    }

    /// A session with new tokens; what the provider did not give anew stays as it was.
    pub(super) fn keep(&self, kept: Kept, tokens: Tokens, now: u64) -> Result<Kept, Unmet> {
        // A route that does not forward it takes it from no route that does.
        let wanted = self.options.forward_access_token || kept.access_token.is_some();
        let access_token = tokens.access_token.filter(|_| wanted);
        if self.options.forward_access_token && access_token.is_none() {
            return Err(Unmet::Unavailable("the provider's answer has no access_token".into()));
        }
        Ok(Kept {
            access_token,
            refresh_token: tokens.refresh_token.or(kept.refresh_token),
            access_until: tokens.expires_in.map(|seconds| now.saturating_add(seconds)),
            renew_from: tokens.expires_in.map(|seconds| {
                // Not in its first half: of tokens that live shortly, every request would fetch a new one.
                let before = self.options.refresh_before_ms / 1000;
                now.saturating_add(seconds.saturating_sub(before).max(seconds.div_ceil(2)))
            }),
            ..kept
        })
    }

    fn welcome(&self, asked: &Asked, login: &Login, kept: &Kept) -> Proof {
        match self.set_session(&asked.jar, kept, asked.now) {
            Ok(mut fields) => {
                asked.jar.clear_login(&login.state, &mut fields);
                Proof::Answer(redirect(302, login.target.clone().into_bytes(), fields))
            }
            Err(why) => refused(Code::AuthenticationUnavailable, why),
        }
    }
}

fn is_nonce(claims: &Claims, nonce: &str) -> bool {
    let shown = claims.get("nonce").and_then(Claim::as_str).unwrap_or_default();
    verify_slices_are_equal(shown.as_bytes(), nonce.as_bytes()).is_ok()
}
