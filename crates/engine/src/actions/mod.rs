//! What answers: one file a kind of action. A route has exactly one.

use std::rc::Rc;
use std::sync::Arc;

use mirror::Mirrored;

use crate::exchange::Exchange;
use crate::pipeline::Context;
use crate::plan;
use crate::problem::Problem;
use crate::respond::Failure;
use crate::sides::Client;
use crate::wheel::Alarm;
use crate::worker::Worker;

pub mod app;
pub mod compose;
pub mod handler;
pub mod mirror;
pub mod proxy;
pub mod redirect;
pub mod respond;
pub mod signing_keys;
pub mod split;

/// An action, compiled.
pub enum Action {
    Proxy(proxy::Proxy),
    Split(Arc<split::Split>),
    Mirror(Box<mirror::Mirror>),
    Compose(Box<compose::Compose>),
    Respond(respond::Respond),
    Redirect(redirect::Redirect),
    Handler(handler::Handler),
    App(app::App),
    SigningKeys(signing_keys::SigningKeys),
}

impl Action {
    /// Problems have a path relative to the route.
    pub fn compile(route: &plan::Route, context: &Context<'_>) -> Result<Self, Vec<Problem>> {
        Ok(match &route.action {
            plan::Action::Proxy(plan) => Self::Proxy(proxy::Proxy::compile(plan, context)?),
            plan::Action::Split(plan) => Self::Split(Arc::new(split::Split::compile(plan, &route.name, context)?)),
            plan::Action::Mirror(plan) => Self::Mirror(Box::new(mirror::Mirror::compile(plan, &route.name, context)?)),
            plan::Action::Compose(plan) => {
                Self::Compose(Box::new(compose::Compose::compile(plan, &route.name, context)?))
            }
            plan::Action::Respond(plan) => Self::Respond(respond::Respond::compile(plan)?),
            plan::Action::Redirect(plan) => Self::Redirect(redirect::Redirect::compile(plan)?),
            plan::Action::Handler(plan) => Self::Handler(handler::Handler::compile(plan)),
            plan::Action::App(plan) => Self::App(app::App::compile(plan)),
            plan::Action::SigningKeys(plan) => {
                Self::SigningKeys(signing_keys::SigningKeys::compile(plan, &context.state.signing))
            }
        })
    }

    /// The service this action calls; empty when it calls none, or none is chosen yet.
    pub fn service_name(&self, side: Option<u16>) -> &str {
        match self {
            Self::Proxy(proxy) => &proxy.service_name,
            Self::Split(split) => split.service_name(side),
            Self::Mirror(mirror) => match &mirror.action {
                Mirrored::Proxy(proxy) => &proxy.service_name,
                Mirrored::Split(split) => split.service_name(side),
            },
            Self::Compose(_)
            | Self::Respond(_)
            | Self::Redirect(_)
            | Self::Handler(_)
            | Self::App(_)
            | Self::SigningKeys(_) => "",
        }
    }

    /// What chooses one of several services.
    pub fn split(&self) -> Option<&Arc<split::Split>> {
        match self {
            Self::Split(split) => Some(split),
            Self::Mirror(mirror) => match &mirror.action {
                Mirrored::Split(split) => Some(split),
                Mirrored::Proxy(_) => None,
            },
            _ => None,
        }
    }

    /// What sends the request to its service, once that is chosen.
    pub fn proxy(&self, side: Option<u16>) -> Option<&proxy::Proxy> {
        match self {
            Self::Proxy(proxy) => Some(proxy),
            Self::Mirror(mirror) => match &mirror.action {
                Mirrored::Proxy(proxy) => Some(proxy),
                Mirrored::Split(split) => Some(&split.side(side)?.proxy),
            },
            Self::Split(split) => Some(&split.side(side)?.proxy),
            _ => None,
        }
    }

    /// Answers the exchange. A failure before the head of the answer becomes a problem document.
    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        match self {
            Self::Proxy(proxy) => proxy.run(worker, client, exchange, alarm).await,
            Self::Split(split) => split.run(worker, client, exchange, alarm).await,
            Self::Mirror(mirror) => mirror.run(worker, client, exchange, alarm).await,
            // Apart, since its future is large.
            Self::Compose(compose) => Box::pin(compose.run(worker, client, exchange, alarm)).await,
            Self::Respond(respond) => respond.run(worker, client, exchange, alarm).await,
            Self::Redirect(redirect) => redirect.run(worker, client, exchange, alarm).await,
            Self::Handler(handler) => handler.run(worker, client, exchange, alarm).await,
            Self::App(app) => app.run(worker, client, exchange, alarm).await,
            Self::SigningKeys(keys) => keys.run(worker, client, exchange, alarm).await,
        }
    }
}
