//! Wants several kinds of credentials at once.

use crate::pipeline::Context;
use crate::plan;
use crate::policies::authentication::{Node, Tree};
use crate::problem::Problem;

pub(super) fn node(plan: &plan::Credentials, tree: &mut Tree, context: &Context<'_>) -> Result<Node, Problem> {
    tree.branches(&plan.of, context).map(Node::All)
}
