//! What the gateway asks the provider: tokens for a code or for a refresh token, and whether an id_token is its own.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use serde_json::Value;

use super::{Oidc, push_form, session::random_text};
use crate::base64;
use crate::claims::{Claim, Claims};
use crate::head::Head;
use crate::jose::{Found, Refused, Token, parse_object};
use crate::key_sets::Wish;
use crate::pipeline::Context;
use crate::plan;
use crate::problem::Problem;
use crate::provider::split_url;
use crate::respond::Code;
use crate::signing::SigningKey;
use crate::snapshot::Pinned;
use crate::upstream::fetch::{Errand, Fetched, fetch};
use crate::worker::Worker;

/// Longest answer of the provider.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// How long an assertion of the client holds; seconds.
const ASSERTION_SECONDS: u64 = 60;

/// Why there are no tokens; the words are for the log, and none of them is a token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unmet {
    /// The provider says no to this user.
    Denied(String),
    /// It cannot be told at present.
    Unavailable(String),
}

/// What the gateway shows the provider.
pub(super) enum Client {
    None,
    /// `Authorization`, ready.
    Basic(Box<[u8]>),
    Post(Box<str>),
    Key(Box<SigningKey>),
}

/// Where the provider is asked.
pub(super) struct Endpoint {
    /// What it is for; for the log.
    name: &'static str,
    pub(super) service: usize,
    pub(super) host: Box<[u8]>,
    plan: plan::OidcEndpoint,
}

impl Endpoint {
    pub(super) fn compile(
        plan: &plan::OidcEndpoint,
        name: &'static str,
        context: &Context<'_>,
    ) -> Result<Self, Problem> {
        let Some((service, known)) = context.services.get(plan.service.as_str()) else {
            let message = format!("no service is named `{}`", plan.service);
            return Err(Problem::new("service", "config.unknown_name", message));
        };
        Ok(Self { name, service: *service, host: known.plan.host.as_bytes().into(), plan: plan.clone() })
    }

    /// Path and query; `discovered` is the URL that the provider has told of.
    pub(super) fn target(&self, discovered: Option<Box<str>>) -> Result<String, Unmet> {
        if let Some(path) = &self.plan.path {
            return Ok(path.clone());
        }
        let name = self.name;
        let unknown = || Unmet::Unavailable(format!("the provider has not said where its {name} endpoint is"));
        let (origin, path) = discovered.as_deref().and_then(split_url).ok_or_else(unknown)?;
        match &self.plan.origin {
            Some(known) if !known.eq_ignore_ascii_case(origin) => {
                Err(Unmet::Unavailable(format!("the {name} endpoint is at {origin}; the document must name it")))
            }
            _ => Ok(path.to_owned()),
        }
    }
}

/// Tokens as the provider gave them.
pub(super) struct Tokens {
    pub(super) id_token: Option<String>,
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// Seconds.
    pub(super) expires_in: Option<u64>,
}

impl Client {
    pub(super) fn compile(plan: &plan::Oidc) -> Result<Self, Problem> {
        Ok(match &plan.client {
            plan::OidcClient::None => Self::None,
            plan::OidcClient::Basic(secret) => {
                // RFC 6749 section 2.3.1: both are form-encoded before they are put together.
                let mut pair = Vec::new();
                push_form(&mut pair, &plan.client_id);
                pair.push(b':');
                push_form(&mut pair, secret);
                let mut value = b"Basic ".to_vec();
                base64::push_plain(&mut value, &pair);
                Self::Basic(value.into())
            }
            plan::OidcClient::Post(secret) => Self::Post((**secret).into()),
            plan::OidcClient::Key(pem) => {
                let key = SigningKey::from_pem(pem, 0, u64::MAX);
                Self::Key(Box::new(key.map_err(|message| Problem::new("client_key", "config.bad_pem", message))?))
            }
        })
    }
}

impl Oidc {
    pub(super) fn authorization_endpoint(&self) -> Option<String> {
        let discovered = || self.keys.provider()?.authorization_endpoint.as_deref().map(str::to_owned);
        self.options.authorization_endpoint.clone().or_else(discovered)
    }

    pub(super) fn end_session_endpoint(&self) -> Option<String> {
        let discovered = || self.keys.provider()?.end_session_endpoint.as_deref().map(str::to_owned);
        let endpoint = self.options.end_session_endpoint.clone().or_else(discovered);
        endpoint.filter(|url| !url.is_empty())
    }

    /// The provider says who it is in every answer (RFC 9207).
    pub(super) fn provider_names_itself(&self) -> bool {
        self.keys.provider().is_some_and(|provider| provider.names_itself)
    }

    /// Waits for the fetch that brings keys and endpoints, if one may be made.
    pub(super) async fn provider_described(&self, worker: &Rc<Worker>) {
        let Wish::Wait(mut waiting) = self.keys.wish(worker.now()) else { return };
        let alarm = worker.wheel.alarm();
        alarm.set(worker.now().saturating_add(self.options.timeout_ms));
        let mut ended = std::pin::pin!(waiting.ended());
        poll_fn(|cx| if ended.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { alarm.poll(cx) }).await;
    }

    /// Asks the token endpoint (RFC 6749 sections 4.1.3 and 6); `form` is what the grant adds.
    pub(super) async fn ask_tokens(
        &self,
        worker: &Rc<Worker>,
        snapshot: &Pinned,
        form: &[(&str, &str)],
    ) -> Result<Tokens, Unmet> {
        if self.options.token_endpoint.path.is_none() && self.keys.provider().is_none() {
            self.provider_described(worker).await;
        }
        let target = self.tokens.target(self.keys.provider().and_then(|provider| provider.token_endpoint.clone()))?;
        let mut head = Head::default();
        head.add(b"content-type", b"application/x-www-form-urlencoded");
        head.add(b"accept", b"application/json");
        let mut body = Vec::new();
        form.iter().for_each(|(name, value)| push_pair(&mut body, name, value));
        self.show_client(worker, &mut head, &mut body);
        let errand = Errand {
            service: self.tokens.service,
            method: b"POST",
            target: target.as_bytes(),
            host: &self.tokens.host,
            head,
            body: body.into(),
            deadline: worker.now().saturating_add(self.options.timeout_ms),
            most_bytes: MOST_BYTES,
        };
        match fetch(worker, snapshot, errand).await {
            Ok(Fetched { status: 200, body, .. }) => read_tokens(&body),
            Ok(Fetched { status, body, .. }) => Err(refusal(status, &body)),
            Err(failure) => Err(Unmet::Unavailable(failure.to_string())),
        }
    }

    fn show_client(&self, worker: &Rc<Worker>, head: &mut Head, body: &mut Vec<u8>) {
        let id = &self.options.client_id;
        match &self.client {
            Client::Basic(value) => return head.add(b"authorization", value),
            Client::None => {}
            Client::Post(secret) => push_pair(body, "client_secret", secret),
            Client::Key(key) => {
                // OpenID Connect Core 1.0 section 9, RFC 7523 section 3; the issuer is the audience as in RFC 9700.
                let now = worker.clock.wall() / 1000;
                let claims = serde_json::json!({
                    "iss": id, "sub": id, "aud": self.options.issuer, "jti": random_text(),
                    "iat": now, "exp": now + ASSERTION_SECONDS,
                });
                let mut token = Vec::new();
                key.write_token(claims.to_string().as_bytes(), &mut token);
                push_pair(body, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                push_pair(body, "client_assertion", &String::from_utf8_lossy(&token));
            }
        }
        push_pair(body, "client_id", id);
    }

    /// Checks an id_token (OpenID Connect Core 1.0 section 3.1.3.7), with newer keys if that may help.
    pub(super) async fn verify(&self, worker: &Rc<Worker>, text: &str) -> Result<Claims, Unmet> {
        match self.verify_now(worker, text) {
            Err(Unmet::Unavailable(_)) => {}
            outcome => return outcome,
        }
        self.provider_described(worker).await;
        self.verify_now(worker, text).map_err(|unmet| match unmet {
            // There are keys, and none of them has signed it.
            Unmet::Unavailable(why) if self.keys.generation(worker.now()).is_some() => Unmet::Denied(why),
            unmet => unmet,
        })
    }

    fn verify_now(&self, worker: &Rc<Worker>, text: &str) -> Result<Claims, Unmet> {
        let denied = |refused: Refused| Unmet::Denied(format!("id_token: {}", refused.reason()));
        let token = Token::parse(text.as_bytes()).map_err(denied)?;
        if !self.algorithms.contains(&token.header.algorithm) {
            return Err(denied(Refused::AlgorithmNotAllowed));
        }
        let Some((ring, _)) = self.keys.ring(worker.now()) else {
            return Err(Unmet::Unavailable("there are no keys of the provider".into()));
        };
        match ring.verify(&token) {
            Found::Verified(_) => {}
            Found::Forged => return Err(denied(Refused::BadSignature)),
            Found::Unknown { .. } => return Err(Unmet::Unavailable("id_token: no key fits it".into())),
        }
        self.expectations.check(&token.header, &token.claims, worker.clock.wall()).map_err(denied)?;
        let azp = token.claims.get("azp");
        let several = token.claims.get("aud").and_then(Claim::as_list).is_some_and(|list| list.iter().count() > 1);
        if (several && azp.is_none()) || azp.is_some_and(|azp| azp.as_str() != Some(&self.options.client_id)) {
            return Err(Unmet::Denied("id_token: it is for another party".into()));
        }
        Ok(token.claims)
    }
}

impl Unmet {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Denied(_) => Code::InvalidCredentials,
            Self::Unavailable(_) => Code::AuthenticationUnavailable,
        }
    }

    pub(super) fn why(&self) -> &str {
        let (Self::Denied(why) | Self::Unavailable(why)) = self;
        why
    }
}

fn push_pair(body: &mut Vec<u8>, name: &str, value: &str) {
    if !body.is_empty() {
        body.push(b'&');
    }
    push_form(body, name);
    body.push(b'=');
    push_form(body, value);
}

fn read_tokens(body: &[u8]) -> Result<Tokens, Unmet> {
    let mut answer =
        parse_object(body).map_err(|_| Unmet::Unavailable("the provider's answer is no JSON object".into()))?;
    let expires_in = answer.get("expires_in").and_then(seconds);
    let mut text = |name: &str| match answer.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let [id_token, access_token, refresh_token] = ["id_token", "access_token", "refresh_token"].map(&mut text);
    Ok(Tokens { id_token, access_token, refresh_token, expires_in })
}

/// Some providers write the number as text.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// What an error of the provider means (RFC 6749 section 5.2): that this user is refused, or that something else is wrong.
fn refusal(status: u16, body: &[u8]) -> Unmet {
    let answer = parse_object(body).unwrap_or_default();
    let error = error_word(answer.get("error").and_then(Value::as_str).unwrap_or_default().as_bytes());
    let said = format!("the provider answered {status} {error}");
    let ours = matches!(&*error, "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope")
        || matches!(&*error, "temporarily_unavailable" | "server_error");
    if status == 400 && !error.is_empty() && !ours { Unmet::Denied(said) } else { Unmet::Unavailable(said) }
}

/// An error code fit for the log, whatever was sent.
pub(super) fn error_word(text: &[u8]) -> String {
    let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    text.iter().filter(plain).take(48).copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_about_the_user_or_about_us() {
        for (status, body, denied) in [
            (400, r#"{"error":"invalid_grant"}"#, true),
            (400, r#"{"error":"access_denied"}"#, true),
            (400, r#"{"error":"invalid_client"}"#, false),
            (401, r#"{"error":"invalid_client"}"#, false),
            (400, "<html>", false),
            (500, r#"{"error":"invalid_grant"}"#, false),
            (503, "", false),
        ] {
            assert_eq!(matches!(refusal(status, body.as_bytes()), Unmet::Denied(_)), denied, "{status} {body}");
        }
        assert_eq!(error_word(b"bad\r\nx-a: 1"), "badxa1");
    }
}
