//! `fetch`: a call that the gateway makes itself, with a body that is there and an answer that is collected.
//!
//! It goes through [`call`](crate::upstream::call), as every request of a client does: the same pools, protocols, retries and
//! timeouts. There is no client connection; a [`Collector`] stands in for it. Whoever loses interest drops the future, which
//! cancels the request: its connection is closed, its HTTP/2 stream reset.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;

use crate::clock::Millis;
use crate::exchange::{Answer, Method, Notes, Request};
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{Answered, BodySize};
use crate::snapshot::{Pinned, Snapshot};
use crate::upstream::call::{self, Asked, Begun, Caller, Order};
use crate::upstream::calling::Calling;
use crate::upstream::collector::Collector;
use crate::upstream::deadline::Deadline;
use crate::worker::Worker;

/// What is asked of which service.
pub struct Errand<'a> {
    /// Index of the service in the snapshot.
    pub service: usize,
    pub method: &'a [u8],
    /// Path and query as they go upstream, the service's base path included.
    pub target: &'a [u8],
    pub host: &'a [u8],
    /// End-to-end fields only; `Host` and framing are made from the rest.
    pub head: Head,
    pub body: Bytes,
    /// When the answer must be whole, on the worker's clock; [`crate::clock::NEVER`] without a limit.
    pub deadline: Millis,
    /// The longest body that is taken; a longer one is [`Code::UpstreamBodyTooLarge`].
    pub most_bytes: usize,
}

/// How it is asked, where that is not as the service says.
pub struct Manner<'a> {
    pub calling: &'a Calling,
    /// Where requests of the same kind go, for algorithms that care.
    pub hash: Option<u64>,
    /// In the place of the errand's.
    pub deadline: Deadline,
    /// For whom, where it is an exchange.
    pub caller: Option<Caller<'a>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Fetched {
    pub status: u16,
    /// End-to-end fields only.
    pub head: Head,
    pub body: Vec<u8>,
}

/// Asks a service and collects its answer. Statuses are answers, whatever they say; failures are what kept one from coming.
pub async fn fetch(worker: &Rc<Worker>, snapshot: &Pinned, mut errand: Errand<'_>) -> Result<Fetched, Failure> {
    let mut collector = Collector::new(std::mem::take(&mut errand.body), errand.most_bytes);
    let manner = Manner::of(snapshot, &errand);
    let (status, head) = ask(worker, snapshot, errand, &manner, &mut Notes::default(), &mut collector).await?;
    Ok(Fetched { status, head, body: collector.collected })
}

/// As [`fetch`], for an exchange; what is to be told of the call is in `notes`.
pub async fn fetch_for(
    worker: &Rc<Worker>,
    snapshot: &Pinned,
    mut errand: Errand<'_>,
    manner: &Manner<'_>,
    notes: &mut Notes,
) -> Result<Fetched, Failure> {
    let mut collector = Collector::new(std::mem::take(&mut errand.body), errand.most_bytes);
    let (status, head) = ask(worker, snapshot, errand, manner, notes, &mut collector).await?;
    Ok(Fetched { status, head, body: collector.collected })
}

impl<'a> Manner<'a> {
    fn of(snapshot: &'a Snapshot, errand: &Errand<'_>) -> Self {
        let calling = &snapshot.callings[errand.service];
        Self { calling, hash: None, deadline: Deadline::at(errand.deadline), caller: None }
    }
}

/// An answer of which nobody needs more than its beginning.
#[derive(Debug)]
pub struct Sampled {
    pub status: u16,
    /// End-to-end fields only.
    pub head: Head,
    /// `None`: it was longer than what was asked for.
    pub body: Option<Vec<u8>>,
}

/// As [`fetch`]; an answer that is too long is read to its end, and what it says is dropped.
pub async fn sample(worker: &Rc<Worker>, snapshot: &Pinned, mut errand: Errand<'_>) -> Result<Sampled, Failure> {
    let mut collector = Collector::sampling(std::mem::take(&mut errand.body), errand.most_bytes);
    let manner = Manner::of(snapshot, &errand);
    let (status, head) = ask(worker, snapshot, errand, &manner, &mut Notes::default(), &mut collector).await?;
    Ok(Sampled { status, head, body: (!collector.too_long).then_some(collector.collected) })
}

/// The status and the head of the answer; its body goes to the collector, which has that of the request.
async fn ask(
    worker: &Rc<Worker>,
    snapshot: &Pinned,
    errand: Errand<'_>,
    manner: &Manner<'_>,
    notes: &mut Notes,
    collector: &mut Collector,
) -> Result<(u16, Head), Failure> {
    let Errand { service, method, target, host, mut head, .. } = errand;
    let length = collector.length();
    let request = Request {
        method: Method::of(method),
        method_name: head.keep(method),
        head,
        body: if length == 0 { BodySize::Empty } else { BodySize::Length(length as u64) },
        ..Request::default()
    };
    let mut answer = Answer::default();
    let alarm = worker.wheel.lend();
    let Manner { calling, hash, deadline, caller } = *manner;
    let order = Order { service, calling, target, host, hash, deadline };
    let mut asked = Asked { snapshot, request: &request, answer: &mut answer, notes, caller };
    let begun = call::call(worker, collector, &mut asked, &alarm, &order).await?;
    let status = begun.answered.status();
    collect(worker, begun, collector).await?;
    Ok((status, answer.head))
}

async fn collect(worker: &Worker, mut begun: Begun<'_>, collector: &mut Collector) -> Result<(), Failure> {
    let Answered::Final { size, .. } = begun.answered else {
        return Err(Failure::with(Code::UpstreamMalformed, "a switch of protocols that nobody asked for"));
    };
    match size {
        BodySize::Empty => begun.transfer.skip_answer(),
        BodySize::Length(length) => collector.expect(length)?,
        BodySize::Unknown => {}
    }
    let ended = poll_fn(|cx| begun.transfer.poll_bodies(cx, collector, &mut begun.upstream)).await;
    begun.over(worker, &ended);
    ended
}
