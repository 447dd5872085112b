//! Reads all of a request's body, for what has to know it before the request goes on.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::clock::Millis;
use crate::exchange::Exchange;
use crate::head::Head;
use crate::respond::{Code, Failure};
use crate::sides::{BodySize, Client, Filled};
use crate::upstream::call;
use crate::upstream::deadline::Deadline;
use crate::wheel::Alarm;
use crate::worker::Worker;

/// The whole body of a request; one of more than `most` bytes is refused.
pub async fn collect<C: Client>(
    worker: &Worker,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    most: u64,
) -> Result<Bytes, Failure> {
    let route = exchange.route();
    let most = route.map_or(u64::MAX, |route| route.body_bytes).min(most);
    let deadline = call::deadline(exchange.started_micros / 1000, route.and_then(|route| route.timeout_ms));
    match exchange.request.body {
        BodySize::Empty => return Ok(Bytes::new()),
        BodySize::Length(length) if length > most => return Err(Code::BodyTooLarge.into()),
        BodySize::Length(_) | BodySize::Unknown => {}
    }
    client.limit_body(most);
    if std::mem::take(&mut exchange.request.expect_continue) {
        client.send_interim(100, &Head::default());
    }
    let body = gather(worker, client, alarm, Deadline::at(deadline), most).await?.ok_or(Code::BodyTooLarge)?;
    if exchange.request.body == BodySize::Unknown && client.trailers().is_none() {
        exchange.request.body = BodySize::Length(body.len() as u64);
    }
    Ok(body.into())
}

/// As [`collect`], and the body is still the client's to be sent on.
pub async fn peek<C: Client>(
    worker: &Worker,
    client: &mut C,
    exchange: &mut Exchange,
    alarm: &Alarm,
    most: u64,
) -> Result<Bytes, Failure> {
    client.keep_body(most);
    let body = collect(worker, client, exchange, alarm, most).await?;
    match client.rewind() {
        true => Ok(body),
        false => Err(Failure::with(Code::InternalError, "a body that is kept does not begin again")),
    }
}

/// The whole body of a request; `None`, with a part of it taken, where it is of more than `most` bytes.
pub async fn gather<C: Client>(
    worker: &Worker,
    client: &mut C,
    alarm: &Alarm,
    deadline: Deadline,
    most: u64,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut body = Vec::new();
    let mut patience = Waiting { worker, alarm, deadline };
    patience.moved(client.patience());
    let whole = poll_fn(|cx| poll_gather(cx, client, &mut body, most, &mut patience)).await?;
    Ok(whole.then_some(body))
}

/// Bounds how long a client may take.
struct Waiting<'a> {
    worker: &'a Worker,
    alarm: &'a Alarm,
    deadline: Deadline,
}

impl Waiting<'_> {
    fn moved(&mut self, patience: Millis) {
        self.alarm.set(self.worker.now().saturating_add(patience).min(self.deadline.at));
    }

    fn late(&self) -> Failure {
        let late = self.worker.now() >= self.deadline.at;
        if late { self.deadline.late } else { Code::BodyTimeout }.into()
    }
}

/// False when it is too long.
fn poll_gather<C: Client>(
    cx: &mut Context<'_>,
    client: &mut C,
    body: &mut Vec<u8>,
    most: u64,
    patience: &mut Waiting<'_>,
) -> Poll<Result<bool, Failure>> {
    loop {
        match client.poll_fill(cx)? {
            Poll::Ready(Filled::Data) => {
                let count = client.chunk().len();
                if (body.len() + count) as u64 > most {
                    return Poll::Ready(Ok(false));
                }
                body.extend_from_slice(client.chunk());
                client.consume(count);
                patience.moved(client.patience());
            }
            Poll::Ready(Filled::End) => return Poll::Ready(Ok(true)),
            Poll::Pending => {
                // The 100 that the client waits for.
                let _ = client.poll_flush(cx)?;
                return patience.alarm.poll(cx).map(|()| Err(patience.late()));
            }
        }
    }
}
