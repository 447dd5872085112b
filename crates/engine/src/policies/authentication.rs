//! Who calls: runs the credentials that a route asks for, one or a tree of them, and keeps what they prove.

mod credential;
#[cfg(test)]
mod tests;
mod tree;

use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::identity::{Identity, Line};
use crate::pipeline::{Context, Flow, LocalBoxFuture, Reply, Resume, Wanted};
use crate::plan;
use crate::policies::Local;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::worker::Worker;

pub use credential::Credential;
pub use tree::{Node, Tree};

/// What one kind of credential says about a request.
pub enum Proof {
    Proved(Arc<Identity>),
    /// As [`Proof::Proved`], with fields for the answer, such as a renewed cookie.
    ProvedWith(Arc<Identity>, Vec<Line>),
    /// The request carries no such credential.
    Missing,
    /// It carries one that is no good.
    Refused(Refusal),
    /// The gateway answers: a redirect to a login.
    Answer(Box<Reply>),
    /// It cannot be told yet.
    Wait(WaitProof),
    /// Nor can it without the body of the request, of at most so many bytes.
    Body(u64),
}

/// Begins to find out; the future owns what it needs.
pub type WaitProof = Box<dyn FnOnce(Rc<Worker>) -> LocalBoxFuture<Proof>>;

/// Why a credential is no good, and what the client is told.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: Code,
    /// `WWW-Authenticate` (RFC 9110 section 11.6.1).
    pub challenge: Option<Box<[u8]>>,
    /// For the log only; never the credential or a part of it.
    pub detail: Option<Box<str>>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, challenge: None, detail: None }
    }
}

/// The authentication of a route.
pub struct Authentication {
    credentials: Vec<Credential>,
    root: Node,
    /// A request without a credential goes on, as nobody.
    optional: bool,
    /// What a request without a credential is told.
    missing: Code,
}

/// What the credentials of one exchange said so far.
type Known = Vec<Option<Proof>>;

enum Verdict {
    Proved(Arc<Identity>, Vec<Line>),
    Missing,
    Refused(Refusal),
    Answer(Box<Reply>),
    Wait(usize, WaitProof),
    Body(u64),
}

impl Authentication {
    pub fn new(credentials: Vec<Credential>, root: Node, optional: bool, missing: Code) -> Self {
        Self { credentials, root, optional, missing }
    }

    /// A policy that finds out who calls: one kind of credential, or a tree of them.
    pub fn compile(plan: &plan::Policy, context: &Context<'_>) -> Result<Arc<Self>, Problem> {
        match plan {
            plan::Policy::AnyOf(of) | plan::Policy::AllOf(of) => {
                let mut tree = Tree::default();
                let root = tree.branch(plan, context)?;
                Ok(tree.grown(root, of.optional, context))
            }
            one => {
                let (credential, optional) = Credential::compile(one, context)?;
                Ok(Tree { credentials: vec![credential] }.grown(Node::One(0), optional, context))
            }
        }
    }

    pub fn on_request(self: &Arc<Self>, local: &Local, exchange: &mut Exchange) -> Flow {
        if let Node::One(index) = self.root {
            // Nearly every route: nothing is remembered on the way.
            return match self.credentials[index].check(local, exchange) {
                Proof::Wait(wait) => self.wait(index, wait, Vec::new()),
                proof => self.settle(self.credentials[index].verdict(proof), exchange, Vec::new()),
            };
        }
        let mut known = Vec::new();
        known.resize_with(self.credentials.len(), || None);
        self.go_on(local, exchange, known)
    }

    fn go_on(self: &Arc<Self>, local: &Local, exchange: &mut Exchange, mut known: Known) -> Flow {
        let verdict = self.decide(&self.root, local, exchange, &mut known);
        self.settle(verdict, exchange, known)
    }

    fn wait(self: &Arc<Self>, index: usize, wait: WaitProof, mut known: Known) -> Flow {
        let this = self.clone();
        Flow::Wait(Box::new(move |worker| {
            let future = wait(worker);
            Box::pin(async move {
                let proof = future.await;
                let resume: Resume = Box::new(move |local, exchange| {
                    if let Proof::Wait(wait) = proof {
                        return this.wait(index, wait, known);
                    }
                    if known.is_empty() {
                        return this.settle(this.credentials[index].verdict(proof), exchange, known);
                    }
                    known[index] = Some(proof);
                    this.go_on(local, exchange, known)
                });
                resume
            })
        }))
    }

    /// Decides a part of the tree by what is known, and asks the credentials for what is not.
    fn decide(&self, node: &Node, local: &Local, exchange: &Exchange, known: &mut Known) -> Verdict {
        match node {
            Node::One(index) => match &mut known[*index] {
                Some(proof) => self.credentials[*index].verdict(proof.again()),
                empty => match self.credentials[*index].check(local, exchange) {
                    Proof::Wait(wait) => Verdict::Wait(*index, wait),
                    Proof::Body(most) => Verdict::Body(most),
                    proof => self.credentials[*index].verdict(empty.insert(proof).again()),
                },
            },
            Node::Any(nodes) => {
                // A credential that is no good hides none that is; but when all fail, it is what the client is told of.
                let mut worst = Verdict::Missing;
                for node in nodes {
                    match (self.decide(node, local, exchange, known), &worst) {
                        (Verdict::Missing, _) => {}
                        (Verdict::Refused(refusal), Verdict::Missing) => worst = Verdict::Refused(refusal),
                        (Verdict::Refused(_), _) => {}
                        (Verdict::Answer(reply), Verdict::Missing) => worst = Verdict::Answer(reply),
                        (Verdict::Answer(_), _) => {}
                        (verdict, _) => return verdict,
                    }
                }
                worst
            }
            Node::All(nodes) => {
                let mut all: Option<(Arc<Identity>, Vec<Line>)> = None;
                for node in nodes {
                    match self.decide(node, local, exchange, known) {
                        Verdict::Proved(identity, fields) => {
                            all = Some(match all {
                                None => (identity, fields),
                                Some((first, mut lines)) => {
                                    lines.extend(fields);
                                    (Arc::new(first.with(&identity)), lines)
                                }
                            });
                        }
                        verdict => return verdict,
                    }
                }
                all.map_or(Verdict::Missing, |(identity, fields)| Verdict::Proved(identity, fields))
            }
        }
    }

    fn settle(self: &Arc<Self>, verdict: Verdict, exchange: &mut Exchange, known: Known) -> Flow {
        match verdict {
            Verdict::Proved(identity, fields) => {
                self.admit(identity, fields, exchange);
                Flow::Continue
            }
            Verdict::Missing if self.optional => {
                self.strip(exchange);
                exchange.unmet = Some(self.clone());
                Flow::Continue
            }
            Verdict::Missing => self.ask(exchange),
            Verdict::Refused(refusal) => {
                exchange.refused_credentials = refusal.code.status() == 401;
                if let Some(challenge) = &refusal.challenge {
                    exchange.refusal.add(b"www-authenticate", challenge);
                }
                Flow::Respond(Failure { code: refusal.code, detail: refusal.detail })
            }
            Verdict::Answer(reply) => {
                exchange.refused_credentials = reply.status == 401;
                Flow::Answer(reply)
            }
            Verdict::Wait(index, wait) => self.wait(index, wait, known),
            Verdict::Body(most) => {
                let this = self.clone();
                let resume: Resume = Box::new(move |local, exchange| match known.is_empty() {
                    true => this.on_request(local, exchange),
                    false => this.go_on(local, exchange, known),
                });
                Flow::Body(Box::new(Wanted { most, resume }))
            }
        }
    }

    /// Refuses a request without a credential, and says what it could be.
    pub fn ask(&self, exchange: &mut Exchange) -> Flow {
        for credential in &self.credentials {
            if let Some(challenge) = credential.challenge() {
                exchange.refusal.add(b"www-authenticate", &challenge);
            }
        }
        Flow::Respond(self.missing.into())
    }

    fn admit(&self, identity: Arc<Identity>, fields: Vec<Line>, exchange: &mut Exchange) {
        self.strip(exchange);
        let earlier = exchange.identity.take();
        let is_set = |name: &[u8]| earlier.as_ref().is_some_and(|earlier| earlier.lines.contains(name));
        for (name, value) in identity.lines.iter().filter(|(name, _)| !is_set(name)) {
            exchange.request.head.add(name, value);
        }
        exchange.answer_lines.extend(fields);
        exchange.identity = Some(match earlier {
            None => identity,
            Some(earlier) => Arc::new(earlier.with(&identity)),
        });
    }

    fn strip(&self, exchange: &mut Exchange) {
        for credential in &self.credentials {
            credential.strip(&mut exchange.request);
        }
    }
}

impl Proof {
    /// The same once more: a tree may have to be walked again.
    fn again(&self) -> Self {
        match self {
            Self::Proved(identity) => Self::Proved(identity.clone()),
            Self::ProvedWith(identity, fields) => Self::ProvedWith(identity.clone(), fields.clone()),
            Self::Missing => Self::Missing,
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
            Self::Answer(reply) => Self::Answer(reply.clone()),
            // What still waits has proved nothing.
            Self::Wait(_) | Self::Body(_) => Self::Refused(Code::AuthenticationUnavailable.into()),
        }
    }
}
