//! One copy of a request, on its way.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::{spawn_blocking, spawn_local};

use super::compare::{Answer, Difference};
use super::{Copies, Outcome};
use crate::exchange::Exchange;
use crate::head::Head;
use crate::snapshot::Pinned;
use crate::upstream::fetch::{Errand, sample};
use crate::worker::Worker;

/// Where it goes and what it asks; its body comes later. Dropped without being sent, it is given up.
pub struct Copy {
    held: Held,
    snapshot: Pinned,
    service: usize,
    method: Box<[u8]>,
    target: Vec<u8>,
    host: Box<[u8]>,
    head: Head,
    about: About,
}

/// What is written of it with a difference.
pub struct About {
    pub request_id: Box<[u8]>,
    pub path: Box<[u8]>,
    pub method: Box<[u8]>,
}

/// A place among the copies that are under way.
struct Held(Arc<Copies>);

impl Held {
    fn begin(copies: &Arc<Copies>) -> Option<Self> {
        let more = |count| (count < copies.most).then_some(count + 1);
        copies.under_way.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Self(copies.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

impl Copy {
    /// `None`: too many are under way, or the request cannot be asked of the other service.
    pub fn begin(copies: &Arc<Copies>, exchange: &Exchange) -> Option<Self> {
        let held = Held::begin(copies)?;
        let mut target = Vec::with_capacity(128);
        let (service, host) = copies.proxy.preview(exchange, &mut target).ok()?;
        let request = &exchange.request;
        let mut head = request.head.clone();
        head.set(&copies.header, copies.route.as_bytes());
        Some(Self {
            held,
            snapshot: exchange.snapshot.clone(),
            service,
            method: request.method_name().into(),
            target,
            host: host.into(),
            head,
            about: About {
                request_id: exchange.id.as_slice().into(),
                path: request.raw_path.of(request.head.bytes()).into(),
                method: request.method_name().into(),
            },
        })
    }

    /// Sends it, in a task of its own; `None`: its body was too long. `original`: the answer that the client gets, if asked for.
    pub fn send(self, worker: &Rc<Worker>, body: Option<Bytes>, original: oneshot::Receiver<Answer>) {
        match body {
            None => self.held.0.count(worker, Outcome::TooLarge),
            Some(body) => {
                let worker = worker.clone();
                spawn_local(async move { self.go(&worker, body, original).await });
            }
        }
    }

    async fn go(self, worker: &Rc<Worker>, body: Bytes, original: oneshot::Receiver<Answer>) {
        let Self { held, snapshot, service, method, target, host, head, about } = self;
        let copies = &held.0;
        let errand = Errand {
            service,
            method: &method,
            target: &target,
            host: &host,
            head,
            body,
            deadline: worker.now().saturating_add(copies.timeout_ms),
            most_bytes: copies.compare.as_ref().map_or(0, |compare| compare.body_bytes),
        };
        let sampled = match sample(worker, &snapshot, errand).await {
            Ok(sampled) => sampled,
            Err(_) => return copies.count(worker, Outcome::Failed),
        };
        copies.count(worker, Outcome::Sent);
        let Some(compare) = &copies.compare else { return };
        // The one that the client gets may take longer, or come to nothing.
        let Ok(original) = original.await else { return };
        let copy = Answer::new(sampled.status, &sampled.head, sampled.body.map(Bytes::from));
        let compare = compare.clone();
        let Ok(difference) = spawn_blocking(move || compare.compare(&original, &copy)).await else { return };
        for outcome in difference.outcomes() {
            copies.compared.count(worker.index, outcome as usize);
        }
        if let (true, Some(differences)) = (difference.is_any(), &copies.differences) {
            differences.tell(worker, &copies.route, &about, &difference);
        }
    }
}

impl Difference {
    fn is_any(&self) -> bool {
        self.status.is_some() || !self.headers.is_empty() || !self.body.is_empty()
    }
}
