//! Answers with one of several services, chosen for each request.
//!
//! The side is chosen behind the policies that decide and before those that speak to the service (see [`crate::pipeline`]), so
//! that a token for the service is made for the one that gets it.

mod race;

use std::rc::Rc;
use std::sync::Arc;

use crate::actions::proxy::Proxy;
use crate::canary::{Canary, Names, Settings};
use crate::exchange::Exchange;
use crate::pipeline::Context;
use crate::plan;
use crate::policies::Local;
use crate::policies::limit_key::LimitKey;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::routing::Lookup;
use crate::sides::Client;
use crate::telemetry::metrics::RouteSeries;
use crate::wheel::Alarm;
use crate::worker::Worker;
pub use race::Weights;

pub struct Split {
    sides: Box<[Side]>,
    weights: Arc<Weights>,
    /// `None`: each request by itself.
    key: Option<LimitKey>,
    header: Option<Box<str>>,
    cookie: Option<Box<str>>,
    believe_anyone: bool,
    /// Sets the weights, where they are not those of the document.
    canary: Option<(Arc<Canary>, Settings)>,
}

/// One of the services.
pub struct Side {
    pub name: Box<str>,
    pub proxy: Proxy,
    pub series: Arc<RouteSeries>,
}

/// Bits of an IPv6 address that tell clients apart, where the key is an address.
const IPV6_PREFIX: u8 = 64;

impl Split {
    /// Problems have a path relative to the route.
    pub fn compile(plan: &plan::Split, route: &str, context: &Context<'_>) -> Result<Self, Problem> {
        let side = |(index, side): (usize, &plan::Side)| {
            let proxy = Proxy::compile(&side.proxy, context)
                .map_err(|problem| Problem { path: format!("split.services[{index}].{}", problem.path), ..problem })?;
            let series = context.registry.route(route, &side.proxy.service);
            Ok(Side { name: side.name.as_str().into(), proxy, series })
        };
        let sides = plan.sides.iter().enumerate().map(side).collect::<Result<Box<[_]>, Problem>>()?;
        let key = match plan.key.is_empty() {
            true => None,
            false => Some(LimitKey::compile(&plan.key, IPV6_PREFIX)?),
        };
        let canary = plan.canary.as_ref().map(|plan| compile_canary(plan, route, &sides, context)).transpose()?;
        let weights = match &canary {
            Some((canary, _)) => canary.weights().clone(),
            None => Arc::new(Weights::new(plan.sides.iter().map(|side| (&*side.proxy.service, side.weight)))),
        };
        Ok(Self {
            weights,
            sides,
            key,
            header: plan.header.as_deref().map(Into::into),
            cookie: plan.cookie.as_deref().map(Into::into),
            believe_anyone: plan.believe_anyone,
            canary,
        })
    }

    /// The side of an exchange, once it is chosen.
    pub fn side(&self, index: Option<u16>) -> Option<&Side> {
        self.sides.get(usize::from(index?))
    }

    pub fn service_name(&self, side: Option<u16>) -> &str {
        self.side(side).map_or("", |side| &side.proxy.service_name)
    }

    pub fn canary(&self) -> Option<(&Arc<Canary>, &Settings)> {
        self.canary.as_ref().map(|(canary, settings)| (canary, settings))
    }

    /// Chooses the side, and notes it in the exchange.
    pub fn choose(&self, local: &Local, exchange: &mut Exchange) {
        let side = self.told(exchange).unwrap_or_else(|| self.weights.draw(self.point(local, exchange)));
        exchange.side = Some(side as u16);
    }

    /// The side that the request itself asks for. Who is not believed must not be believed by the next gateway for our sake.
    fn told(&self, exchange: &mut Exchange) -> Option<usize> {
        let believed = self.believe_anyone || exchange.trusted;
        let named = |value: &[u8]| self.sides.iter().position(|side| side.name.as_bytes() == value);
        if let Some(header) = &self.header {
            if !believed {
                exchange.request.head.remove(header.as_bytes());
            } else if let Some(side) = exchange.request.head.get(header.as_bytes()).and_then(named) {
                return Some(side);
            }
        }
        let cookie = self.cookie.as_deref().filter(|_| believed)?;
        let mut side = None;
        exchange.request.any_cookie(cookie, &mut |value| {
            side = named(value);
            side.is_some()
        });
        side
    }

    /// Where the request stands among all that there can be: by its key, else anywhere.
    fn point(&self, local: &Local, exchange: &mut Exchange) -> u64 {
        let Some(key) = &self.key else { return local.random() };
        let mut text = std::mem::take(&mut exchange.scratch);
        text.clear();
        let point = if key.write(exchange, &mut text) { race::point(&text) } else { local.random() };
        text.clear();
        exchange.scratch = text;
        point
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        match self.side(exchange.side) {
            Some(side) => side.proxy.run(worker, client, exchange, alarm).await,
            None => Err(Failure::with(Code::InternalError, "no side was chosen")),
        }
    }
}

/// The canary of a route, as it was before a reload.
fn compile_canary(
    plan: &plan::Canary,
    route: &str,
    sides: &[Side],
    context: &Context<'_>,
) -> Result<(Arc<Canary>, Settings), Problem> {
    let [baseline, canary] = sides else {
        return Err(Problem::new("canary", "config.bad_value", "a canary stands beside one other service"));
    };
    if plan.steps.is_empty() {
        return Err(Problem::new("canary.steps", "config.bad_value", "there is no step"));
    }
    let settings = Settings::compile(plan);
    let names = Names {
        route: route.to_owned(),
        baseline: baseline.proxy.service_name.to_string(),
        service: canary.proxy.service_name.to_string(),
        name: plan.name.clone(),
    };
    let make = || Canary::new(names.clone(), &settings, baseline.series.clone(), canary.series.clone());
    Ok((context.state.canaries.of(&names, make), settings))
}
