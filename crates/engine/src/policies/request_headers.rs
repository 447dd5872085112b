//! Removes, sets and adds fields of the request before it goes to the service.

use crate::exchange::Exchange;
use crate::plan;
use crate::policies::header_edits::HeaderEdits;
use crate::problem::Problem;

pub struct RequestHeaders(HeaderEdits);

impl RequestHeaders {
    pub fn compile(plan: &plan::HeaderEdits) -> Result<Self, Vec<Problem>> {
        HeaderEdits::compile(plan).map(Self)
    }

    pub fn on_request(&self, exchange: &mut Exchange) {
        self.0.apply(exchange, |exchange| &mut exchange.request.head);
    }
}
