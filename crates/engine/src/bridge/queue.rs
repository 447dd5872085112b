//! Jobs on their way to the threads that run handlers.
//!
//! Coroutines go to the app loop, which sleeps on a pipe: a byte is written only when the loop is not awake already.
//! Plain functions may block, so they go to threads of their own, which sleep on a condition variable.

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rustc_hash::FxHashSet;

use crate::bridge::{Bridge, Event, Job, Mailbox, Overloaded, Ring};

pub struct Queue {
    /// Jobs that may wait on each side.
    limit: usize,
    line: Mutex<Line>,
    ready: Condvar,
    reader: PipeReader,
    writer: PipeWriter,
}

#[derive(Default)]
struct Line {
    looped: VecDeque<Arc<Job>>,
    threaded: VecDeque<Arc<Job>>,
    events: Vec<(Event, u64)>,
    /// Handlers that run on threads.
    blocking: FxHashSet<u32>,
    /// The app loop is at it, and drains again until it finds nothing: no need to wake it.
    awake: bool,
    closed: bool,
}

/// What the app loop takes at once.
#[derive(Default)]
pub struct Drained {
    pub jobs: Vec<Arc<Job>>,
    pub events: Vec<(Event, u64)>,
}

impl Queue {
    pub fn new(limit: usize) -> std::io::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        Ok(Self { limit, line: Mutex::default(), ready: Condvar::new(), reader, writer })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Readable while something waits for the app loop.
    pub fn descriptor(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Says that a handler blocks, and so runs on a thread.
    pub fn set_blocking(&self, handler: u32) {
        self.line().blocking.insert(handler);
    }

    /// Takes up to `most` jobs and all events. `woken`: the pipe was readable.
    ///
    /// Whoever found something must come again; whoever found nothing may sleep until the pipe is readable.
    pub fn drain(&self, most: usize, woken: bool) -> Drained {
        let drained = self.take(most, woken);
        Mailbox::deliver(!drained.jobs.is_empty() || !drained.events.is_empty());
        drained
    }

    fn take(&self, most: usize, woken: bool) -> Drained {
        if woken {
            // One byte is in it at most, so this neither blocks nor leaves any; a failure would only cost a wake.
            let _ = (&self.reader).read(&mut [0; 8]);
        }
        let mut line = self.line();
        let count = line.looped.len().min(most);
        let jobs: Vec<_> = line.looped.drain(..count).collect();
        let events = std::mem::take(&mut line.events);
        line.awake = count > 0 || !events.is_empty();
        Drained { jobs, events }
    }

    /// Waits for a job of a blocking handler; `None` once the queue is closed.
    pub fn take_blocking(&self) -> Option<Arc<Job>> {
        let mut line = self.line();
        loop {
            if let Some(job) = line.threaded.pop_front() {
                return Some(job);
            }
            if line.closed {
                return None;
            }
            line = self.ready.wait(line).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// No thread waits any longer and no job is taken in.
    pub fn close(&self) {
        self.line().closed = true;
        self.ready.notify_all();
        self.wake();
    }

    fn wake(&self) {
        // The pipe holds one byte at most; a loop that is gone has no use for it.
        let _ = (&self.writer).write(&[1]);
    }
}

impl Bridge for Queue {
    fn submit(&self, job: Arc<Job>) -> Result<Ring, Overloaded> {
        let mut line = self.line();
        let blocking = line.blocking.contains(&job.handler);
        let waiting = if blocking { &mut line.threaded } else { &mut line.looped };
        if waiting.len() >= self.limit {
            return Err(Overloaded);
        }
        waiting.push_back(job);
        if blocking {
            drop(line);
            self.ready.notify_one();
        } else if !std::mem::replace(&mut line.awake, true) {
            return Ok(Ring::Later);
        }
        Ok(Ring::No)
    }

    fn notify(&self, number: u64, event: Event) -> Ring {
        let mut line = self.line();
        line.events.push((event, number));
        if std::mem::replace(&mut line.awake, true) { Ring::No } else { Ring::Later }
    }

    fn ring(&self) {
        self.wake();
    }
}
