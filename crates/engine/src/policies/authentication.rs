//! Who calls: runs the credentials that a route asks for, one or a tree of them, and keeps what they prove.

use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::{Exchange, Request};
use crate::identity::{Identity, Line};
use crate::pipeline::{Context, Flow, LocalBoxFuture, Reply, Resume, Wanted};
use crate::plan;
use crate::policies::Local;
use crate::policies::api_key::ApiKey;
use crate::policies::basic::Basic;
use crate::policies::forward_auth::ForwardAuth;
use crate::policies::introspection::Introspection;
use crate::policies::jwt::Jwt;
use crate::policies::mtls::Mtls;
use crate::policies::oidc::Oidc;
use crate::policies::{all_of, any_of};
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::worker::Worker;

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

/// One kind of credential, compiled.
pub enum Credential {
    ApiKey(Arc<ApiKey>),
    Basic(Arc<Basic>),
    Mtls(Arc<Mtls>),
    ForwardAuth(Arc<ForwardAuth>),
    Introspection(Arc<Introspection>),
    Jwt(Arc<Jwt>),
    Oidc(Arc<Oidc>),
    /// Stands in for real ones where the tree is tested.
    #[cfg(test)]
    Fixed(tests::Fixed),
}

impl Credential {
    /// Compiles a policy that is a credential, and says whether requests may do without it.
    fn compile(plan: &plan::Policy, context: &Context<'_>) -> Result<(Self, bool), Problem> {
        Ok(match plan {
            plan::Policy::Mtls(plan) => (Self::Mtls(Arc::new(Mtls::compile(plan))), plan.optional),
            plan::Policy::ApiKey(plan) => (Self::ApiKey(Arc::new(ApiKey::compile(plan, context))), plan.optional),
            plan::Policy::Basic(plan) => (Self::Basic(Arc::new(Basic::compile(plan, context))), plan.optional),
            plan::Policy::ForwardAuth(plan) => {
                (Self::ForwardAuth(Arc::new(ForwardAuth::compile(plan, context)?)), false)
            }
            plan::Policy::Introspection(plan) => {
                (Self::Introspection(Arc::new(Introspection::compile(plan, context)?)), plan.optional)
            }
            plan::Policy::Jwt(plan) => (Self::Jwt(Arc::new(Jwt::compile(plan, context)?)), plan.optional),
            plan::Policy::Oidc(plan) => (Self::Oidc(Arc::new(Oidc::compile(plan, context)?)), plan.optional),
            _ => return Err(Problem::new("", "config.bad_value", "this policy does not find out who calls")),
        })
    }

    fn check(&self, local: &Local, exchange: &Exchange) -> Proof {
        match self {
            Self::ApiKey(policy) => policy.check(local, exchange),
            Self::Basic(policy) => policy.check(local, exchange),
            Self::Mtls(policy) => policy.check(local, exchange),
            Self::ForwardAuth(policy) => policy.check(local, exchange),
            Self::Introspection(policy) => policy.check(local, exchange),
            Self::Jwt(policy) => policy.check(local, exchange),
            Self::Oidc(policy) => policy.check(local, exchange),
            #[cfg(test)]
            Self::Fixed(fixed) => fixed.check(),
        }
    }

    /// Takes the credential out of the request.
    fn strip(&self, request: &mut Request) {
        match self {
            Self::ApiKey(policy) => policy.strip(request),
            Self::Basic(policy) => policy.strip(request),
            Self::Mtls(policy) => policy.strip(request),
            Self::ForwardAuth(policy) => policy.strip(request),
            Self::Introspection(policy) => policy.strip(request),
            Self::Jwt(policy) => policy.strip(request),
            Self::Oidc(policy) => policy.strip(request),
            #[cfg(test)]
            Self::Fixed(_) => {}
        }
    }

    fn challenge(&self) -> Option<Box<[u8]>> {
        match self {
            Self::ApiKey(policy) => policy.challenge(),
            Self::Basic(policy) => policy.challenge(),
            Self::Mtls(policy) => policy.challenge(),
            Self::ForwardAuth(_) => None,
            Self::Introspection(policy) => policy.challenge(),
            Self::Jwt(policy) => policy.challenge(),
            Self::Oidc(policy) => policy.challenge(),
            #[cfg(test)]
            Self::Fixed(fixed) => Some(fixed.name.as_bytes().into()),
        }
    }

    /// What a request without it is told.
    fn missing(&self) -> Code {
        match self {
            Self::Introspection(_) | Self::Jwt(_) => Code::MissingToken,
            _ => Code::MissingCredentials,
        }
    }

    /// What a request is told that shows one which is no good.
    fn refused(&self) -> Code {
        match self {
            Self::Introspection(_) | Self::Jwt(_) => Code::InvalidToken,
            _ => Code::InvalidCredentials,
        }
    }

    /// What it says of a request, unless that is whom the document has switched off.
    fn verdict(&self, proof: Proof) -> Verdict {
        match proof {
            Proof::Proved(identity) => self.verdict_of(identity, Vec::new()),
            Proof::ProvedWith(identity, fields) => self.verdict_of(identity, fields),
            Proof::Missing => Verdict::Missing,
            Proof::Refused(refusal) => Verdict::Refused(refusal),
            Proof::Answer(reply) => Verdict::Answer(reply),
            // A proof that still waits proves nothing; whoever waited has asked again by now.
            Proof::Wait(_) => Verdict::Refused(Code::AuthenticationUnavailable.into()),
            Proof::Body(most) => Verdict::Body(most),
        }
    }

    fn verdict_of(&self, identity: Arc<Identity>, fields: Vec<Line>) -> Verdict {
        match identity.consumer.as_ref().filter(|consumer| !consumer.enabled) {
            None => Verdict::Proved(identity, fields),
            Some(consumer) => Verdict::Refused(Refusal {
                code: self.refused(),
                challenge: self.challenge(),
                detail: Some(format!("the consumer `{}` is switched off", consumer.name).into()),
            }),
        }
    }

    /// Adds the names of the headers that it sets.
    fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        match self {
            Self::ApiKey(policy) => policy.owned(names),
            Self::Basic(policy) => policy.owned(names),
            Self::Mtls(policy) => policy.owned(names),
            Self::ForwardAuth(policy) => policy.owned(names),
            Self::Introspection(policy) => policy.owned(names),
            Self::Jwt(policy) => policy.owned(names),
            Self::Oidc(policy) => policy.owned(names),
            #[cfg(test)]
            Self::Fixed(_) => {}
        }
    }
}

/// Credentials and how many of them it takes.
pub enum Node {
    /// By its place in the list of credentials.
    One(usize),
    Any(Vec<Node>),
    All(Vec<Node>),
}

/// The credentials of a tree that is being compiled.
#[derive(Default)]
pub struct Tree {
    credentials: Vec<Credential>,
}

impl Tree {
    /// The parts of a node, each a credential or a node of its own.
    pub fn branches(&mut self, plans: &[plan::Policy], context: &Context<'_>) -> Result<Vec<Node>, Problem> {
        plans.iter().map(|plan| self.branch(plan, context)).collect()
    }

    fn branch(&mut self, plan: &plan::Policy, context: &Context<'_>) -> Result<Node, Problem> {
        match plan {
            plan::Policy::AnyOf(plan) => any_of::node(plan, self, context),
            plan::Policy::AllOf(plan) => all_of::node(plan, self, context),
            one => {
                let (credential, _) = Credential::compile(one, context)?;
                self.credentials.push(credential);
                Ok(Node::One(self.credentials.len() - 1))
            }
        }
    }

    /// The authentication of a route; whatever its credentials set belongs to the gateway.
    pub fn grown(self, root: Node, optional: bool, context: &Context<'_>) -> Arc<Authentication> {
        let mut owned = context.owned.borrow_mut();
        self.credentials.iter().for_each(|credential| credential.owned(&mut owned));
        let missing = match &*self.credentials {
            [only] => only.missing(),
            _ => Code::MissingCredentials,
        };
        Arc::new(Authentication::new(self.credentials, root, optional, missing))
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
        let is_set = |name: &[u8]| {
            earlier.as_ref().is_some_and(|earlier| earlier.lines.iter().any(|(known, _)| **known == *name))
        };
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

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::rc::Rc;

    use super::*;
    use crate::clock::Clock;
    use crate::exchange::Connection;
    use crate::snapshot::{Pinned, Snapshot};
    use crate::state::State;
    use crate::telemetry::Wall;
    use crate::telemetry::metrics::Registry;

    /// A credential that says what the test wants it to say.
    pub struct Fixed {
        pub name: &'static str,
        says: Says,
    }

    #[derive(Clone, Copy)]
    enum Says {
        Yes,
        Missing,
        No,
        Later,
        Login,
    }

    thread_local!(static ASKED: Cell<usize> = const { Cell::new(0) });

    impl Fixed {
        pub fn check(&self) -> Proof {
            ASKED.set(ASKED.get() + 1);
            let identity = Arc::new(Identity {
                subject: Some(self.name.into()),
                lines: vec![(self.name.as_bytes().into(), b"1".as_slice().into())],
                ..Identity::default()
            });
            match self.says {
                Says::Yes => Proof::Proved(identity),
                Says::Missing => Proof::Missing,
                Says::No => Proof::Refused(Refusal { detail: Some(self.name.into()), ..Code::InvalidToken.into() }),
                Says::Later => {
                    let field = (b"set-cookie".as_slice().into(), self.name.as_bytes().into());
                    Proof::Wait(Box::new(move |_| Box::pin(async move { Proof::ProvedWith(identity, vec![field]) })))
                }
                Says::Login => Proof::Answer(Box::new(Reply { status: 302, ..Reply::default() })),
            }
        }
    }

    fn exchange() -> (Local, Exchange) {
        let wall = Arc::new(Wall::new(Clock::default()));
        let registry = Registry::new(1, wall.clone());
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let connection = Connection {
            peer,
            local: peer,
            tls: false,
            listener: "l".into(),
            server_name: None,
            client_certificate: None,
        };
        let snapshot = Arc::new(Snapshot::empty(&registry, &State::new()));
        (Local::new(wall, 0), Exchange::new(Pinned::new(snapshot), Rc::new(connection), 0))
    }

    fn one(says: Says, name: &'static str) -> Credential {
        Credential::Fixed(Fixed { name, says })
    }

    fn tree(credentials: Vec<Credential>, root: Node, optional: bool) -> Arc<Authentication> {
        Arc::new(Authentication::new(credentials, root, optional, Code::MissingCredentials))
    }

    /// Subject, or code, or status of an answer.
    fn outcome(flow: &Flow, exchange: &Exchange) -> String {
        match flow {
            Flow::Continue => exchange.identity.as_ref().map_or("nobody", |it| it.subject.as_deref().unwrap()).into(),
            Flow::Respond(failure) => failure.to_string(),
            Flow::Answer(reply) => reply.status.to_string(),
            Flow::Wait(_) | Flow::Body(_) => "waits".into(),
        }
    }

    #[test]
    fn any_takes_the_first_that_proves_and_all_take_every_one() {
        use Says::{Login, Missing, No, Yes};
        let any = |says: &[Says]| (says.to_vec(), true);
        let all = |says: &[Says]| (says.to_vec(), false);
        for ((says, any), optional, expected) in [
            (any(&[Missing, Yes, Yes]), false, "b"),
            (any(&[No, Yes]), false, "b"),
            (any(&[Missing, No]), false, "invalid_token: b"),
            (any(&[No, No]), false, "invalid_token: a"),
            (any(&[No, Missing]), true, "invalid_token: a"),
            (any(&[Missing, Missing]), false, "missing_credentials"),
            (any(&[Missing, Missing]), true, "nobody"),
            (any(&[Missing, Login]), false, "302"),
            (any(&[No, Login]), false, "invalid_token: a"),
            (all(&[Yes, Yes]), false, "a"),
            (all(&[Yes, Missing]), false, "missing_credentials"),
            (all(&[Yes, No]), true, "invalid_token: b"),
            (all(&[Missing, Yes]), true, "nobody"),
        ] {
            let (local, mut exchange) = exchange();
            let nodes = (0..says.len()).map(Node::One).collect();
            let names = ["a", "b", "c"];
            let credentials = says.iter().zip(names).map(|(says, name)| one(*says, name)).collect();
            let root = if any { Node::Any(nodes) } else { Node::All(nodes) };
            let flow = tree(credentials, root, optional).on_request(&local, &mut exchange);
            assert_eq!(outcome(&flow, &exchange), expected);
            if matches!(flow, Flow::Respond(_)) && expected == "missing_credentials" {
                assert_eq!(exchange.refusal.get_all(b"www-authenticate").count(), says.len());
            }
        }
    }

    #[test]
    fn what_all_prove_goes_to_the_service_together() {
        let (local, mut exchange) = exchange();
        let tree =
            tree(vec![one(Says::Yes, "a"), one(Says::Yes, "b")], Node::All(vec![Node::One(0), Node::One(1)]), false);
        assert!(matches!(tree.on_request(&local, &mut exchange), Flow::Continue));
        assert!(exchange.request.head.contains(b"a") && exchange.request.head.contains(b"b"));
    }

    // Of two lines with one name, a service takes the one it likes.
    #[test]
    fn a_policy_behind_another_does_not_say_once_more_who_calls() {
        let (local, mut exchange) = exchange();
        for name in ["a", "a", "b"] {
            let policy = tree(vec![one(Says::Yes, name)], Node::One(0), false);
            assert!(matches!(policy.on_request(&local, &mut exchange), Flow::Continue));
        }
        for name in [b"a", b"b"] {
            assert_eq!(exchange.request.head.get_all(name).count(), 1);
        }
    }

    #[test]
    fn no_credential_is_asked_twice_while_others_wait() {
        let (local, mut exchange) = exchange();
        let nodes = vec![Node::One(0), Node::Any(vec![Node::One(1), Node::One(2)])];
        let credentials = vec![one(Says::Yes, "a"), one(Says::No, "b"), one(Says::Later, "c")];
        let tree = tree(credentials, Node::All(nodes), false);
        ASKED.set(0);
        let mut known: Known = (0..3).map(|_| None).collect();
        let Verdict::Wait(index, _) = tree.decide(&tree.root, &local, &exchange, &mut known) else { panic!("waits") };
        assert_eq!((index, ASKED.get()), (2, 3));
        let identity = Arc::new(Identity { subject: Some("c".into()), ..Identity::default() });
        known[2] = Some(Proof::ProvedWith(identity, vec![(b"set-cookie".as_slice().into(), b"c".as_slice().into())]));
        let flow = tree.go_on(&local, &mut exchange, known);
        assert_eq!(outcome(&flow, &exchange), "a");
        assert_eq!((ASKED.get(), exchange.answer_lines.len()), (3, 1));
    }
}
