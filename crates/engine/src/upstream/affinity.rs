//! What a request says about the target it goes to: a key, or the cookie that the gateway gave its client.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use base64ct::{Base64UrlUnpadded, Encoding};

use crate::base64;
use crate::exchange::Exchange;
use crate::plan::{self, Balance, Reference, SameSite};
use crate::problem::Problem;
use crate::template::{Destination, Template};
use crate::upstream::balance::hash;
use crate::upstream::service::Service;

/// Bytes of a target's seal.
const SEAL_BYTES: usize = 16;

/// How requests find back to a target.
pub enum Affinity {
    None,
    /// Requests of the same key go to the same target.
    Key(Template),
    Cookie(Sticky),
}

/// A cookie that names the target of the first answer.
pub struct Sticky {
    pub seals: Arc<Seals>,
    name: Box<str>,
    cookie: Template,
    /// Follows the value.
    attributes: Box<str>,
    secure: Option<bool>,
}

/// Makes names of targets that give nothing away: a keyed hash, which cannot be guessed from addresses.
pub struct Seals {
    key: hmac::Key,
    service: Box<str>,
}

/// The key of this process, for services whose document has none.
#[derive(Default)]
pub struct OwnKey(OnceLock<[u8; 32]>);

impl OwnKey {
    fn get(&self) -> &[u8; 32] {
        self.0.get_or_init(|| {
            let mut key = [0; 32];
            getrandom::fill(&mut key).expect("a system without random bytes cannot do TLS either");
            key
        })
    }
}

impl Affinity {
    /// Problems have a path relative to the service.
    pub fn compile(plan: &Balance, service: &str, own: &OwnKey) -> Result<Self, Problem> {
        let template = |parts: &plan::Template, path| {
            Template::compile(parts, Destination::Body)
                .map_err(|message| Problem::new(path, "config.bad_reference", message))
        };
        Ok(match plan {
            Balance::ConsistentHash(plan) => Self::Key(template(&plan.key, "upstream.balance.key")?),
            Balance::StickyCookie(plan) => {
                let cookie = vec![plan::Part::Reference(Reference::Cookie(plan.name.clone()))];
                let key = plan.secret.as_ref().map_or(&own.get()[..], |secret| secret.as_bytes());
                Self::Cookie(Sticky {
                    seals: Arc::new(Seals { key: hmac::Key::new(hmac::HMAC_SHA256, key), service: service.into() }),
                    name: plan.name.as_str().into(),
                    cookie: template(&cookie, "upstream.balance.cookie")?,
                    attributes: attributes(plan).into(),
                    secure: plan.secure,
                })
            }
            _ => Self::None,
        })
    }

    /// What to pick by; `scratch` is for its use.
    pub fn of(&self, exchange: &Exchange, scratch: &mut Vec<u8>) -> Option<u64> {
        let (Self::Key(template) | Self::Cookie(Sticky { cookie: template, .. })) = self else { return None };
        scratch.clear();
        // A value that cannot be written is not there.
        template.render(exchange, scratch).ok().filter(|()| !scratch.is_empty())?;
        match self {
            Self::Cookie(_) => opened(scratch),
            _ => Some(hash(0, scratch)),
        }
    }

    /// Gives the client its cookie, unless it has the one of the target that answered. `wanted`: what was picked by.
    pub fn keep(&self, service: &Service, wanted: Option<u64>, exchange: &mut Exchange) {
        let Self::Cookie(sticky) = self else { return };
        let Some(target) = &exchange.notes.target else { return };
        if wanted.is_some_and(|wanted| service.targets.is_sealed_as(target.slot, wanted)) {
            return;
        }
        let value = base64::url(&sticky.seals.seal(&target.name));
        let secure = if sticky.secure.unwrap_or(exchange.secure) { "; Secure" } else { "" };
        let line = format!("{}={value}{}{secure}", sticky.name, sticky.attributes);
        exchange.answer_lines.push((b"set-cookie".as_slice().into(), line.into_bytes().into()));
    }
}

impl Seals {
    fn seal(&self, target: &str) -> [u8; SEAL_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(self.service.as_bytes());
        context.update(b"\0");
        context.update(target.as_bytes());
        let tag = context.sign();
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&tag.as_ref()[..SEAL_BYTES]);
        seal
    }

    /// What requests are picked by that bring the seal of this target.
    pub fn number(&self, target: &str) -> u64 {
        number(&self.seal(target))
    }
}

fn number(seal: &[u8; SEAL_BYTES]) -> u64 {
    let (first, _) = seal.split_at(8);
    first.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn opened(cookie: &[u8]) -> Option<u64> {
    let mut seal = [0; SEAL_BYTES];
    let decoded = Base64UrlUnpadded::decode(cookie, &mut seal).ok()?;
    (decoded.len() == SEAL_BYTES).then(|| number(&seal))
}

fn attributes(plan: &plan::StickyCookie) -> String {
    let mut attributes = format!("; Path={}", plan.path);
    if let Some(seconds) = plan.max_age_seconds {
        attributes.push_str(&format!("; Max-Age={seconds}"));
    }
    if plan.http_only {
        attributes.push_str("; HttpOnly");
    }
    attributes.push_str(match plan.same_site {
        SameSite::Lax => "; SameSite=Lax",
        SameSite::Strict => "; SameSite=Strict",
        SameSite::None => "; SameSite=None",
    });
    attributes
}
