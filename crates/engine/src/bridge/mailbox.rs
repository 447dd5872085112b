//! Wakes tasks of one worker from other threads.
//!
//! Waking a task of another thread's runtime costs a system call each time. Here only the first of a burst does: it wakes
//! the worker's own mail task, which then wakes the rest from inside, where that is a push on a local list. The app loop
//! goes further: what it answers between two drains is delivered at the second (or every [`HELD`] answers), so that the
//! two threads do not take turns for every request when they share a core. The worker does the same the other way round:
//! the loop is woken when the worker has looked at everything that was ready.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use crate::bridge::{Bridge, Call};

#[derive(Default)]
pub struct Mailbox(Mutex<Mail>);

#[derive(Default)]
struct Mail {
    wakers: Vec<Waker>,
    /// The mail task, while it waits; `None` while it was called and has not come yet.
    task: Option<Waker>,
    /// To be woken when the mail task comes: the loop of handlers that were given jobs.
    bell: Option<Arc<dyn Bridge>>,
    /// Calls to be made by this worker.
    orders: Vec<Arc<Call>>,
    /// The task that makes them, while it waits.
    carrier: Option<Waker>,
    /// A mail task runs. Without one (no runtime, or it has ended) wakers are called directly.
    driven: bool,
}

/// Answers that wait for the next drain at most.
const HELD: usize = 16;

thread_local! {
    /// Mailboxes that the drain of this thread holds back; `None` while nothing is held.
    static OUTGOING: RefCell<Option<Vec<Arc<Mailbox>>>> = const { RefCell::new(None) };
    static HERE: RefCell<Option<Arc<Mailbox>>> = const { RefCell::new(None) };
}

impl Mailbox {
    /// The mailbox of this thread; made, with its task, at the first call.
    pub fn here() -> Arc<Self> {
        HERE.with_borrow_mut(|here| here.get_or_insert_with(Self::open).clone())
    }

    fn open() -> Arc<Self> {
        let mailbox = Arc::new(Self::default());
        if let Ok(runtime) = Handle::try_current() {
            mailbox.mail().driven = true;
            runtime.spawn(Driver(mailbox.clone()));
        }
        mailbox
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn wake(self: &Arc<Self>, waker: Waker) {
        let mut mail = self.mail();
        if !mail.driven {
            drop(mail);
            return waker.wake();
        }
        mail.wakers.push(waker);
        let full = mail.wakers.len() >= HELD;
        drop(mail);
        if full || !self.hold() {
            self.call();
        }
    }

    /// Hands a call over to the worker; it is given up where that has ended.
    pub fn order(self: &Arc<Self>, call: Arc<Call>) {
        let mut mail = self.mail();
        if !mail.driven {
            drop(mail);
            return call.give_up();
        }
        mail.orders.push(call);
        let carrier = mail.carrier.take();
        drop(mail);
        if let Some(carrier) = carrier {
            self.wake(carrier);
        }
    }

    /// The calls that were handed over; `waker` is woken for the next.
    pub fn take_orders(&self, waker: &Waker) -> Vec<Arc<Call>> {
        let mut mail = self.mail();
        mail.carrier = Some(waker.clone());
        std::mem::take(&mut mail.orders)
    }

    /// Leaves the delivery to the next drain of this thread; false when no drain is under way.
    fn hold(self: &Arc<Self>) -> bool {
        OUTGOING.with_borrow_mut(|outgoing| {
            let Some(held) = outgoing else { return false };
            if !held.iter().any(|mailbox| Arc::ptr_eq(mailbox, self)) {
                held.push(self.clone());
            }
            true
        })
    }

    fn call(&self) {
        let task = self.mail().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Delivers what this thread held back, and holds from now on or no longer.
    pub fn deliver(hold: bool) {
        let held = OUTGOING.replace(hold.then(Vec::new));
        held.iter().flatten().for_each(|mailbox| mailbox.call());
    }

    /// Rings for the loop of `bridge` when this worker has looked at everything that was ready.
    pub fn ring_later(&self, bridge: &Arc<dyn Bridge>) {
        let mut mail = self.mail();
        if !mail.driven {
            drop(mail);
            return bridge.ring();
        }
        mail.bell = Some(bridge.clone());
        drop(mail);
        self.call();
    }
}

/// The worker's mail task. It lives as long as the worker's runtime.
struct Driver(Arc<Mailbox>);

impl Future for Driver {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut mail = self.0.mail();
        mail.task = Some(cx.waker().clone());
        let wakers = std::mem::take(&mut mail.wakers);
        let bell = mail.bell.take();
        drop(mail);
        wakers.into_iter().for_each(Waker::wake);
        if let Some(bridge) = bell {
            bridge.ring();
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut mail = self.0.mail();
        mail.driven = false;
        mail.wakers.clear();
        mail.task = None;
        mail.carrier = None;
        let orders = std::mem::take(&mut mail.orders);
        drop(mail);
        orders.iter().for_each(|call| call.give_up());
    }
}
