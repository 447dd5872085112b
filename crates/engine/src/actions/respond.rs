//! Answers with a fixed text, perhaps with references.

use std::rc::Rc;

use crate::exchange::Exchange;
use crate::plan;
use crate::problem::Problem;
use crate::respond::Failure;
use crate::serve::say;
use crate::sides::Client;
use crate::template::{Destination, Template};
use crate::wheel::Alarm;
use crate::worker::Worker;

pub struct Respond {
    status: u16,
    headers: Vec<(Box<[u8]>, Template)>,
    body: Template,
}

impl Respond {
    pub fn compile(plan: &plan::Respond) -> Result<Self, Problem> {
        let mut headers = Vec::with_capacity(plan.headers.len());
        let mut content_type = String::new();
        for (index, header) in plan.headers.iter().enumerate() {
            let value = Template::compile(&header.value, Destination::Header).map_err(|message| {
                Problem::new(format!("action.headers[{index}]"), "config.bad_header_value", message)
            })?;
            if header.name == "content-type" {
                content_type = String::from_utf8_lossy(value.literal().unwrap_or_default()).into_owned();
            }
            headers.push((header.name.as_bytes().into(), value));
        }
        let body = Template::compile(&plan.body, Destination::body(&content_type))
            .map_err(|message| Problem::new("action.body", "config.bad_body", message))?;
        Ok(Self { status: plan.status, headers, body })
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let mut text = std::mem::take(&mut exchange.scratch);
        for (name, value) in &self.headers {
            text.clear();
            // Only paths and locations can fail to render.
            let _ = value.render(exchange, &mut text);
            exchange.answer.head.add(name, &text);
        }
        text.clear();
        let _ = self.body.render(exchange, &mut text);
        let said = match self.body.literal() {
            Some(body) => say(worker, client, exchange, alarm, self.status, body).await,
            None => say(worker, client, exchange, alarm, self.status, &text).await,
        };
        exchange.scratch = text;
        said
    }
}
