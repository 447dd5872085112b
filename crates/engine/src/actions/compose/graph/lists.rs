//! The items of a call that is made for each of a list.

use super::{Broken, Graph, Phase};
use crate::actions::compose::fault::Fault;
use crate::actions::compose::items::Items;
use crate::json::Document;

impl Graph<'_> {
    pub(super) fn begin_items(&mut self, index: usize) -> Result<(), Broken> {
        let call = &self.compose.calls[index];
        let room = self.compose.max_calls - self.made;
        let lined = match call.line_up(self, &self.carried, room) {
            Ok(lined) => lined,
            Err(fault) => return self.fail(index, self.of_hole(call, fault)),
        };
        let hole = lined.places.iter().find_map(|place| place.as_ref().err());
        if let Some(fault) = hole.filter(|_| !call.fails_singly()) {
            let fault = self.of_hole(call, fault.clone());
            return self.fail(index, fault);
        }
        self.nodes[index].items = Some(Items::new(lined));
        self.go_on(index)
    }

    pub(super) fn receive_item(
        &mut self,
        index: usize,
        request: u32,
        judged: Result<Document, Fault>,
    ) -> Result<(), Broken> {
        match judged {
            Err(fault) if !self.compose.calls[index].fails_singly() => return self.fail(index, fault),
            judged => {
                let Some(items) = &mut self.nodes[index].items else { return Ok(()) };
                items.landed(request, judged);
            }
        }
        self.go_on(index)
    }

    /// Sends as many requests as may be under way, and ends the call behind the last.
    fn go_on(&mut self, index: usize) -> Result<(), Broken> {
        let most = self.compose.calls[index].concurrency();
        while let Some(items) = self.nodes[index].items.as_mut()
            && let Some((place, prepared)) = items.next(most)
        {
            match self.ask(index, place, prepared) {
                Ok(None) => {}
                Ok(Some(answer)) => return self.receive(index, place, &answer),
                Err(fault) => return self.fail(index, fault),
            }
        }
        let compose = self.compose;
        let Some(items) = self.nodes[index].items.take_if(|items| items.is_over()) else { return Ok(()) };
        let call = &compose.calls[index];
        match items.finish(&call.default, compose.answer_bytes) {
            Ok(finished) => {
                let node = &mut self.nodes[index];
                node.failed_items = finished.failed;
                node.fault = finished.fault;
                self.end(index, Phase::Answered, finished.value)
            }
            Err(fault) => self.fail(index, fault),
        }
    }
}
