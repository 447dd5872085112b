//! Answers with what a service answers.

use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::plan;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::routing::UpstreamTarget;
use crate::serve::deliver;
use crate::sides::Client;
use crate::snapshot::ServiceIndex;
use crate::upstream::call::{self, Asked, Begun, Order};
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
}

impl Proxy {
    pub fn compile(plan: &plan::Proxy, services: &ServiceIndex<'_>) -> Result<Self, Problem> {
        let Some((index, service)) = services.get(plan.service.as_str()) else {
            let message = format!("no service is named `{}`", plan.service);
            return Err(Problem::new("service", "config.unknown_name", message));
        };
        Ok(Self {
            service_name: plan.service.as_str().into(),
            service: *index,
            target: UpstreamTarget::compile(plan, &service.plan)?,
            host: service.host.clone(),
            preserve_host: plan.preserve_host,
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
            target,
            host: preserved.as_deref().unwrap_or(&self.host),
            hash,
            deadline: call::deadline(exchange.started_micros / 1000, timeout),
        };
        let Begun { mut upstream, mut transfer, answered } =
            call::call(worker, client, &mut Asked::by(exchange), alarm, &order).await?;
        let snapshot = exchange.snapshot.clone();
        let service = &snapshot.services[self.service];
        service.affinity.keep(service, hash, exchange);
        deliver(worker, client, exchange, &mut upstream, &mut transfer, answered).await
    }
}
