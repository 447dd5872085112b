//! Trees of credentials, while they are compiled.

use std::sync::Arc;

use super::{Authentication, Credential};
use crate::pipeline::Context;
use crate::plan;
use crate::policies::{all_of, any_of};
use crate::problem::Problem;
use crate::respond::Code;

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
    pub(super) credentials: Vec<Credential>,
}

impl Tree {
    /// The parts of a node, each a credential or a node of its own.
    pub fn branches(&mut self, plans: &[plan::Policy], context: &Context<'_>) -> Result<Vec<Node>, Problem> {
        plans.iter().map(|plan| self.branch(plan, context)).collect()
    }

    pub(super) fn branch(&mut self, plan: &plan::Policy, context: &Context<'_>) -> Result<Node, Problem> {
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
