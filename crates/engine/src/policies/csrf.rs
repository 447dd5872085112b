//! Refuses requests that another site makes a browser send in its user's name.
//!
//! Browsers say where a request comes from, in `Sec-Fetch-Site` (<https://www.w3.org/TR/fetch-metadata/>) and in `Origin`, and
//! no script can change that. The rules are those of Filippo Valsorda, "Cross-Site Request Forgery" (2025), as in Go's
//! `http.CrossOriginProtection`. What says neither is no browser, and carries no cookie that its user does not know of.

mod token;

use tidegate_http1::Known;

use crate::exchange::{Exchange, Method, Upgrade};
use crate::pipeline::Flow;
use crate::plan;
use crate::policies::Local;
use crate::policies::presented::for_one_only;
use crate::respond::{Code, Failure};
use token::Tokens;

pub struct Csrf {
    /// Sorted.
    trusted_origins: Box<[Box<[u8]>]>,
    tokens: Option<Tokens>,
}

impl Csrf {
    pub fn compile(plan: &plan::Csrf) -> Self {
        let mut trusted: Vec<Box<[u8]>> = plan.trusted_origins.iter().map(|origin| origin.as_bytes().into()).collect();
        trusted.sort_unstable();
        Self { trusted_origins: trusted.into(), tokens: plan.token.as_ref().map(Tokens::compile) }
    }

    pub fn on_request(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        if is_safe(exchange) {
            if let Some(tokens) = &self.tokens
                && !tokens.has_good_cookie(&exchange.request.head)
            {
                let cookie = tokens.cookie(local, &exchange.request.head);
                exchange.answer_lines.extend([(b"set-cookie".as_slice().into(), cookie), for_one_only()]);
            }
            return Flow::Continue;
        }
        match self.fault(exchange) {
            None => Flow::Continue,
            Some(fault) => Flow::Respond(Failure::with(Code::CsrfFailed, fault)),
        }
    }

    /// Why a request is taken for a forged one; `None` for one that is not, or that changes nothing.
    pub(super) fn forgery(&self, exchange: &Exchange) -> Option<&'static str> {
        if is_safe(exchange) { None } else { self.fault(exchange) }
    }

    /// Why a request that may change something is not let through; for the log.
    fn fault(&self, exchange: &Exchange) -> Option<&'static str> {
        let head = &exchange.request.head;
        let origin = head.get_known(Known::Origin);
        if head.get_all(b"origin").nth(1).is_some() {
            return Some("it names two origins");
        }
        if !origin.is_some_and(|origin| self.trusts(origin)) {
            let mut sites = head.get_all(b"sec-fetch-site");
            match (sites.next(), sites.next()) {
                (Some(b"same-origin" | b"none"), None) => {}
                (Some(_), _) => return Some("a browser sent it from another origin"),
                (None, _) if origin.is_none_or(|origin| is_own(origin, exchange)) => {}
                (None, _) => return Some("its origin is another one"),
            }
        }
        let tokens = self.tokens.as_ref()?;
        (!tokens.shown(head)).then_some("the token is missing or not the one of the cookie")
    }

    fn trusts(&self, origin: &[u8]) -> bool {
        self.trusted_origins.binary_search_by(|known| (**known).cmp(origin)).is_ok()
    }
}

/// Methods that change nothing (RFC 9110 section 9.2.1). The GET that opens a WebSocket is not one: what comes over it can
/// change everything, and CORS does not guard it.
fn is_safe(exchange: &Exchange) -> bool {
    let request = &exchange.request;
    matches!(request.method, Method::Get | Method::Head | Method::Options) && matches!(request.upgrade, Upgrade::None)
}

/// Whether an origin is that of the request's own URL, as the client knows it.
fn is_own(origin: &[u8], exchange: &Exchange) -> bool {
    let (host, default_port) = match origin.strip_prefix(b"https://".as_slice()) {
        Some(host) => (host, b":443".as_slice()),
        // A page over plain text may be anybody's on the way, and has no business with one over TLS. The other way round a
        // proxy that is not trusted may have taken the TLS off.
        None if exchange.secure => return false,
        None => match origin.strip_prefix(b"http://".as_slice()) {
            Some(host) => (host, b":80".as_slice()),
            None => return false,
        },
    };
    let own = exchange.host_as_sent();
    let bare = own.strip_suffix(default_port).unwrap_or(own);
    !bare.is_empty() && bare.eq_ignore_ascii_case(host)
}
