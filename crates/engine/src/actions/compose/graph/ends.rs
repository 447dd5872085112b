//! How calls end, and what follows.

use super::{Broken, Calls, Graph, Node, Phase, Shared, bit};
use crate::actions::compose::fault::Fault;
use crate::json::Document;

impl Graph<'_> {
    /// The answer to a request of a call, or to that of one of its items.
    pub(super) fn receive(&mut self, index: usize, place: u32, answer: &Shared) -> Result<(), Broken> {
        if self.nodes[index].phase != Phase::UnderWay {
            return Ok(());
        }
        let judged = match &**answer {
            Ok(answer) => self.compose.calls[index].judge(answer),
            Err(fault) => Err(fault.clone()),
        };
        if self.nodes[index].items.is_some() {
            return self.receive_item(index, place, judged);
        }
        match judged {
            Ok(value) => self.end(index, Phase::Answered, value),
            Err(fault) => self.fail(index, fault),
        }
    }

    /// A call has failed: the one that takes its place is made, where there is one.
    pub(super) fn fail(&mut self, index: usize, fault: Fault) -> Result<(), Broken> {
        self.give_up(index);
        let call = &self.compose.calls[index];
        self.nodes[index].fault = Some(fault);
        let Some(fallback) = call.fallback else {
            return self.end(index, Phase::Failed, call.default.clone());
        };
        self.nodes[index].phase = Phase::Falling;
        if self.ended & bit(fallback) != 0 {
            return self.fall(index, fallback);
        }
        self.waiting |= self.compose.closure(bit(fallback)) & !self.begun();
        Ok(())
    }

    /// Calls that have begun, or are to.
    fn begun(&self) -> Calls {
        let begun = |(index, node): (usize, &Node)| if node.phase == Phase::Idle { 0 } else { bit(index) };
        self.nodes.iter().enumerate().map(begun).fold(0, |all, one| all | one)
    }

    /// The call that takes the place of a failed one is over.
    fn fall(&mut self, index: usize, fallback: usize) -> Result<(), Broken> {
        if self.nodes[fallback].phase == Phase::Answered {
            self.nodes[index].fault = None;
            self.nodes[index].fell = true;
            let value = self.nodes[fallback].value.clone();
            return self.end(index, Phase::Answered, value);
        }
        let value = self.compose.calls[index].default.clone();
        self.end(index, Phase::Failed, value)
    }

    pub(super) fn end(&mut self, index: usize, phase: Phase, value: Document) -> Result<(), Broken> {
        let node = &mut self.nodes[index];
        node.phase = phase;
        node.value = value;
        node.items = None;
        node.ended_micros = self.worker.clock.now_micros();
        self.ended |= bit(index);
        let compose = self.compose;
        if phase == Phase::Failed && !compose.calls[index].optional && self.needed & bit(index) != 0 {
            return Err(Broken(index));
        }
        for other in 0..self.nodes.len() {
            if self.nodes[other].phase == Phase::Falling && compose.calls[other].fallback == Some(index) {
                self.fall(other, index)?;
            }
        }
        Ok(())
    }

    /// Requests that nobody else waits for are cancelled.
    fn give_up(&mut self, index: usize) {
        self.nodes[index].items = None;
        let Self { flights, requests, .. } = self;
        let before = flights.len();
        flights.retain(|flight| {
            let sent = &mut requests[flight.request as usize];
            sent.wanted.retain(|(call, _)| usize::from(*call) != index);
            sent.cancelled = sent.wanted.is_empty();
            !sent.cancelled
        });
        self.cancelled |= flights.len() != before;
    }
}
