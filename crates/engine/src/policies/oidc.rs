//! Logs users in at an OpenID provider and keeps their sessions in cookies, for browsers.
//!
//! The authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700). A session is nothing but its
//! cookies: any gateway with the secret takes it, and no gateway keeps it. What is kept is what makes it cheap: sessions that
//! were opened, a worker; and for a minute what came of a refresh, over all workers, so that of many requests with an old
//! cookie one refreshes.

mod callback;
mod cookies;
mod provider;
mod redirects;
mod refresh;
mod seal;
mod session;
mod userinfo;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_http1::is_field_value;

use crate::claims::Claim;
use crate::exchange::{Exchange, Method, Request};
use crate::identity::{Consumers, Identity, Line};
use crate::jose::{Algorithm, Expectations};
use crate::key_sets::KeySet;
use crate::path::{is_unreserved, push_escaped};
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::claims_to_headers::ClaimsToHeaders;
use crate::policies::csrf::Csrf;
use crate::policies::presented::{self, Presented};
use crate::policies::verdicts::Verdicts;
use crate::problem::Problem;
use crate::respond::Code;
use crate::snapshot::Pinned;
use cookies::Jar;
use provider::{Client, Endpoint};
pub use refresh::Refreshed;
use seal::Sealer;
pub use session::OpenSessions;
use session::{Kept, Seen, Session};

/// How long a user may take at the provider; seconds.
const LOGIN_SECONDS: u64 = 600;
/// The last use of a session is written down at most this often; seconds.
const MOST_SECONDS_UNSEEN: u64 = 60;
/// A longer place to come back to is forgotten, so that the cookie of a login stays one.
const LONGEST_TARGET: usize = 2048;
/// Sessions whose refresh is remembered.
const MOST_REFRESHED: usize = 4096;

/// Tells what one policy has opened from what others have.
static POLICIES: AtomicU64 = AtomicU64::new(0);

pub struct Oidc {
    id: u64,
    options: plan::Oidc,
    client: Client,
    tokens: Endpoint,
    userinfo: Option<Endpoint>,
    sealer: Sealer,
    algorithms: Box<[Algorithm]>,
    expectations: Expectations,
    keys: Arc<KeySet>,
    secure: Jar,
    plain: Jar,
    csrf: Csrf,
    claims_to_headers: ClaimsToHeaders,
    consumers: Arc<Consumers>,
    refreshed: Arc<Verdicts<Refreshed>>,
}

/// What is known of a request once it is out of sight.
struct Asked {
    snapshot: Pinned,
    jar: Jar,
    /// A browser that would follow a redirect to a login.
    navigates: bool,
    /// Where to come back to.
    target: String,
    redirect_uri: String,
    /// Seconds since the Unix epoch.
    now: u64,
}

impl Oidc {
    pub fn compile(plan: &plan::Oidc, context: &Context<'_>) -> Result<Self, Problem> {
        let algorithm = |name: &String| {
            let unknown = || Problem::new("algorithms", "config.bad_value", format!("there is no algorithm `{name}`"));
            Algorithm::named(name).ok_or_else(unknown)
        };
        let parts = [plan.issuer.as_str(), &plan.client_id, &plan.cookie];
        let csrf = plan::Csrf { trusted_origins: plan.trusted_origins.clone(), token: None };
        Ok(Self {
            id: POLICIES.fetch_add(1, Ordering::Relaxed),
            client: Client::compile(plan)?,
            tokens: Endpoint::compile(&plan.token_endpoint, "token", context)?,
            userinfo: plan
                .userinfo_endpoint
                .as_ref()
                .map(|endpoint| Endpoint::compile(endpoint, "userinfo", context))
                .transpose()?,
            sealer: Sealer::new(plan.secrets.iter().map(|secret| &**secret), &parts),
            algorithms: plan.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?,
            expectations: Expectations {
                issuer: Some(plan.issuer.as_str().into()),
                audiences: [plan.client_id.as_str().into()].into(),
                required: ["sub".into()].into(),
                leeway_ms: plan.leeway_ms,
                requires_expiry: true,
                ..Expectations::default()
            },
            keys: context.state.key_sets.of(&plan.keys),
            secure: Jar::new(&plan.cookie, true),
            plain: Jar::new(&plan.cookie, false),
            csrf: Csrf::compile(&csrf),
            claims_to_headers: ClaimsToHeaders::compile(&plan.claims_to_headers),
            consumers: context.consumers.clone(),
            refreshed: context.state.oidc.of(plan, || Verdicts::new(MOST_REFRESHED)),
            options: plan.clone(),
        })
    }

    pub fn check(self: &Arc<Self>, local: &Local, exchange: &Exchange) -> Proof {
        let now = local.epoch_millis(exchange.started_micros) / 1000;
        let path = exchange.request.path.as_slice();
        if path == self.options.callback_path.as_bytes() {
            return self.callback(exchange, now);
        }
        if path == self.options.login_path.as_bytes() {
            let target = match presented::in_query(&exchange.request, "return_to") {
                Presented::One(text) => safe_target(&text),
                _ => None,
            };
            return self.log_in(Asked { target: self.way_back(target), ..self.asked(exchange, now) });
        }
        if path == self.options.logout_path.as_bytes() {
            return self.log_out(local, exchange);
        }
        let Some(session) = self.session(local, exchange).filter(|session| self.holds(session, now)) else {
            return self.nobody(self.asked(exchange, now));
        };
        if let Some(fault) = self.csrf.forgery(exchange) {
            return refused(Code::CsrfFailed, fault);
        }
        if session.kept.refresh_token.is_some() && session.kept.renew_from.is_some_and(|from| now >= from) {
            return self.refresh(session, self.asked(exchange, now));
        }
        if self.options.forward_access_token && session.kept.access_until.is_some_and(|until| now >= until) {
            return self.nobody(self.asked(exchange, now));
        }
        self.admit(&session, exchange, now)
    }

    pub fn strip(&self, request: &mut Request) {
        cookies::strip(request, &self.options.cookie);
        if self.options.forward_access_token {
            request.head.remove(b"authorization");
        }
    }

    /// There is no scheme for sessions in cookies; a 401 must have a challenge all the same (RFC 9110 section 15.5.2).
    pub fn challenge(&self) -> Option<Box<[u8]>> {
        Some(b"Cookie".as_slice().into())
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        self.claims_to_headers.own(names);
    }

    // ---- who is there

    fn jar(&self, exchange: &Exchange) -> &Jar {
        let plain = self.options.insecure_cookies && !exchange.secure && exchange.connection.local.ip().is_loopback();
        if plain { &self.plain } else { &self.secure }
    }

    /// The session that a request shows; whether it still holds is another question.
    fn session(&self, local: &Local, exchange: &Exchange) -> Option<Arc<Session>> {
        let (jar, head) = (self.jar(exchange), &exchange.request.head);
        let sealed = jar.session(head)?;
        let seen = jar.seen(head).unwrap_or_default();
        let key = [&self.id.to_le_bytes(), &*sealed, b";", seen].concat();
        let mut sessions = local.sessions.borrow_mut();
        if let Some(session) = sessions.get(&key) {
            return Some(session);
        }
        let kept: Kept = self.opened("session", &sealed)?;
        let seen = self.opened::<Seen>("seen", seen).filter(|seen| seen.id == kept.id).map_or(0, |seen| seen.at);
        let session = Arc::new(self.open(kept, seen)?);
        // What stands beside a good session may be anything, as long as a head may be, and each is another key.
        if seen > 0 {
            sessions.insert(key.into(), session.clone());
        }
        Some(session)
    }

    fn opened<T: serde::de::DeserializeOwned>(&self, kind: &str, text: &[u8]) -> Option<T> {
        if text.len() > cookies::MOST_BYTES {
            return None;
        }
        serde_json::from_slice(&self.sealer.open(kind, text)?).ok()
    }

    fn sealed<T: serde::Serialize>(&self, kind: &str, value: &T) -> String {
        let text = serde_json::to_vec(value).expect("these are texts and numbers");
        self.sealer.seal(kind, &text)
    }

    fn open(&self, kept: Kept, seen: u64) -> Option<Session> {
        let mut identity = Identity {
            method: "oidc",
            claims: session::all_claims(&kept)?,
            expires: Some(self.ends(&kept)),
            ..Identity::default()
        };
        let text = |path: &[String]| identity.claim(path).and_then(Claim::as_str);
        let consumer = self.options.consumer_claim.as_deref().and_then(text);
        let consumer = consumer.and_then(|name| self.consumers.by_name(name)).cloned();
        let mut lines = self.claims_to_headers.lines(&identity);
        if let Some(token) = kept.access_token.as_ref().filter(|_| self.options.forward_access_token) {
            let value = format!("Bearer {token}");
            if is_field_value(value.as_bytes()) {
                lines.push(b"authorization", value.as_bytes());
            }
        }
        (identity.consumer, identity.lines) = (consumer, lines);
        identity.take_subject(&self.options.subject_claim);
        Some(Session { kept, seen, identity: Arc::new(identity) })
    }

    fn ends(&self, kept: &Kept) -> u64 {
        kept.began.saturating_add(self.options.lifetime_ms / 1000)
    }

    fn holds(&self, session: &Session, now: u64) -> bool {
        let has_token = !self.options.forward_access_token || session.kept.access_token.is_some();
        let has_userinfo = self.userinfo.is_none() || session.kept.userinfo.is_some();
        has_token
            && has_userinfo
            && now < self.ends(&session.kept)
            && now < session.seen.saturating_add(self.options.idle_ms / 1000)
    }

    /// Lets a session on, and now and then writes down that it was used.
    fn admit(&self, session: &Session, exchange: &Exchange, now: u64) -> Proof {
        match self.is_news(session, now) {
            false => Proof::Proved(session.identity.clone()),
            true => {
                let mut fields = vec![presented::for_one_only()];
                self.set_seen(self.jar(exchange), &session.kept, now, &mut fields);
                Proof::ProvedWith(session.identity.clone(), fields)
            }
        }
    }

    fn is_news(&self, session: &Session, now: u64) -> bool {
        let pause = (self.options.idle_ms / 1000 / 8).min(MOST_SECONDS_UNSEEN);
        now >= session.seen.saturating_add(pause)
    }

    fn set_seen(&self, jar: &Jar, kept: &Kept, now: u64, fields: &mut Vec<Line>) {
        // A cookie of its own: one that had the tokens as well, on an answer that is late, would put old tokens over new ones.
        let seen = self.sealed("seen", &Seen { id: kept.id.clone(), at: now });
        jar.set_seen(&seen, self.ends(kept).saturating_sub(now), fields);
    }

    /// What makes a browser keep a session.
    fn set_session(&self, jar: &Jar, kept: &Kept, now: u64) -> Result<Vec<Line>, String> {
        let sealed = self.sealed("session", kept);
        if sealed.len() > cookies::MOST_BYTES {
            return Err(format!("the session takes {} bytes; cookies hold {}", sealed.len(), cookies::MOST_BYTES));
        }
        let mut fields = Vec::new();
        jar.set_session(&sealed, self.ends(kept).saturating_sub(now), &mut fields);
        self.set_seen(jar, kept, now, &mut fields);
        Ok(fields)
    }

    // ---- nobody is there

    fn asked(&self, exchange: &Exchange, now: u64) -> Asked {
        let request = &exchange.request;
        let mut target = request.path.clone();
        if let Some(query) = request.query() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        Asked {
            snapshot: exchange.snapshot.clone(),
            jar: self.jar(exchange).answering(&request.head),
            navigates: navigates(request),
            target: self.way_back(safe_target(&target)),
            redirect_uri: format!("{}{}", self.origin(exchange), self.options.callback_path),
            now,
        }
    }

    /// The gateway's own pages are no place to come back to.
    fn way_back(&self, target: Option<String>) -> String {
        let options = &self.options;
        let is_own = |path: &str| {
            [&options.callback_path, &options.login_path, &options.logout_path].iter().any(|own| *own == path)
        };
        let target = target.filter(|target| !is_own(target.split('?').next().unwrap_or_default()));
        target.unwrap_or_else(|| options.after_logout.clone())
    }

    /// Scheme, host and port as the browser knows them.
    fn origin(&self, exchange: &Exchange) -> String {
        match &self.options.public_url {
            Some(url) => url.clone(),
            None => {
                let scheme = if exchange.secure { "https" } else { "http" };
                format!("{scheme}://{}", String::from_utf8_lossy(exchange.host_as_sent()))
            }
        }
    }

    fn nobody(self: &Arc<Self>, asked: Asked) -> Proof {
        if asked.navigates && !self.options.optional { self.log_in(asked) } else { Proof::Missing }
    }
}

fn refused(code: Code, detail: impl std::fmt::Display) -> Proof {
    let challenge = (code.status() == 401).then(|| b"Cookie".as_slice().into());
    Proof::Refused(Refusal { code, challenge, detail: Some(format!("oidc: {detail}").into()) })
}

/// Whether a browser shows the answer to its user (<https://www.w3.org/TR/fetch-metadata/>).
fn navigates(request: &Request) -> bool {
    match request.head.get(b"sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => {
            let html = |value: &[u8]| value.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"));
            request.method == Method::Get && request.head.get_all(b"accept").any(html)
        }
    }
}

/// A path of this origin, as browsers understand it; what they could take for another host is none.
fn safe_target(text: &[u8]) -> Option<String> {
    let plain = text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    let good = plain && text.first() == Some(&b'/') && text.get(1) != Some(&b'/') && text.len() <= LONGEST_TARGET;
    good.then(|| String::from_utf8_lossy(text).into_owned())
}

/// `application/x-www-form-urlencoded`, with `%20` for a blank, which every decoder takes.
fn push_form(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if is_unreserved(byte) { out.push(byte) } else { push_escaped(out, byte) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_origin_are_places_to_come_back_to() {
        for good in ["/", "/a/b?c=d&e=//x", "/a:b@c", "/%2Fevil.example", "/.//evil.example"] {
            assert_eq!(safe_target(good.as_bytes()).as_deref(), Some(good));
        }
        let long = format!("/{}", "a".repeat(LONGEST_TARGET));
        for bad in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:x",
            "/a\r\nx: y",
            "/\t/evil.example",
            "/a b",
            "/é",
            " /a",
            "/a\0",
            &long,
        ] {
            assert_eq!(safe_target(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
