//! Asks a service whether a request may pass, and who makes it.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use tidegate_http1::is_field_value;

use crate::claims::Claims;
use crate::clock::Millis;
use crate::exchange::{Exchange, Request};
use crate::head::Head;
use crate::identity::{Consumers, Identity, Line};
use crate::pipeline::{Context, Reply};
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::trust::is_alias;
use crate::policies::verdicts::{Key, Verdict, Verdicts};
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::sides::BodySize;
use crate::snapshot::Pinned;
use crate::template::{Destination, Template, Values};
use crate::upstream::call;
use crate::upstream::fetch::{Errand, Fetched, fetch};
use crate::worker::Worker;

pub struct ForwardAuth {
    service: usize,
    host: Box<[u8]>,
    method: Box<[u8]>,
    base_path: Box<[u8]>,
    path: Template,
    /// Names of the request's headers that the service sees.
    headers: Names,
    /// Names of the answer's headers that go to the service behind, if the request may pass.
    to_service: Names,
    /// Names of the answer's headers that go to the client with a refusal.
    to_client: Names,
    /// Names of the answer's headers that go to the client with the answer of the service behind.
    on_success: Names,
    /// Names of the request's headers that go no further.
    strip: Names,
    /// Claims, and the headers of the answer that they come from.
    claims: Box<[Claim]>,
    /// The claim that names a consumer.
    consumer: Option<Box<str>>,
    consumers: Arc<Consumers>,
    timeout_ms: Millis,
    /// The longest body of a request that goes along; `None`: none does.
    body_bytes: Option<u64>,
    most_bytes: usize,
    cache: Option<Cache>,
}

/// Its name, and that of the header.
type Claim = (Box<str>, Box<[u8]>);

type Names = Box<[Box<[u8]>]>;

struct Cache {
    key: Box<[Template]>,
    ttl_ms: u64,
    negative_ttl_ms: u64,
    verdicts: Arc<Verdicts<Decision>>,
}

/// What the service said.
#[derive(Clone)]
pub enum Decision {
    /// With lines for the answer that the service behind will give.
    Allowed(Arc<Identity>, Vec<Line>),
    Denied(Box<Reply>),
    /// It said nothing that could be understood; for the log.
    Failed(Arc<str>),
}

/// What is asked, apart from the exchange that is asked about.
struct Question {
    target: Vec<u8>,
    head: Head,
    body: Bytes,
    deadline: Millis,
}

impl ForwardAuth {
    pub fn compile(plan: &plan::ForwardAuth, context: &Context<'_>) -> Result<Self, Problem> {
        let Some((service, known)) = context.services.get(plan.service.as_str()) else {
            let message = format!("no service is named `{}`", plan.service);
            return Err(Problem::new("service", "config.unknown_name", message));
        };
        let path = Template::compile(&plan.path, Destination::Path)
            .map_err(|message| Problem::new("path", "routing.bad_rewrite", message))?;
        let cache = plan.cache.as_ref().map(|cache| Cache::compile(cache, plan, context)).transpose()?;
        Ok(Self {
            service: *service,
            host: known.plan.host.as_bytes().into(),
            method: plan.method.as_bytes().into(),
            base_path: known.plan.base_path.as_bytes().into(),
            path,
            headers: names(&plan.headers),
            to_service: names(&plan.headers_to_service),
            to_client: names(&plan.headers_to_client),
            on_success: names(&plan.headers_on_success),
            strip: names(&plan.strip),
            claims: plan.claims.iter().map(|(name, header)| (name.as_str().into(), header.as_bytes().into())).collect(),
            consumer: plan.consumer_claim.as_deref().map(Into::into),
            consumers: context.consumers.clone(),
            timeout_ms: plan.timeout_ms,
            body_bytes: plan.body_bytes,
            most_bytes: plan.max_answer,
            cache,
        })
    }

    pub fn check(self: &Arc<Self>, local: &Local, exchange: &Exchange) -> Proof {
        let now = local.epoch_millis(exchange.started_micros);
        let key = self.cache.as_ref().and_then(|cache| cache.key(exchange));
        if let (Some(cache), Some(key)) = (&self.cache, &key)
            && let Some(decision) = cache.verdicts.get(key, now)
        {
            return decision.into_proof();
        }
        if let Some(most) = self.body_bytes
            && exchange.request.body != BodySize::Empty
            && exchange.collected.is_none()
        {
            return Proof::Body(most);
        }
        let question = match self.question(exchange) {
            Ok(question) => question,
            Err(failure) => return Decision::failed(&failure).into_proof(),
        };
        let (this, snapshot) = (self.clone(), exchange.snapshot.clone());
        Proof::Wait(Box::new(move |worker| {
            Box::pin(async move { this.ask(&worker, &snapshot, question, key, now).await.into_proof() })
        }))
    }

    pub fn strip(&self, request: &mut Request) {
        for name in &self.strip {
            request.head.retain(|_, found, _| !is_alias(found, name));
        }
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        names.extend(self.to_service.iter().cloned());
    }

    async fn ask(
        &self,
        worker: &Rc<Worker>,
        snapshot: &Pinned,
        question: Question,
        key: Option<Key>,
        now: u64,
    ) -> Decision {
        match (&self.cache, key) {
            (Some(cache), Some(key)) => {
                let ask = async || {
                    let (decision, keep) = self.fetch(worker, snapshot, question).await;
                    let ttl = match &decision {
                        _ if !keep => 0,
                        Decision::Allowed(..) => cache.ttl_ms,
                        Decision::Denied(_) => cache.negative_ttl_ms,
                        Decision::Failed(_) => 0,
                    };
                    // One failure is told to all who wait: asking again for each would only add to the load.
                    let alone = !keep && !matches!(decision, Decision::Failed(_));
                    Verdict { value: decision, until: if ttl == 0 { 0 } else { worker.clock.wall() + ttl }, alone }
                };
                cache.verdicts.get_or_ask(key, now, ask).await
            }
            _ => self.fetch(worker, snapshot, question).await.0,
        }
    }

    /// Asks, and says whether the decision may serve other requests too.
    async fn fetch(&self, worker: &Rc<Worker>, snapshot: &Pinned, question: Question) -> (Decision, bool) {
        let Question { target, head, body, deadline } = question;
        let errand = Errand {
            service: self.service,
            method: &self.method,
            target: &target,
            host: &self.host,
            head,
            body,
            deadline: deadline.min(worker.now().saturating_add(self.timeout_ms)),
            most_bytes: self.most_bytes,
        };
        match fetch(worker, snapshot, errand).await {
            Ok(fetched) => self.decide(fetched),
            Err(failure) => (Decision::failed(&failure), false),
        }
    }

    fn decide(&self, fetched: Fetched) -> (Decision, bool) {
        let Fetched { status, head, body } = fetched;
        // A cookie is one client's own, and whoever sets one or forbids to store the answer wants to be asked again.
        let keep = !head.contains(b"set-cookie") && !forbids_storing(&head);
        let decision = match status {
            200..=299 => Decision::Allowed(Arc::new(self.identity(&head)), lines(&head, &self.on_success)),
            301 | 302 | 303 | 307 | 308 | 401 | 403 | 429 => {
                Decision::Denied(Box::new(Reply { status, fields: lines(&head, &self.to_client), body: body.into() }))
            }
            _ => Decision::Failed(format!("forward_auth: the service answered {status}").into()),
        };
        (decision, keep)
    }

    fn identity(&self, head: &Head) -> Identity {
        let text = |header: &[u8]| head.get(header).map(|value| String::from_utf8_lossy(value).into_owned());
        let claims: Map<String, Value> = self
            .claims
            .iter()
            .filter_map(|(name, header)| Some((name.to_string(), Value::String(text(header)?))))
            .collect();
        let claim = |name: &str| claims.get(name).and_then(Value::as_str);
        let subject = claim("sub").map(Into::into).unwrap_or_default();
        let consumer = self.consumer.as_deref().and_then(claim).and_then(|name| self.consumers.by_name(name)).cloned();
        let lines = lines(head, &self.to_service).into_iter().collect();
        Identity {
            method: "forward_auth",
            subject,
            consumer,
            claims: Claims::from(&claims),
            lines,
            ..Identity::default()
        }
    }

    fn question(&self, exchange: &Exchange) -> Result<Question, Failure> {
        let mut target = self.base_path.to_vec();
        self.path.render(exchange, &mut target).map_err(|error| Failure::with(Code::BadPath, error))?;
        let timeout = exchange.route().and_then(|route| route.timeout_ms);
        let deadline = call::deadline(exchange.started_micros / 1000, timeout);
        let body = exchange.collected.clone().filter(|_| self.body_bytes.is_some()).unwrap_or_default();
        let mut head = self.head(exchange);
        if !body.is_empty() {
            for name in [b"content-type".as_slice(), b"content-encoding"] {
                if !head.contains(name) {
                    exchange.request.head.get_all(name).for_each(|value| head.add(name, value));
                }
            }
        }
        Ok(Question { target, head, body, deadline })
    }

    /// The chosen headers of the request, and what the service must know of it besides.
    fn head(&self, exchange: &Exchange) -> Head {
        let request = &exchange.request;
        let mut head = Head::default();
        let traced = [b"traceparent".as_slice(), b"tracestate"];
        for name in self.headers.iter().map(|name| &**name).chain(traced) {
            if !head.contains(name) {
                request.head.get_all(name).for_each(|value| head.add(name, value));
            }
        }
        head.set(b"x-forwarded-method", request.method_name());
        head.set(b"x-forwarded-proto", exchange.scheme().as_bytes());
        head.set(b"x-forwarded-host", request.authority());
        head.set(b"x-forwarded-for", exchange.client_ip.to_string().as_bytes());
        let query = request.query().map(|query| [b"?", query].concat()).unwrap_or_default();
        head.set(b"x-forwarded-uri", &[&*request.path, &*query].concat());
        if !exchange.id.is_empty() {
            head.set(b"x-request-id", &exchange.id);
        }
        head
    }
}

impl Cache {
    fn compile(plan: &plan::DecisionCache, whole: &plan::ForwardAuth, context: &Context<'_>) -> Result<Self, Problem> {
        let compile = |(index, template): (usize, &plan::Template)| {
            Template::compile(template, Destination::Body)
                .map_err(|message| Problem::new(format!("cache.key[{index}]"), "config.bad_reference", message))
        };
        Ok(Self {
            key: plan.key.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
            ttl_ms: plan.ttl_ms,
            negative_ttl_ms: plan.negative_ttl_ms,
            verdicts: match &whole.consumer_claim {
                None => context.state.decisions.of(whole, || Verdicts::new(plan.entries)),
                // A decision names a consumer of this very document.
                Some(_) => Arc::new(Verdicts::new(plan.entries)),
            },
        })
    }

    /// `None` where every part is empty: requests without a credential have nothing in common.
    fn key(&self, exchange: &Exchange) -> Option<Key> {
        let parts: Vec<Vec<u8>> = self.key.iter().map(|part| rendered(part, exchange)).collect();
        let some = parts.iter().any(|part| !part.is_empty());
        some.then(|| self.verdicts.key(parts.iter().map(Vec::as_slice)))
    }
}

impl Decision {
    fn failed(failure: &Failure) -> Self {
        Self::Failed(format!("forward_auth: {failure}").into())
    }

    fn into_proof(self) -> Proof {
        match self {
            Self::Allowed(identity, fields) if fields.is_empty() => Proof::Proved(identity),
            Self::Allowed(identity, fields) => Proof::ProvedWith(identity, fields),
            Self::Denied(reply) => Proof::Answer(reply),
            Self::Failed(detail) => {
                Proof::Refused(Refusal { detail: Some((*detail).into()), ..Code::AuthenticationUnavailable.into() })
            }
        }
    }
}

fn names(names: &[String]) -> Names {
    names.iter().map(|name| name.as_bytes().into()).collect()
}

fn rendered(template: &Template, exchange: &Exchange) -> Vec<u8> {
    let mut out = Vec::new();
    // Only paths and locations can fail to render.
    let _ = template.render(exchange, &mut out);
    out
}

/// The fields of these names, with every value that is one.
fn lines(head: &Head, names: &Names) -> Vec<Line> {
    let mut lines = Vec::new();
    for name in names {
        for value in head.get_all(name).map(<[u8]>::trim_ascii).filter(|value| is_field_value(value)) {
            lines.push((name.clone(), value.into()));
        }
    }
    lines
}

fn forbids_storing(head: &Head) -> bool {
    let directives = head.get_all(b"cache-control").flat_map(|line| line.split(|byte| *byte == b','));
    directives.map(<[u8]>::trim_ascii).any(|directive| directive.eq_ignore_ascii_case(b"no-store"))
}
