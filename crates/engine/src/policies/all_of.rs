//! Wants several kinds of credentials at once.

use std::sync::Arc;

use crate::pipeline::Context;
use crate::plan;
use crate::policies::authentication::{Authentication, Node, Tree};
use crate::problem::Problem;

pub fn compile(plan: &plan::Credentials, context: &Context<'_>) -> Result<Arc<Authentication>, Problem> {
    let mut tree = Tree::default();
    let root = node(plan, &mut tree, context)?;
    Ok(tree.grown(root, plan.optional, context))
}

pub(super) fn node(plan: &plan::Credentials, tree: &mut Tree, context: &Context<'_>) -> Result<Node, Problem> {
    tree.branches(&plan.of, context).map(Node::All)
}
