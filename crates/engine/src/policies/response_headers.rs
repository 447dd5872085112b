//! Removes, sets and adds fields of the answer before it goes to the client.

use crate::exchange::Exchange;
use crate::plan;
use crate::policies::header_edits::HeaderEdits;
use crate::problem::Problem;

pub struct ResponseHeaders(HeaderEdits);

impl ResponseHeaders {
    pub fn compile(plan: &plan::HeaderEdits) -> Result<Self, Vec<Problem>> {
        HeaderEdits::compile(plan).map(Self)
    }

    pub fn on_response(&self, exchange: &mut Exchange) {
        self.0.apply(exchange, |exchange| &mut exchange.answer.head);
    }
}
