//! Carries out the calls that handlers make, on the worker that has the exchange: with its connections, on its snapshot, until
//! its deadline.
//!
//! A [`Desk`] stands for an exchange whose handler runs. Each call is a task of its own, so the answers come back whatever the
//! exchange waits for meanwhile; when the exchange is over, what is under way for it is dropped, which cancels the requests.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::task::spawn_local;

use crate::bridge::call::{Call, CallAnswer, CallBody, CallFailure, CallRequest};
use crate::bridge::courier::Courier;
use crate::bridge::{Job, Mailbox};
use crate::clock::{Millis, NEVER};
use crate::exchange::{Answer, Method, Notes, Request};
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{Answered, BodySize};
use crate::snapshot::Pinned;
use crate::upstream::call::{self, Asked, Order};
use crate::upstream::carried::Carried;
use crate::upstream::deadline::Deadline;
use crate::upstream::fetch::{Errand, fetch};
use crate::worker::Worker;

thread_local! {
    static DESKS: RefCell<FxHashMap<u64, Rc<Desk>>> = RefCell::default();
    static CARRIED_HERE: Cell<bool> = const { Cell::new(false) };
}

/// What the calls of one exchange share.
pub struct Desk {
    pub worker: Rc<Worker>,
    pub snapshot: Pinned,
    /// Index into the snapshot's routes.
    pub route: Option<usize>,
    /// When the exchange must be over.
    pub deadline: Deadline,
    pub job: Arc<Job>,
    /// What goes along with calls that ask for nothing else of the client.
    carried: OnceCell<Carried>,
    under_way: RefCell<FxHashMap<u64, Arc<Call>>>,
}

/// A desk that is open for as long as this lives.
pub struct Opened(Rc<Desk>);

impl Desk {
    pub fn open(
        worker: &Rc<Worker>,
        snapshot: &Pinned,
        route: Option<usize>,
        deadline: Deadline,
        job: &Arc<Job>,
    ) -> Opened {
        if !CARRIED_HERE.replace(true) {
            spawn_local(carry(Mailbox::here()));
        }
        let desk = Rc::new(Self {
            worker: worker.clone(),
            snapshot: snapshot.clone(),
            route,
            deadline,
            job: job.clone(),
            carried: OnceCell::new(),
            under_way: RefCell::default(),
        });
        DESKS.with_borrow_mut(|desks| desks.insert(job.number, desk.clone()));
        Opened(desk)
    }

    /// The head of a call: what goes along with every one, and what it brings itself.
    fn head(&self, request: &CallRequest) -> Head {
        let of_client = &self.job.request.head;
        let made = |allowed| Carried::of_request(of_client, &self.snapshot, self.route, allowed);
        let local = &self.worker.local;
        let mut head = match &*request.forward {
            [] => self.carried.get_or_init(|| made(&[])).head(local),
            allowed => made(allowed).head(local),
        };
        for (_, name, _) in request.head.iter() {
            head.remove(name);
        }
        for (known, name, value) in request.head.iter() {
            head.add_known(known, name, value);
        }
        head
    }

    /// By when the answer must be there, and whose time that is.
    fn due(&self, request: &CallRequest, service: usize) -> (Millis, Code) {
        let own = request.timeout_ms.or(self.snapshot.callings[service].plan.timeout_ms);
        let own = own.map_or(NEVER, |timeout| self.worker.now().saturating_add(timeout));
        if own < self.deadline.at { (own, Code::UpstreamTimeout) } else { (self.deadline.at, self.deadline.late) }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        DESKS.with_borrow_mut(|desks| desks.remove(&self.0.job.number));
        for call in self.0.under_way.take().into_values() {
            call.give_up();
        }
    }
}

/// Begins the calls that are handed over to this worker, as long as it lives.
async fn carry(mailbox: Arc<Mailbox>) {
    poll_fn(|cx| {
        for call in mailbox.take_orders(cx.waker()) {
            begin(call);
        }
        Poll::<()>::Pending
    })
    .await;
}

fn begin(call: Arc<Call>) {
    if call.is_cancelled() {
        return;
    }
    let Some(desk) = DESKS.with_borrow(|desks| desks.get(&call.job.number).cloned()) else {
        return call.give_up();
    };
    desk.under_way.borrow_mut().insert(call.number, call.clone());
    let going = Going { desk, call: call.clone() };
    let task = spawn_local(async move { going.go().await }).abort_handle();
    if !call.carried_by(task.clone()) {
        task.abort();
    }
}

/// A call under way; however it ends, whoever waits for it is told.
struct Going {
    desk: Rc<Desk>,
    call: Arc<Call>,
}

impl Drop for Going {
    fn drop(&mut self) {
        // The tasks of a worker that stops are dropped, with nobody at the desk.
        if self.desk.under_way.borrow_mut().remove(&self.call.number).is_some() {
            self.call.give_up();
        }
    }
}

impl Going {
    async fn go(self) {
        self.carry_out().await;
        self.desk.under_way.borrow_mut().remove(&self.call.number);
    }

    async fn carry_out(&self) {
        let (desk, request) = (&*self.desk, &self.call.request);
        let services = &desk.snapshot.services;
        let Some(service) = services.iter().position(|service| service.name == request.service) else {
            let known = services.iter().map(|service| service.name.clone()).collect();
            return self.call.settle(Err(CallFailure::UnknownService(known)));
        };
        let plan = &services[service].plan;
        let mut target = Vec::with_capacity(plan.base_path.len() + request.target.len());
        target.extend_from_slice(plan.base_path.as_bytes());
        target.extend_from_slice(&request.target);
        let head = desk.head(request);
        let (due, late) = desk.due(request, service);
        let mut aim = Aim { service, target: &target, host: plan.host.as_bytes(), head, due };
        let ended = match (&request.body, request.streams) {
            (CallBody::Whole(body), false) => self.collect(&mut aim, body.clone()).await,
            // Apart, as their futures are large.
            _ => Box::pin(self.stream(&mut aim)).await,
        };
        let late = |failure: Failure| match failure.code {
            Code::Timeout => Failure { code: late, ..failure },
            _ => failure,
        };
        match ended.map_err(late) {
            Ok(Some(answer)) => self.call.settle(Ok(answer)),
            Ok(None) => self.call.end_answer(Ok(())),
            Err(failure) => {
                self.call.end_answer(Err(failure.clone()));
                self.call.settle(Err(CallFailure::Failed(failure)));
            }
        }
    }

    /// Asks, and collects the answer.
    async fn collect(&self, aim: &mut Aim<'_>, body: Bytes) -> Result<Option<CallAnswer>, Failure> {
        let errand = Errand {
            service: aim.service,
            method: &self.call.request.method,
            target: aim.target,
            host: aim.host,
            head: std::mem::take(&mut aim.head),
            body,
            deadline: aim.due,
            most_bytes: self.call.request.most_bytes,
        };
        let fetched = fetch(&self.desk.worker, &self.desk.snapshot, errand).await?;
        Ok(Some(CallAnswer { status: fetched.status, head: fetched.head, body: fetched.body.into() }))
    }

    /// Asks with a body that comes in pieces, or for an answer that does; `None`: that has been told of already.
    async fn stream(&self, aim: &mut Aim<'_>) -> Result<Option<CallAnswer>, Failure> {
        let (worker, snapshot) = (&self.desk.worker, &self.desk.snapshot);
        let mut courier = Courier::new(&self.call);
        let mut head = std::mem::take(&mut aim.head);
        let method = &self.call.request.method;
        let request = Request {
            method: Method::of(method),
            method_name: head.keep(method),
            head,
            body: courier.size(),
            ..Request::default()
        };
        let (mut answer, mut notes) = (Answer::default(), Notes::default());
        let alarm = worker.wheel.lend();
        let order = Order {
            service: aim.service,
            calling: &snapshot.callings[aim.service],
            target: aim.target,
            host: aim.host,
            hash: None,
            deadline: Deadline::at(aim.due),
        };
        let mut asked = Asked { snapshot, request: &request, answer: &mut answer, notes: &mut notes, caller: None };
        let mut begun = call::call(worker, &mut courier, &mut asked, &alarm, &order).await?;
        let Answered::Final { status, size, .. } = begun.answered else {
            return Err(Failure::with(Code::UpstreamMalformed, "a switch of protocols that nobody asked for"));
        };
        if size == BodySize::Empty {
            begun.transfer.skip_answer();
        }
        self.call.settle(Ok(CallAnswer { status, head: answer.head, body: Bytes::new() }));
        let ended = poll_fn(|cx| begun.transfer.poll_bodies(cx, &mut courier, &mut begun.upstream)).await;
        begun.over(worker, &ended);
        ended.map(|()| None)
    }
}

/// Where a call goes.
struct Aim<'a> {
    service: usize,
    target: &'a [u8],
    host: &'a [u8],
    head: Head,
    due: Millis,
}
