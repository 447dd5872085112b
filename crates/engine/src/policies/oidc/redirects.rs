//! Sends browsers to the provider: to log in, and to log out.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::session::{Login, random_text};
use super::{Asked, LOGIN_SECONDS, Oidc, push_form, refused};
use crate::base64;
use crate::exchange::{Exchange, Method};
use crate::head::Head;
use crate::identity::Line;
use crate::pipeline::Reply;
use crate::policies::Local;
use crate::policies::authentication::Proof;
use crate::respond::Code;

/// A longer id_token is not sent through the browser again at logout.
const LONGEST_HINT: usize = 4096;

impl Oidc {
    pub(super) fn log_in(self: &Arc<Self>, asked: Asked) -> Proof {
        if let Some(endpoint) = self.authorization_endpoint() {
            return Proof::Answer(self.to_provider(&endpoint, asked));
        }
        let this = self.clone();
        Proof::Wait(Box::new(move |worker| {
            Box::pin(async move {
                this.provider_described(&worker).await;
                match this.authorization_endpoint() {
                    Some(endpoint) => Proof::Answer(this.to_provider(&endpoint, asked)),
                    None => refused(Code::AuthenticationUnavailable, "the provider has not said where users log in"),
                }
            })
        }))
    }

    /// Sends the browser to log in (OpenID Connect Core 1.0 section 3.1.2.1).
    fn to_provider(&self, endpoint: &str, asked: Asked) -> Box<Reply> {
        let Asked { jar, target, redirect_uri, now, .. } = asked;
        let (state, nonce, verifier) = (random_text(), random_text(), random_text());
        let challenge = base64::url(digest(&SHA256, verifier.as_bytes()).as_ref());
        let scope = self.options.scopes.join(" ");
        let mut location = endpoint.as_bytes().to_vec();
        let own = [
            ("response_type", "code"),
            ("client_id", &self.options.client_id),
            ("redirect_uri", &redirect_uri),
            ("scope", &scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        push_query(&mut location, own.into_iter());
        push_query(&mut location, self.options.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let login = Login { state, nonce, verifier, redirect_uri, target, began: now };
        let mut fields = Vec::new();
        jar.set_login(&login.state, &self.sealed("login", &login), LOGIN_SECONDS, &mut fields);
        redirect(302, location, fields)
    }

    pub(super) fn log_out(&self, local: &Local, exchange: &Exchange) -> Proof {
        let forged = match exchange.request.method {
            // A link or an image elsewhere sends a GET, a script a HEAD; what does not say where it is from may be such a one.
            Method::Get | Method::Head | Method::Options => {
                (!is_from_here(&exchange.request.head)).then_some("it is no POST, and does not come from our own page")
            }
            _ => self.csrf.forgery(exchange),
        };
        if let Some(fault) = forged {
            return refused(Code::CsrfFailed, fault);
        }
        let session = self.session(local, exchange);
        let end = self.end_session_endpoint().zip(session);
        let location = match end {
            None => self.options.after_logout.clone().into_bytes(),
            Some((endpoint, session)) => {
                let after = format!("{}{}", self.origin(exchange), self.options.after_logout);
                let mut location = endpoint.into_bytes();
                let hint = Some(&*session.kept.id_token).filter(|token| token.len() <= LONGEST_HINT);
                push_query(&mut location, hint.map(|token| ("id_token_hint", token)).into_iter());
                let rest = [("client_id", &*self.options.client_id), ("post_logout_redirect_uri", &after)];
                push_query(&mut location, rest.into_iter());
                location
            }
        };
        Proof::Answer(redirect(303, location, self.jar(exchange).clear(&exchange.request.head)))
    }
}

pub(super) fn redirect(status: u16, location: Vec<u8>, mut fields: Vec<Line>) -> Box<Reply> {
    fields.push((b"location".as_slice().into(), location.into()));
    fields.push((b"cache-control".as_slice().into(), b"no-store".as_slice().into()));
    Box::new(Reply { status, fields, ..Reply::default() })
}

fn is_from_here(head: &Head) -> bool {
    let mut sites = head.get_all(b"sec-fetch-site");
    matches!((sites.next(), sites.next()), (Some(b"same-origin" | b"none"), None))
}

/// Appends parameters to a URL that may have some.
fn push_query<'a>(url: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in pairs {
        url.push(if url.contains(&b'?') { b'&' } else { b'?' });
        push_form(url, name);
        url.push(b'=');
        push_form(url, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_appended_to_whatever_is_there() {
        for (url, expected) in
            [("https://a/b", "https://a/b?x=%26%20%0D&y=1"), ("https://a/b?c=d", "https://a/b?c=d&x=%26%20%0D&y=1")]
        {
            let mut out = url.as_bytes().to_vec();
            push_query(&mut out, [("x", "& \r"), ("y", "1")].into_iter());
            assert_eq!(out, expected.as_bytes());
        }
    }
}
