//! Wakes tasks of one worker from other threads.
//!
//! Waking a task of another thread's runtime costs a system call each time. Here only the first of a burst does: it wakes
//! the worker's own mail task, which then wakes the rest from inside, where that is a push on a local list.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

#[derive(Default)]
pub struct Mailbox(Mutex<Mail>);

#[derive(Default)]
struct Mail {
    wakers: Vec<Waker>,
    /// The mail task, while it waits; `None` while it was called and has not come yet.
    task: Option<Waker>,
    /// A mail task runs. Without one (no runtime, or it has ended) wakers are called directly.
    driven: bool,
}

thread_local! {
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

    pub fn wake(&self, waker: Waker) {
        let mut mail = self.mail();
        if !mail.driven {
            drop(mail);
            return waker.wake();
        }
        mail.wakers.push(waker);
        let task = mail.task.take();
        drop(mail);
        if let Some(task) = task {
            task.wake();
        }
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
        drop(mail);
        wakers.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut mail = self.0.mail();
        mail.driven = false;
        mail.wakers.clear();
        mail.task = None;
    }
}
