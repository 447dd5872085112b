//! Answers with an answer made of the answers of several calls.
//!
//! ```text
//! view and fields -> the calls they need -> each call as soon as what it needs is there -> the shape -> the answer
//! ```
//!
//! Every call takes the one way to a service that all take, [`crate::upstream::call`]; this is only about which of them is made when.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

mod answer;
pub mod call;
mod fault;
pub mod graph;
mod items;

use answer::Made;
use call::Call;
use graph::{Broken, Graph};

use crate::collect;
use crate::exchange::Exchange;
use crate::json::{Document, Fault as BadJson, Raw, Selection, Shape, Values, When};
use crate::pipeline::Context;
use crate::plan;
use crate::problem::{self, Problem};
use crate::respond::{Code, Failure};
use crate::routing::query_pairs;
use crate::serve::say;
use crate::sides::Client;
use crate::template::write_value;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// Calls of one composition, a bit each.
pub type Calls = u64;

const MOST_CALLS: usize = Calls::BITS as usize;

/// Bytes that an answer may be made into, beyond what the calls answered: loops in shapes multiply.
const MOST_SHAPED: usize = 16 << 20;

pub fn bit(call: usize) -> Calls {
    1 << call
}

/// The calls in a set, in their order.
pub fn each(mut calls: Calls) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = (calls != 0).then(|| calls.trailing_zeros() as usize)?;
        calls &= calls - 1;
        Some(first)
    })
}

pub struct Compose {
    pub calls: Box<[Call]>,
    views: Box<[View]>,
    response: Response,
    timeout_ms: u64,
    /// Headers of the client that go to every call.
    forward_headers: Box<[Box<[u8]>]>,
    fields: bool,
    errors: bool,
    server_timing: bool,
    max_calls: u32,
    answer_bytes: usize,
    max_depth: usize,
    reads_body: bool,
}

pub struct View {
    pub name: Box<str>,
    when: When,
    response: Response,
}

/// A shape, and the calls it is made of.
struct Response {
    shape: Shape,
    needs: Calls,
}

impl Response {
    fn compile(plan: &plan::compose::Shape, calls: usize) -> Result<Self, Vec<Problem>> {
        let shape = Shape::compile(plan)?;
        let needs = shape.calls(None);
        if needs.iter().any(|call| usize::from(*call) >= calls) {
            return Err(Problem::new("", "config.bad_value", "it refers to a call that is not there").into());
        }
        Ok(Self { shape, needs: set(needs) })
    }
}

fn set(calls: impl IntoIterator<Item = u16>) -> Calls {
    calls.into_iter().map(|call| bit(usize::from(call))).fold(0, |all, one| all | one)
}

fn under(problems: Vec<Problem>, place: &str) -> Vec<Problem> {
    let place = |problem: Problem| match problem.path.as_str() {
        "" => Problem { path: place.to_owned(), ..problem },
        _ => problem.under(&format!("{place}.")),
    };
    problems.into_iter().map(place).collect()
}

impl Compose {
    /// Problems have a path relative to the route.
    pub fn compile(plan: &plan::compose::Compose, route: &str, context: &Context<'_>) -> Result<Self, Vec<Problem>> {
        if plan.calls.len() > MOST_CALLS {
            let message = format!("a composition has at most {MOST_CALLS} calls");
            return Err(vec![Problem::new("action.compose.calls", "config.bad_value", message)]);
        }
        check_order(plan)?;
        let forward_headers = forwarded_to_all(plan);
        let call = |(index, call): (usize, &plan::compose::Call)| {
            Call::compile(call, &forward_headers, route, context)
                .map_err(|found| under(found, &format!("action.compose.calls[{index}]")))
        };
        let view = |(index, view): (usize, &plan::compose::View)| {
            let place = |found, place: &str| under(found, &format!("action.compose.views[{index}].{place}"));
            Ok::<_, Vec<Problem>>(View {
                name: view.name.as_str().into(),
                when: When::compile(&view.when).map_err(|found| place(found, "when"))?,
                response: Response::compile(&view.response, plan.calls.len())
                    .map_err(|found| place(found, "response"))?,
            })
        };
        let calls = problem::all::<_, Box<[_]>, _>(plan.calls.iter().enumerate().map(call));
        let views = problem::all::<_, Box<[_]>, _>(plan.views.iter().enumerate().map(view));
        let response = Response::compile(&plan.response, plan.calls.len())
            .map_err(|found| under(found, "action.compose.response"));
        match (calls, views, response) {
            (Ok(calls), Ok(views), Ok(response)) => Ok(Self {
                calls,
                views,
                response,
                timeout_ms: plan.timeout_ms,
                forward_headers,
                fields: plan.fields,
                errors: plan.errors,
                server_timing: plan.server_timing,
                max_calls: plan.max_calls,
                answer_bytes: plan.answer_bytes,
                max_depth: plan.max_depth,
                reads_body: plan.reads_body,
            }),
            (calls, views, response) => {
                let found = [calls.err(), views.err(), response.err()];
                Err(found.into_iter().flatten().flatten().collect())
            }
        }
    }

    /// These, and all that they need; what takes the place of a call that fails is not needed yet.
    pub fn closure(&self, calls: Calls) -> Calls {
        let mut all = calls;
        let mut left = calls;
        while let Some(call) = each(left).next() {
            left &= left - 1;
            let new = self.calls[call].needs & !all;
            all |= new;
            left |= new;
        }
        all
    }
}

/// Who is asked for what, in one exchange.
struct Wanted<'a> {
    view: Option<&'a str>,
    response: &'a Response,
    selection: Option<Selection>,
    needs: Calls,
}

/// Why the calls are over before the answer is there.
enum Over {
    Broken(Broken),
    Gone,
}

impl Compose {
    pub async fn run<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<(), Failure> {
        let body = match self.reads_body {
            true => Some(self.body(worker, client, exchange, alarm).await?),
            false => None,
        };
        let (mut made, failure) = self.make(worker, client, exchange, body.as_ref()).await?;
        made.tell(exchange);
        match failure {
            Some(failure) => Err(failure),
            None => say(worker, client, exchange, alarm, 200, &made.body).await,
        }
    }

    /// The client's body, which is JSON.
    async fn body<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &mut Exchange,
        alarm: &Alarm,
    ) -> Result<Document, Failure> {
        let body = collect::collect(worker, client, exchange, alarm, u64::MAX).await?;
        Document::parse(body, self.max_depth).map_err(|fault| {
            let why = match fault {
                BadJson::NotJson => "the request body is no JSON",
                BadJson::TooDeep => "the request body is nested too deep",
            };
            Failure::with(Code::BadContent, why)
        })
    }

    /// Makes the calls, and the answer of theirs.
    async fn make<C: Client>(
        &self,
        worker: &Rc<Worker>,
        client: &mut C,
        exchange: &Exchange,
        body: Option<&Document>,
    ) -> Result<(Made, Option<Failure>), Failure> {
        let wanted = self.wanted(&Asked { exchange, body })?;
        let mut graph = Graph::new(self, worker, exchange, body, wanted.needs);
        let over = poll_fn(|cx| match graph.poll(cx) {
            Poll::Ready(over) => Poll::Ready(over.map_err(Over::Broken)),
            Poll::Pending => client.poll_gone(cx).map(|()| Err(Over::Gone)),
        })
        .await;
        graph.count();
        match over {
            Ok(()) => {
                graph.count_critical();
                Made::whole(&graph, &wanted).map(|made| (made, None))
            }
            Err(Over::Broken(broken)) => {
                let (made, failure) = Made::broken(&graph, broken);
                Ok((made, Some(failure)))
            }
            Err(Over::Gone) => Ok((Made::of(&graph), Some(Code::ClientGone.into()))),
        }
    }

    /// The view that a request gets and the calls that are made for it, for `explain`; those that its body decides about
    /// are not known.
    pub fn preview(&self, exchange: &Exchange) -> Result<(Option<&str>, impl Iterator<Item = &str>), Failure> {
        let wanted = self.wanted(&Asked { exchange, body: None })?;
        let calls = each(self.closure(wanted.needs)).map(|call| &*self.calls[call].name);
        Ok((wanted.view, calls))
    }

    /// The first view whose condition holds, and what is selected of it.
    fn wanted(&self, asked: &Asked<'_>) -> Result<Wanted<'_>, Failure> {
        // A condition that has no value does not hold.
        let view = self.views.iter().find(|view| view.when.holds(asked).unwrap_or(false));
        let response = view.map_or(&self.response, |view| &view.response);
        let selection = if self.fields { selection(asked.exchange)? } else { None };
        let needs = match &selection {
            None => response.needs,
            selection => set(response.shape.calls(selection.as_ref())),
        };
        Ok(Wanted { view: view.map(|view| &*view.name), response, selection, needs })
    }
}

/// What `?fields=` says.
fn selection(exchange: &Exchange) -> Result<Option<Selection>, Failure> {
    let asks = |query| query_pairs(query).any(|(name, _)| name == b"fields");
    if !exchange.request.query().is_some_and(asks) {
        return Ok(None);
    }
    let mut names = Vec::new();
    write_value(&plan::Reference::Query("fields".to_owned()), exchange, &mut names);
    let names = std::str::from_utf8(&names).ok().and_then(Selection::parse);
    names.map(Some).ok_or_else(|| Failure::with(Code::BadContent, "`fields` is no list of names"))
}

/// What is known before a call is made.
struct Asked<'a> {
    exchange: &'a Exchange,
    body: Option<&'a Document>,
}

impl Values for Asked<'_> {
    fn call(&self, _: u16) -> Option<Raw<'_>> {
        None
    }

    fn body(&self) -> Option<Raw<'_>> {
        self.body.map(Document::root)
    }

    fn exchange(&self) -> &Exchange {
        self.exchange
    }
}

/// The client's headers that every call gets.
fn forwarded_to_all(plan: &plan::compose::Compose) -> Box<[Box<[u8]>]> {
    let Some((first, others)) = plan.calls.split_first() else { return Box::default() };
    let by_all = |name: &&String| others.iter().all(|call| call.forward_headers.contains(name));
    first.forward_headers.iter().filter(by_all).map(|name| name.as_bytes().into()).collect()
}

/// Numbers of calls that are none, and calls that wait for each other.
fn check_order(plan: &plan::compose::Compose) -> Result<(), Vec<Problem>> {
    let before = |call: &plan::compose::Call| call.needs.iter().copied().chain(call.fallback).collect::<Vec<_>>();
    let before: Vec<_> = plan.calls.iter().map(before).collect();
    let problem = |index: usize, message: &str| {
        let place = format!("action.compose.calls[{index}]");
        Err(vec![Problem::new(place, "config.bad_value", message)])
    };
    if let Some(index) =
        before.iter().position(|before| before.iter().any(|call| usize::from(*call) >= plan.calls.len()))
    {
        return problem(index, "it refers to a call that is not there");
    }
    let mut over: Calls = 0;
    loop {
        let left = || (0..before.len()).filter(|call| over & bit(*call) == 0);
        let Some(first) = left().next() else { return Ok(()) };
        let Some(next) = left().find(|call| set(before[*call].iter().copied()) & !over == 0) else {
            return problem(first, "it waits for itself, by way of what it needs");
        };
        over |= bit(next);
    }
}
