//! Answers with an ASGI application of the user's, through the bridge.

use std::rc::Rc;

use crate::actions::handler::Handler;
use crate::exchange::Exchange;
use crate::plan;
use crate::respond::Failure;
use crate::sides::Client;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// An application, by its number: to the bridge it is one handler more, that is told where in the path it begins.
pub struct App {
    handler: Handler,
    strip_path: bool,
}

impl App {
    pub fn compile(plan: &plan::App) -> Self {
        Self { handler: Handler::compile(&plan.handler), strip_path: plan.strip_path }
    }

    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let root = if self.strip_path { exchange.captures.stripped() } else { 0 };
        self.handler.run_below(root, worker, client, exchange, alarm).await
    }
}
