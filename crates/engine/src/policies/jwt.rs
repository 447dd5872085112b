//! Takes requests with a signed token, and tells the service who calls.
//!
//! A token is verified once a worker and then remembered, with the header lines that come of it, until it expires or its key is
//! gone. What is wrong with one is said in the log, in words that never quote it; the client learns only that it is.

mod issuers;
mod kept;
mod remembered;
mod texts;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use crate::claims::Claim;
use crate::clock::Millis;
use crate::exchange::{Exchange, Request};
use crate::identity::{Consumers, Identity};
use crate::jose::{Refused, Token};
use crate::key_sets::{KeySet, Wish};
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::claims_to_headers::ClaimsToHeaders;
use crate::policies::presented::Presented;
use crate::policies::token_places::{self, TokenPlaces};
use crate::problem::Problem;
use crate::respond::Code;
use crate::worker::Worker;
use issuers::{Issuer, Unverified, Verified};
pub use remembered::RememberedTokens;
use remembered::{Place, Remembered};

/// Tells what one policy remembers from what others do.
static POLICIES: AtomicU64 = AtomicU64::new(0);

pub struct Jwt {
    id: u64,
    issuers: Box<[Issuer]>,
    places: TokenPlaces,
    max_token_bytes: usize,
    forward_token: bool,
    claims_to_headers: ClaimsToHeaders,
    subject: Box<[String]>,
    consumer: Option<Box<[String]>>,
    consumers: Arc<Consumers>,
    realm: Box<str>,
}

/// One moment on both of the clocks.
#[derive(Clone, Copy)]
struct Moment {
    /// Milliseconds since the Unix epoch, which is what tokens speak of.
    wall: u64,
    now: Millis,
}

impl Jwt {
    pub fn compile(plan: &plan::Jwt, context: &Context<'_>) -> Result<Self, Problem> {
        let issuer = |(index, issuer): (usize, &plan::TokenIssuer)| {
            Issuer::compile(issuer, &context.state.key_sets)
                .map_err(|problem| Problem { path: format!("issuers[{index}].{}", problem.path), ..problem })
        };
        Ok(Self {
            id: POLICIES.fetch_add(1, Ordering::Relaxed),
            issuers: plan.issuers.iter().enumerate().map(issuer).collect::<Result<_, _>>()?,
            places: TokenPlaces::new(&plan.token),
            max_token_bytes: plan.max_token_bytes,
            forward_token: plan.forward_token,
            claims_to_headers: ClaimsToHeaders::compile(&plan.claims_to_headers),
            subject: plan.subject_claim.clone().into(),
            consumer: plan.consumer_claim.clone().map(Into::into),
            consumers: context.consumers.clone(),
            realm: plan.realm.as_str().into(),
        })
    }

    pub fn check(self: &Arc<Self>, local: &Local, exchange: &Exchange) -> Proof {
        let token = match self.places.presented(&exchange.request) {
            Presented::Nothing => return Proof::Missing,
            Presented::Several => return self.refuse_as(Code::InvalidToken, "the token is given more than once"),
            Presented::One(token) => token,
        };
        let token = &*token;
        let started = exchange.started_micros;
        let moment = Moment { wall: local.epoch_millis(started), now: started / 1000 };
        let place = local.tokens.borrow().place(self.id, token);
        if let Some(identity) = self.remembered(local, place, token, moment) {
            return Proof::Proved(identity);
        }
        match self.verify(local, place, token, moment) {
            Ok(identity) => Proof::Proved(identity),
            Err(Unverified::Refused(refused)) => self.refuse(refused),
            Err(Unverified::PerhapsLater { set, refused }) if set.is_cooling_down(moment.now) => {
                self.refuse_for_want_of_keys(&set, refused, moment)
            }
            Err(Unverified::PerhapsLater { set, refused }) => self.wait(set, refused, token.into()),
        }
    }

    /// Takes the token out, unless the service is to see it.
    pub fn strip(&self, request: &mut Request) {
        if !self.forward_token {
            self.places.strip(request);
        }
    }

    pub fn challenge(&self) -> Option<Box<[u8]>> {
        Some(token_places::challenge(&self.realm))
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        self.claims_to_headers.own(names);
    }

    /// Who a token stands for that was verified before, and still holds.
    fn remembered(&self, local: &Local, place: Place, token: &[u8], moment: Moment) -> Option<Arc<Identity>> {
        let mut tokens = local.tokens.borrow_mut();
        let mut found = tokens.get(place, self.id, token)?;
        let known = Some(found.known()).filter(|known| moment.wall < known.until)?;
        let keys = &self.issuers.get(known.issuer)?.keys;
        known.generation = keys.still_have(&known.key, known.generation, moment.now)?;
        Some(found.identity().clone())
    }

    /// Verifies a token, and remembers it if it holds.
    fn verify(&self, local: &Local, place: Place, text: &[u8], moment: Moment) -> Result<Arc<Identity>, Unverified> {
        if text.len() > self.max_token_bytes {
            return Err(Unverified::Refused(Refused::TooLong));
        }
        let token = Token::parse_with(text, &mut local.token_header.borrow_mut()).map_err(Unverified::Refused)?;
        let (issuer, verified) = self.judge(&token, moment)?;
        let identity = Arc::new(self.identity(token, &verified));
        let known = Remembered {
            policy: self.id,
            issuer,
            key: verified.key,
            generation: verified.generation,
            until: verified.validity.until,
        };
        local.tokens.borrow_mut().remember(place, text, known, &identity);
        Ok(identity)
    }

    /// The first issuer that takes the token for its own; of several refusals, the first that might change its mind.
    fn judge(&self, token: &Token<'_>, moment: Moment) -> Result<(usize, Verified), Unverified> {
        let mut worst = None;
        for (index, issuer) in self.issuers.iter().enumerate().filter(|(_, issuer)| issuer.is_of(token)) {
            match (issuer.verify(token, moment.wall, moment.now), &worst) {
                (Ok(verified), _) => return Ok((index, verified)),
                (Err(unverified), None | Some(Unverified::Refused(Refused::AlgorithmNotAllowed))) => {
                    worst = Some(unverified);
                }
                (Err(later @ Unverified::PerhapsLater { .. }), Some(Unverified::Refused(_))) => worst = Some(later),
                _ => {}
            }
        }
        Err(worst.unwrap_or(Unverified::Refused(Refused::UnknownIssuer)))
    }

    fn identity(&self, token: Token<'_>, verified: &Verified) -> Identity {
        let mut identity = Identity {
            method: "jwt",
            claims: token.claims,
            expires: verified.validity.expires.map(|expires| expires / 1000),
            ..Identity::default()
        };
        let text = |path: &[String]| identity.claim(path).and_then(Claim::as_str);
        let consumer = self.consumer.as_deref().and_then(text).and_then(|name| self.consumers.by_name(name)).cloned();
        identity.consumer = consumer;
        identity.take_subject(&self.subject);
        identity.lines = self.claims_to_headers.lines(&identity);
        identity
    }

    /// Waits for the keys to be fetched, and looks once more.
    fn wait(self: &Arc<Self>, set: Arc<KeySet>, refused: Refused, token: Box<[u8]>) -> Proof {
        let this = self.clone();
        Proof::Wait(Box::new(move |worker| {
            Box::pin(async move {
                let ended = match set.wish(worker.now()) {
                    Wish::TooMany => false,
                    Wish::TooSoon => true,
                    Wish::Wait(waiting) => ended_in_time(&worker, waiting, set.source.timeout_ms).await,
                };
                let moment = Moment { wall: worker.clock.wall(), now: worker.now() };
                if !ended {
                    return this.refuse_as(Code::AuthenticationUnavailable, "the keys did not come in time");
                }
                let place = worker.local.tokens.borrow().place(this.id, &token);
                match this.verify(&worker.local, place, &token, moment) {
                    Ok(identity) => Proof::Proved(identity),
                    Err(Unverified::Refused(refused)) => this.refuse(refused),
                    Err(Unverified::PerhapsLater { .. }) => this.refuse_for_want_of_keys(&set, refused, moment),
                }
            })
        }))
    }

    /// Without any key nothing can be said of a token; with keys, that none of them is its own.
    fn refuse_for_want_of_keys(&self, set: &KeySet, refused: Refused, moment: Moment) -> Proof {
        match set.generation(moment.now) {
            None => self.refuse_as(Code::AuthenticationUnavailable, "there are no keys of the issuer"),
            Some(_) => self.refuse(refused),
        }
    }

    fn refuse(&self, refused: Refused) -> Proof {
        let code = if refused == Refused::Expired { Code::TokenExpired } else { Code::InvalidToken };
        self.refuse_as(code, refused.reason())
    }

    fn refuse_as(&self, code: Code, detail: &'static str) -> Proof {
        let description = match code {
            Code::TokenExpired => ", error=\"invalid_token\", error_description=\"the token has expired\"",
            Code::InvalidToken => ", error=\"invalid_token\"",
            _ => "",
        };
        let challenge = (code.status() == 401)
            .then(|| format!("Bearer realm=\"{}\"{description}", self.realm).into_bytes().into_boxed_slice());
        Proof::Refused(Refusal { code, challenge, detail: Some(detail.into()) })
    }
}

/// Whether the fetch came to its end within that many milliseconds.
async fn ended_in_time(worker: &Rc<Worker>, mut waiting: crate::key_sets::Waiting, patience: Millis) -> bool {
    let alarm = worker.wheel.alarm();
    alarm.set(worker.now().saturating_add(patience));
    let mut ended = std::pin::pin!(waiting.ended());
    poll_fn(|cx| {
        if ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        alarm.poll(cx).map(|()| false)
    })
    .await
}
