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
            subject: self.name.into(),
            lines: [(self.name, "1")].into_iter().collect(),
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
    let connection =
        Connection { peer, local: peer, tls: false, listener: "l".into(), server_name: None, client_certificate: None };
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
        Flow::Continue => exchange.identity.as_ref().map_or("nobody", |it| it.subject().unwrap()).into(),
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
    let tree = tree(vec![one(Says::Yes, "a"), one(Says::Yes, "b")], Node::All(vec![Node::One(0), Node::One(1)]), false);
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
    let identity = Arc::new(Identity { subject: "c".into(), ..Identity::default() });
    known[2] = Some(Proof::ProvedWith(identity, vec![(b"set-cookie".as_slice().into(), b"c".as_slice().into())]));
    let flow = tree.go_on(&local, &mut exchange, known);
    assert_eq!(outcome(&flow, &exchange), "a");
    assert_eq!((ASKED.get(), exchange.answer_lines.len()), (3, 1));
}
