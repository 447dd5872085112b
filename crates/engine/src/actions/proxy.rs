//! Answers with what a service answers.

use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::pipeline::Context;
use crate::plan;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::routing::UpstreamTarget;
use crate::serve::deliver;
use crate::sides::Client;
use crate::upstream::call::{self, Asked, Begun, Order};
use crate::upstream::calling::Calling;
use crate::upstream::deadline::Deadline;
use crate::wheel::Alarm;
use crate::worker::Worker;

pub struct Proxy {
    pub service_name: Box<str>,
    /// Index into the snapshot's services.
    service: usize,
    target: UpstreamTarget,
    /// What `Host` says when the client's is not preserved.
    host: Arc<[u8]>,
    preserve_host: bool,
    calling: Arc<Calling>,
}

impl Proxy {
    pub fn compile(plan: &plan::Proxy, context: &Context<'_>) -> Result<Self, Problem> {
        let Some((index, service)) = context.services.get(plan.service.as_str()) else {
            let message = format!("no service is named `{}`", plan.service);
            return Err(Problem::new("service", "config.unknown_name", message));
        };
        Ok(Self {
            service_name: plan.service.as_str().into(),
            service: *index,
            target: UpstreamTarget::compile(plan, &service.plan)?,
            host: service.host.clone(),
            preserve_host: plan.preserve_host,
            calling: context.calling(&service.name, plan.calling.as_deref().unwrap_or(&service.plan.calling)),
        })
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let mut target = std::mem::take(&mut exchange.scratch);
        let hash = exchange.snapshot.services[self.service].affinity.of(exchange, &mut target);
        target.clear();
        let written = self.target.write(exchange, &exchange.captures, &mut target);
        let ended = match written {
            Ok(()) => self.call(worker, client, exchange, alarm, &target, hash).await,
            Err(error) => Err(Failure::with(Code::BadPath, error)),
        };
        exchange.scratch = target;
        ended
    }

    /// What would be sent, for `explain`: the service's index and the `Host`; the target goes to `target`.
    pub fn preview<'a>(&'a self, exchange: &'a Exchange, target: &mut Vec<u8>) -> Result<(usize, &'a [u8]), Failure> {
        let written = self.target.write(exchange, &exchange.captures, target);
        written.map_err(|error| Failure::with(Code::BadPath, error))?;
        let authority = exchange.request.authority();
        let host = if self.preserve_host && !authority.is_empty() { authority } else { &self.host };
        Ok((self.service, host))
    }

    async fn call<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
        target: &[u8],
        hash: Option<u64>,
    ) -> Result<(), Failure> {
        let authority = exchange.request.authority;
        // Kept apart, as the exchange is borrowed anew by every attempt.
        let preserved = match self.preserve_host && authority.len > 0 {
            true => Some(Box::<[u8]>::from(exchange.request.authority())),
            false => None,
        };
        let timeout = exchange.route().and_then(|route| route.timeout_ms);
        let order = Order {
            service: self.service,
            calling: &self.calling,
            target,
            host: preserved.as_deref().unwrap_or(&self.host),
            hash,
            deadline: Deadline::of(exchange, timeout, &self.calling),
        };
        let mut begun = call::call(worker, client, &mut Asked::by(exchange), alarm, &order).await?;
        let snapshot = exchange.snapshot.clone();
        let service = &snapshot.services[self.service];
        service.affinity.keep(service, hash, exchange);
        let Begun { upstream, transfer, answered, .. } = &mut begun;
        let ended = deliver(worker, client, exchange, upstream, transfer, *answered).await;
        begun.over(worker, &ended);
        ended
    }
}
