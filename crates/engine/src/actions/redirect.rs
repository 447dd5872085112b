//! Sends the client elsewhere.

use std::rc::Rc;

use crate::exchange::Exchange;
use crate::plan;
use crate::problem::Problem;
use crate::respond::{Code, Failure};
use crate::serve::say;
use crate::sides::Client;
use crate::template::{Destination, Template};
use crate::wheel::Alarm;
use crate::worker::Worker;

pub struct Redirect {
    status: u16,
    location: Template,
    keep_query: bool,
}

impl Redirect {
    pub fn compile(plan: &plan::Redirect) -> Result<Self, Problem> {
        let location = Template::compile(&plan.location, Destination::Location)
            .map_err(|message| Problem::new("action.location", "routing.bad_location", message))?;
        Ok(Self { status: plan.status, location, keep_query: plan.keep_query })
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let mut location = Vec::with_capacity(128);
        let query = exchange.request.query().filter(|_| self.keep_query);
        let rendered = self.location.render_with_query(exchange, query, &mut location);
        rendered.map_err(|error| Failure::with(Code::BadPath, error))?;
        exchange.answer.head.add(b"location", &location);
        say(worker, client, exchange, alarm, self.status, b"").await
    }
}
