//! Lets scripts of other origins read the answers: CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>.
//!
//! Which route a preflight belongs to is decided before, in [`crate::preflight`].

use tidegate_http1::Known;

use crate::exchange::Exchange;
use crate::head::Head;
use crate::pipeline::{Flow, Reply};
use crate::plan;
use crate::preflight::Announced;
use crate::problem::Problem;
use crate::routing::ValueRegex;

pub struct Cors {
    origins: Origins,
    credentials: bool,
    /// `None`: the method that is asked for, since the route takes it.
    methods: Option<Box<[u8]>>,
    /// `None`: the headers that are asked for.
    headers: Option<Box<[u8]>>,
    expose: Box<[u8]>,
    max_age: Box<[u8]>,
    private_network: bool,
}

/// What the policy found out about a request; its answer needs it, and by then the request may have been edited.
#[derive(Debug, Default)]
pub struct Asked {
    /// The value of `Access-Control-Allow-Origin`; empty where there is none.
    allow: Vec<u8>,
    preflight: bool,
}

impl Asked {
    pub fn clear(&mut self) {
        self.allow.clear();
        self.preflight = false;
    }
}

/// An origin that nobody has and nobody means (RFC 2606): what lets it in is as good as `*`.
const NOBODY: &[u8] = b"https://nobody-means-this.invalid";
const VARY_PREFLIGHT: &[u8] = b"Access-Control-Request-Method, Access-Control-Request-Headers";
const PRIVATE_NETWORK: &[u8] = b"access-control-request-private-network";

impl Cors {
    pub fn compile(plan: &plan::Cors) -> Result<Self, Problem> {
        let origins = Origins::compile(&plan.origins)?;
        if plan.credentials && origins.any {
            // The one mistake that would hand every user's data to every site.
            let message = "`*` cannot be used with credentials";
            return Err(Problem::new("origins", "config.bad_value", message));
        }
        if plan.credentials && origins.contain(NOBODY) {
            let message = "with credentials, this pattern lets every site act for your users";
            let index = plan.origins.iter().position(|origin| matches!(origin, plan::Origin::Regex(_))).unwrap_or(0);
            return Err(Problem::new(format!("origins[{index}]"), "config.bad_value", message));
        }
        let list = |values: &[String]| values.join(", ").into_bytes().into_boxed_slice();
        Ok(Self {
            origins,
            credentials: plan.credentials,
            methods: plan.allow_methods.as_deref().map(list),
            headers: plan.allow_headers.as_deref().map(list),
            expose: list(&plan.expose_headers),
            max_age: plan.max_age_seconds.to_string().into_bytes().into(),
            private_network: plan.private_network,
        })
    }

    /// Answers a preflight; notes for every other request whether its origin may read the answer.
    pub fn on_request(&self, exchange: &mut Exchange) -> Flow {
        exchange.cors.clear();
        let mut origins = exchange.request.head.get_all(b"origin");
        // A browser sends one; of two, nobody knows which a service or cache will believe.
        if let (Some(origin), None) = (origins.next(), origins.next())
            && self.origins.contain(origin)
        {
            exchange.cors.allow.extend_from_slice(if self.origins.any { b"*" } else { origin });
        }
        match Announced::by(&exchange.request) {
            None => Flow::Continue,
            Some(announced) => {
                let mut reply = Reply { status: 204, ..Reply::default() };
                if !exchange.cors.allow.is_empty() {
                    self.permit(&announced, &exchange.request.head, &mut reply);
                }
                reply.fields.push((b"vary".as_slice().into(), VARY_PREFLIGHT.into()));
                exchange.cors.preflight = true;
                Flow::Answer(Box::new(reply))
            }
        }
    }

    /// Says what the announced request may be like.
    fn permit(&self, announced: &Announced<'_>, head: &Head, reply: &mut Reply) {
        let mut add = |name: &[u8], value: &[u8]| reply.fields.push((name.into(), value.into()));
        add(b"access-control-allow-methods", self.methods.as_deref().unwrap_or(announced.method));
        let asked: Vec<u8>;
        let headers = match &self.headers {
            Some(headers) => headers,
            None => {
                asked = announced.headers().collect::<Vec<_>>().join(b", ".as_slice());
                asked.as_slice()
            }
        };
        if !headers.is_empty() {
            add(b"access-control-allow-headers", headers);
        }
        add(b"access-control-max-age", &self.max_age);
        if self.private_network && head.get(PRIVATE_NETWORK) == Some(b"true") {
            add(b"access-control-allow-private-network", b"true");
        }
    }

    /// Acts on every answer, also on refusals: a script that may not read a 401 cannot log its user in again.
    pub fn on_response(&self, exchange: &mut Exchange) {
        let (head, asked) = (&mut exchange.answer.head, &exchange.cors);
        if !asked.preflight {
            // A service's own would be a second opinion; browsers refuse two.
            head.retain(|known, name, _| known != Known::Other || !is_cors(name));
        }
        if !self.origins.any {
            add_vary(head, b"Origin");
        }
        if asked.allow.is_empty() {
            return;
        }
        head.add(b"access-control-allow-origin", &asked.allow);
        if self.credentials {
            head.add(b"access-control-allow-credentials", b"true");
        }
        if !self.expose.is_empty() && !asked.preflight {
            head.add(b"access-control-expose-headers", &self.expose);
        }
    }
}

fn is_cors(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Adds a name to `Vary` unless it is there.
pub fn add_vary(head: &mut Head, name: &[u8]) {
    let known = |entry: &[u8]| entry == b"*" || entry.eq_ignore_ascii_case(name);
    let named = |line: &[u8]| line.split(|byte| *byte == b',').any(|entry| known(entry.trim_ascii()));
    if !head.get_all(b"vary").any(named) {
        head.add(b"vary", name);
    }
}

/// The origins that are let in.
struct Origins {
    /// `*`
    any: bool,
    /// Sorted.
    exact: Box<[Box<[u8]>]>,
    below: Box<[Below]>,
    regexes: Box<[ValueRegex]>,
}

/// `https://*.example.com`: every host below a domain.
struct Below {
    /// `https://`
    scheme: Box<[u8]>,
    /// `.example.com`, perhaps with a port.
    domain: Box<[u8]>,
}

impl Origins {
    fn compile(plan: &[plan::Origin]) -> Result<Self, Problem> {
        let (mut any, mut exact, mut below, mut regexes) = (false, Vec::new(), Vec::new(), Vec::new());
        for (index, origin) in plan.iter().enumerate() {
            match origin {
                plan::Origin::Any => any = true,
                plan::Origin::Exact(text) => exact.push(text.as_bytes().into()),
                plan::Origin::Below { scheme, domain } => below.push(Below {
                    scheme: format!("{scheme}://").into_bytes().into(),
                    domain: format!(".{domain}").into_bytes().into(),
                }),
                plan::Origin::Regex(pattern) => regexes.push(
                    ValueRegex::compile(pattern)
                        .map_err(|message| Problem::new(format!("origins[{index}]"), "routing.bad_regex", message))?,
                ),
            }
        }
        exact.sort_unstable();
        Ok(Self { any, exact: exact.into(), below: below.into(), regexes: regexes.into() })
    }

    fn contain(&self, origin: &[u8]) -> bool {
        if self.any || self.exact.binary_search_by(|known| (**known).cmp(origin)).is_ok() {
            return true;
        }
        // `null` is every sandboxed frame and local file: no pattern means it, whatever it says. Whoever does names it.
        origin != b"null"
            && (self.below.iter().any(|below| below.contains(origin))
                || self.regexes.iter().any(|regex| regex.is_match(origin)))
    }
}

impl Below {
    fn contains(&self, origin: &[u8]) -> bool {
        let host = origin.strip_prefix(&*self.scheme).and_then(|rest| rest.strip_suffix(&*self.domain));
        host.is_some_and(|labels| {
            let plain = |label: &[u8]| {
                !label.is_empty()
                    && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            };
            labels.split(|byte| *byte == b'.').all(plain)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(plan: &[plan::Origin]) -> Origins {
        Origins::compile(plan).unwrap()
    }

    #[test]
    fn an_origin_is_let_in_whole_or_not_at_all() {
        let listed = origins(&[
            plan::Origin::Exact("https://shop.example".into()),
            plan::Origin::Exact("http://localhost:3000".into()),
            plan::Origin::Below { scheme: "https".into(), domain: "shop.example".into() },
            plan::Origin::Regex(r"https://pr-\d+\.preview\.example|https://b\.example".into()),
        ]);
        for (origin, let_in) in [
            ("https://shop.example", true),
            ("http://localhost:3000", true),
            ("https://www.shop.example", true),
            ("https://a.b.shop.example", true),
            ("https://pr-12.preview.example", true),
            ("https://b.example", true),
            ("http://shop.example", false),
            ("https://shop.example:8443", false),
            ("https://shop.example.evil.example", false),
            ("https://evilshop.example", false),
            ("https://.shop.example", false),
            ("https://a..shop.example", false),
            ("https://evil.example/.shop.example", false),
            ("https://evil.example#.shop.example", false),
            ("https://evil.example:1@www.shop.example", false),
            ("https://pr-12.preview.example.evil.example", false),
            ("https://evil.example/https://b.example", false),
            ("https://b.example\n", false),
            ("HTTPS://SHOP.EXAMPLE", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(listed.contain(origin.as_bytes()), let_in, "{origin}");
        }
    }

    #[test]
    fn null_is_meant_only_by_its_name() {
        for pattern in [".*", "null", "(?i)NULL|https://.*", ".{4}"] {
            assert!(!origins(&[plan::Origin::Regex(pattern.into())]).contain(b"null"), "{pattern}");
        }
        assert!(origins(&[plan::Origin::Exact("null".into())]).contain(b"null"));
    }
}
