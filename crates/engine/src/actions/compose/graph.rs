//! One run of a graph of calls: each is made the moment what it needs is there.
//!
//! All of it is polled by the task of the exchange, on its worker: nothing is spawned, and dropping the run cancels every call.

mod ends;
mod lists;
mod told;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use rustc_hash::FxHashMap;

use super::call::{Answer, Call, Prepared};
use super::fault::{Fault, Reason};
use super::items::Items;
use super::{Calls, Compose, bit, each};
use crate::exchange::Exchange;
use crate::json::{Document, Raw, Values};
use crate::upstream::carried::Carried;
use crate::upstream::deadline::Deadline;
use crate::worker::Worker;

/// The calls for one answer.
pub struct Graph<'a> {
    pub compose: &'a Compose,
    pub worker: &'a Rc<Worker>,
    pub exchange: &'a Exchange,
    pub body: Option<&'a Document>,
    pub nodes: Vec<Node>,
    /// The answer is made of them, or they are needed by such.
    pub needed: Calls,
    carried: Carried,
    /// Asked for, and not begun.
    waiting: Calls,
    pub ended: Calls,
    flights: Vec<Flight<'a>>,
    requests: Vec<Sent>,
    /// Those that others may have the answer of.
    known: FxHashMap<Box<[u8]>, u32>,
    /// Requests that were made, or are lined up.
    made: u32,
    /// Flights were taken out of the list.
    cancelled: bool,
    pub attempts: u32,
}

/// One call of the run.
pub struct Node {
    pub phase: Phase,
    /// The answer, or what stands in its place.
    pub value: Document,
    /// Why it has failed, or items of it have.
    pub fault: Option<Fault>,
    pub failed_items: u32,
    items: Option<Items>,
    due: Deadline,
    /// A request was sent.
    pub made: bool,
    /// Another call's answer stands in its place.
    pub fell: bool,
    pub started_micros: u64,
    pub ended_micros: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Idle,
    UnderWay,
    /// It has failed, and waits for the call that takes its place.
    Falling,
    Answered,
    Skipped,
    Failed,
}

/// A request that is under way.
struct Flight<'a> {
    request: u32,
    future: Pin<Box<dyn Future<Output = Landed> + 'a>>,
}

/// What came of a request.
pub struct Landed {
    pub answer: Result<Answer, Fault>,
    pub attempts: u32,
}

/// The answer to a request, for all who asked it.
type Shared = Rc<Result<Answer, Fault>>;

/// A request that was made.
struct Sent {
    /// Who wants its answer: a call, and the place of an item.
    wanted: Vec<(u16, u32)>,
    /// Kept where others may want it yet.
    answer: Option<Shared>,
    kept: bool,
    /// Nobody wanted it any more.
    cancelled: bool,
}

/// The run is over before all is there: a call failed that the answer needs.
#[derive(Debug, Clone, Copy)]
pub struct Broken(pub usize);

impl<'a> Graph<'a> {
    pub fn new(
        compose: &'a Compose,
        worker: &'a Rc<Worker>,
        exchange: &'a Exchange,
        body: Option<&'a Document>,
        needs: Calls,
    ) -> Self {
        let needed = compose.closure(needs);
        let node = |_| Node {
            phase: Phase::Idle,
            value: Document::null(),
            fault: None,
            failed_items: 0,
            items: None,
            due: Deadline::default(),
            made: false,
            fell: false,
            started_micros: 0,
            ended_micros: 0,
        };
        Self {
            compose,
            worker,
            exchange,
            body,
            nodes: compose.calls.iter().map(node).collect(),
            needed,
            carried: Carried::of(exchange, &compose.forward_headers),
            waiting: needed,
            ended: 0,
            flights: Vec::with_capacity(needed.count_ones() as usize),
            requests: Vec::with_capacity(needed.count_ones() as usize),
            known: FxHashMap::default(),
            made: 0,
            cancelled: false,
            attempts: 0,
        }
    }

    /// Ready when all calls that the answer needs are over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.advance()?;
        let mut index = 0;
        // What lands makes others begin; they stand behind, and are polled in the same pass.
        while index < self.flights.len() {
            match self.flights[index].future.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(landed) => {
                    let flight = self.flights.swap_remove(index);
                    self.land(flight.request, landed)?;
                    self.advance()?;
                    if self.is_over() {
                        break;
                    }
                    if std::mem::take(&mut self.cancelled) {
                        index = 0;
                    }
                }
            }
        }
        debug_assert!(self.is_over() || !self.flights.is_empty(), "calls that wait have something to wait for");
        if self.is_over() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn is_over(&self) -> bool {
        self.needed & !self.ended == 0
    }

    /// Begins every call that has all that it needs.
    fn advance(&mut self) -> Result<(), Broken> {
        loop {
            let compose = self.compose;
            let ready = each(self.waiting).find(|call| compose.calls[*call].needs & !self.ended == 0);
            let Some(call) = ready else { return Ok(()) };
            self.waiting &= !bit(call);
            self.begin(call)?;
        }
    }

    fn begin(&mut self, index: usize) -> Result<(), Broken> {
        let compose = self.compose;
        let call = &compose.calls[index];
        let now_micros = self.worker.clock.now_micros();
        self.nodes[index].started_micros = now_micros;
        let is_made = match call.when.as_ref().filter(|_| !self.is_without(call)) {
            Some(when) => when.holds(self),
            None => Ok(!self.is_without(call)),
        };
        match is_made {
            Ok(true) => {}
            Ok(false) => return self.end(index, Phase::Skipped, call.default.clone()),
            Err(why) => return self.fail(index, Fault::with(Reason::MissingField, &why)),
        }
        let due = call.due(compose, self.exchange, now_micros / 1000);
        self.nodes[index].due = due;
        if now_micros / 1000 >= due.at {
            return self.fail(index, Reason::Timeout.into());
        }
        self.nodes[index].phase = Phase::UnderWay;
        if call.for_each.is_some() {
            return self.begin_items(index);
        }
        match call.prepare(self, &self.carried) {
            Ok(prepared) => match self.ask(index, 0, prepared) {
                Ok(None) => Ok(()),
                Ok(Some(answer)) => self.receive(index, 0, &answer),
                Err(fault) => self.fail(index, fault),
            },
            Err(fault) => self.fail(index, self.of_hole(call, fault)),
        }
    }

    /// It needs a call that was not made, and nothing stands in its place.
    fn is_without(&self, call: &Call) -> bool {
        let skipped = |need: usize| self.nodes[need].phase == Phase::Skipped && !self.compose.calls[need].has_default;
        each(call.needs).any(skipped)
    }

    /// A value that is missing is missing because of a call that has failed, if there is one.
    fn of_hole(&self, call: &Call, fault: Fault) -> Fault {
        let failed = each(call.needs).find(|need| self.nodes[*need].phase == Phase::Failed);
        Fault { reason: failed.map_or(fault.reason, Reason::Needs), ..fault }
    }

    /// Sends a request, or waits for the answer to one that is equal; comes back with the answer where that is there.
    fn ask(&mut self, index: usize, place: u32, prepared: Prepared) -> Result<Option<Shared>, Fault> {
        let call = &self.compose.calls[index];
        let key = call.share.then(|| call.key(&prepared));
        let known = key.as_ref().and_then(|key| self.known.get(key)).map(|known| *known as usize);
        if let Some(known) = known.filter(|known| !self.requests[*known].cancelled) {
            let sent = &mut self.requests[known];
            if sent.answer.is_none() {
                sent.wanted.push((index as u16, place));
            }
            return Ok(sent.answer.clone());
        }
        if self.made >= self.compose.max_calls {
            return Err(Reason::Limit.into());
        }
        self.made += 1;
        let request = self.requests.len() as u32;
        let kept = key.is_some();
        if let Some(key) = key {
            self.known.insert(key, request);
        }
        self.requests.push(Sent { wanted: vec![(index as u16, place)], answer: None, kept, cancelled: false });
        self.fly(index, request, prepared);
        Ok(None)
    }

    fn fly(&mut self, index: usize, request: u32, mut prepared: Prepared) {
        self.carried.begin_span(&self.worker.local, &mut prepared.head);
        self.nodes[index].made = true;
        let call = &self.compose.calls[index];
        let future = call.ask(self.worker, self.compose, self.exchange, prepared, self.nodes[index].due);
        self.flights.push(Flight { request, future: Box::pin(future) });
    }

    /// What came of a request goes to all who wait for it.
    fn land(&mut self, request: u32, landed: Landed) -> Result<(), Broken> {
        self.attempts += landed.attempts;
        let answer = Rc::new(landed.answer);
        let sent = &mut self.requests[request as usize];
        let wanted = std::mem::take(&mut sent.wanted);
        if sent.kept {
            sent.answer = Some(answer.clone());
        }
        wanted.into_iter().try_for_each(|(index, place)| self.receive(usize::from(index), place, &answer))
    }
}

impl Values for Graph<'_> {
    fn call(&self, index: u16) -> Option<Raw<'_>> {
        self.nodes.get(usize::from(index)).map(|node| node.value.root())
    }

    fn body(&self) -> Option<Raw<'_>> {
        self.body.map(Document::root)
    }

    fn exchange(&self) -> &Exchange {
        self.exchange
    }
}
