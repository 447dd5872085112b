//! The kinds of credentials, one list of them for all that is asked of each.

use std::sync::Arc;

use super::{Proof, Refusal, Verdict};
use crate::exchange::{Exchange, Request};
use crate::identity::{Identity, Line};
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::api_key::ApiKey;
use crate::policies::basic::Basic;
use crate::policies::forward_auth::ForwardAuth;
use crate::policies::introspection::Introspection;
use crate::policies::jwt::Jwt;
use crate::policies::mtls::Mtls;
use crate::policies::oidc::Oidc;
use crate::problem::Problem;
use crate::respond::Code;

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
    Fixed(super::tests::Fixed),
}

impl Credential {
    /// Compiles a policy that is a credential, and says whether requests may do without it.
    pub(super) fn compile(plan: &plan::Policy, context: &Context<'_>) -> Result<(Self, bool), Problem> {
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

    pub(super) fn check(&self, local: &Local, exchange: &Exchange) -> Proof {
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
    pub(super) fn strip(&self, request: &mut Request) {
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

    pub(super) fn challenge(&self) -> Option<Box<[u8]>> {
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
    pub(super) fn missing(&self) -> Code {
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
    pub(super) fn verdict(&self, proof: Proof) -> Verdict {
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
    pub(super) fn owned(&self, names: &mut Vec<Box<[u8]>>) {
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
