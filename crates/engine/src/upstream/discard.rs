//! Answers that nobody wants: read to their end where that is near, so that their connections can be used again.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::clock::Millis;
use crate::sides::{Answered, BodySize, Filled, Source};
use crate::upstream::attempt::{Attempt, Begun};
use crate::upstream::ticket::Ticket;
use crate::worker::Worker;

/// A longer rest costs more than a new connection.
const MOST_BYTES: usize = 64 * 1024;
const MOST_MS: Millis = 1000;

/// Lets an answer go. What is left of its body is drained beside the exchange; too much of it is cancelled.
pub fn discard(worker: &Rc<Worker>, begun: Begun<'_>) {
    let Begun { upstream, answered, ticket, .. } = begun;
    match answered {
        Answered::Final { size: BodySize::Empty | BodySize::Length(0), .. } => {}
        Answered::Final { size: BodySize::Length(length), .. } if length > MOST_BYTES as u64 => {}
        Answered::Final { .. } => {
            tokio::task::spawn_local(drain(worker.clone(), upstream, ticket));
        }
        Answered::Interim(_) | Answered::Tunnel { .. } => {}
    }
}

async fn drain(worker: Rc<Worker>, mut upstream: Attempt, ticket: Option<Ticket>) {
    let alarm = worker.wheel.alarm();
    alarm.set(worker.now().saturating_add(MOST_MS));
    let mut left = MOST_BYTES;
    poll_fn(|cx| match poll_drained(cx, &mut upstream, &mut left) {
        Poll::Pending => alarm.poll(cx),
        Poll::Ready(()) => Poll::Ready(()),
    })
    .await;
    drop((upstream, ticket));
}

/// Ready at the end of the body, or when no more of it is worth reading.
fn poll_drained(cx: &mut Context<'_>, upstream: &mut Attempt, left: &mut usize) -> Poll<()> {
    loop {
        match std::task::ready!(upstream.poll_fill(cx)) {
            Ok(Filled::Data) => {
                let count = upstream.chunk().len();
                upstream.consume(count);
                match left.checked_sub(count) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(()),
                }
            }
            Ok(Filled::End) | Err(_) => return Poll::Ready(()),
        }
    }
}
