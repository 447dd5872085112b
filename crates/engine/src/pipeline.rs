//! The order of the policies.

use std::pin::Pin;

use crate::exchange::Exchange;
use crate::plan;
use crate::policies::Local;
use crate::policies::forwarded::Forwarded;
use crate::policies::request_headers::RequestHeaders;
use crate::policies::request_id::RequestId;
use crate::policies::response_headers::ResponseHeaders;
use crate::policies::trace_context::TraceContext;
use crate::problem::Problem;
use crate::respond::Failure;

/// One policy, compiled. The variants stand in the order in which they act, on requests and on answers alike.
enum Policy {
    /// First: whatever happens next, the answer and the log can name the request.
    RequestId(RequestId),
    /// Before anything that could call a service: such a call belongs to the same trace.
    TraceContext(TraceContext),
    /// Behind every decision: only a request that goes on pays for its forwarding fields.
    Forwarded(Forwarded),
    /// Behind the gateway's own fields: the document has the last word on what the service sees.
    RequestHeaders(RequestHeaders),
    /// Last on the answer, for the same reason.
    ResponseHeaders(ResponseHeaders),
}

/// What a policy wants done with the request.
pub enum Flow {
    Continue,
    /// The gateway answers: the service is never called.
    Respond(Failure),
    /// The policy needs something that is not here yet; the pipeline goes on behind it when the future is ready.
    Wait(Waiting),
}

/// What is being waited for, and where the pipeline goes on: hand `next` to [`Pipeline::on_request_from`].
pub struct Waiting {
    pub future: LocalBoxFuture,
    pub next: usize,
}

/// A future of one worker; it owns what it needs, since the exchange stays with its task.
pub type LocalBoxFuture = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// The policies of one route, compiled once and shared by all of its exchanges.
#[derive(Default)]
pub struct Pipeline {
    policies: Box<[Policy]>,
}

impl Pipeline {
    pub fn compile(policies: &[plan::Policy]) -> Result<Self, Problem> {
        let compile = |(index, policy)| {
            Policy::compile(policy)
                .map_err(|problem| Problem { path: format!("policies[{index}].{}", problem.path), ..problem })
        };
        let mut policies = policies.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
        policies.sort_by_key(Policy::rank);
        Ok(Self { policies: policies.into() })
    }

    /// Runs every policy on the request; the engine has called `trust::admit` before, and matched the route.
    pub fn on_request(&self, local: &Local, exchange: &mut Exchange) -> Flow {
        self.on_request_from(0, local, exchange)
    }

    /// As [`Pipeline::on_request`], from the policy that a [`Waiting`] names.
    pub fn on_request_from(&self, first: usize, local: &Local, exchange: &mut Exchange) -> Flow {
        for policy in self.policies.iter().skip(first) {
            match policy {
                Policy::RequestId(policy) => policy.on_request(local, exchange),
                Policy::TraceContext(policy) => policy.on_request(local, exchange),
                Policy::Forwarded(policy) => policy.on_request(exchange),
                Policy::RequestHeaders(policy) => policy.on_request(exchange),
                Policy::ResponseHeaders(_) => {}
            }
        }
        Flow::Continue
    }

    /// Runs every policy on the head of the answer, whoever made it, before it goes to the client.
    pub fn on_response(&self, exchange: &mut Exchange) {
        for policy in &self.policies {
            match policy {
                Policy::RequestId(policy) => policy.on_response(exchange),
                Policy::Forwarded(policy) => policy.on_response(exchange),
                Policy::ResponseHeaders(policy) => policy.on_response(exchange),
                Policy::TraceContext(_) | Policy::RequestHeaders(_) => {}
            }
        }
    }
}

impl Policy {
    fn compile(plan: &plan::Policy) -> Result<Self, Problem> {
        Ok(match plan {
            plan::Policy::RequestId(plan) => Self::RequestId(RequestId::compile(plan)),
            plan::Policy::TraceContext(plan) => Self::TraceContext(TraceContext::compile(plan)),
            plan::Policy::Forwarded(plan) => Self::Forwarded(Forwarded::compile(plan)),
            plan::Policy::RequestHeaders(plan) => Self::RequestHeaders(RequestHeaders::compile(plan)?),
            plan::Policy::ResponseHeaders(plan) => Self::ResponseHeaders(ResponseHeaders::compile(plan)?),
        })
    }

    /// Its place: the order of the variants.
    fn rank(&self) -> usize {
        match self {
            Self::RequestId(_) => 0,
            Self::TraceContext(_) => 1,
            Self::Forwarded(_) => 2,
            Self::RequestHeaders(_) => 3,
            Self::ResponseHeaders(_) => 4,
        }
    }
}
