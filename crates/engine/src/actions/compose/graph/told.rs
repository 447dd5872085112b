//! What is told of a run that is over.

use super::{Graph, Node, Phase, each};
use crate::actions::compose::call::Call;
use crate::actions::compose::fault::{CANCELLED, FELL_BACK, Fault, OK, SKIPPED};

impl Graph<'_> {
    /// Counts every call, and which of them the answer waited for.
    pub fn count(&self) {
        let worker = self.worker.index;
        for (node, call) in self.nodes.iter().zip(&self.compose.calls) {
            let result = match (node.phase, &node.fault) {
                (Phase::Idle, _) => continue,
                (Phase::Skipped, _) => SKIPPED,
                (Phase::UnderWay | Phase::Falling, _) => CANCELLED,
                (Phase::Answered, _) if node.fell => FELL_BACK,
                (Phase::Answered | Phase::Failed, Some(fault)) => fault.reason.place(),
                (Phase::Answered | Phase::Failed, None) => OK,
            };
            call.series.count(worker, result, node.micros());
        }
    }

    /// Counts which calls the whole answer waited for.
    pub fn count_critical(&self) {
        let made = || self.nodes.iter().enumerate().filter(|(_, node)| node.micros().is_some());
        if let Some((last, _)) = made().max_by_key(|(_, node)| node.ended_micros) {
            self.compose.calls[last].series.was_last(self.worker.index);
        }
        if let Some((slowest, _)) = made().max_by_key(|(_, node)| node.micros()) {
            self.compose.calls[slowest].series.was_slowest(self.worker.index);
        }
    }

    /// Calls that failed or lack items, of those that the answer is made of; in the order of the document.
    pub fn faults(&self) -> impl Iterator<Item = (&Call, &Node, &Fault)> {
        let failed = move |index: usize| {
            let node = &self.nodes[index];
            Some((&self.compose.calls[index], node, node.fault.as_ref()?))
        };
        each(self.needed & self.ended).filter_map(failed)
    }
}

impl Node {
    /// From its start to the end of its answer; `None` where nothing was sent, or it is not over.
    pub fn micros(&self) -> Option<u64> {
        let over = self.made && matches!(self.phase, Phase::Answered | Phase::Failed);
        over.then(|| self.ended_micros.saturating_sub(self.started_micros))
    }
}
