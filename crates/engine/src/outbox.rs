//! Things on their way from workers to whoever runs the engine, with a descriptor to wait on.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Things that may wait; when nobody takes them, the oldest go.
const MOST: usize = 4096;

pub struct Outbox<T> {
    waiting: Mutex<VecDeque<T>>,
    pipe: OnceLock<(PipeReader, PipeWriter)>,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), pipe: OnceLock::new() }
    }
}

impl<T> Outbox<T> {
    /// A descriptor that is readable while something is there.
    pub fn descriptor(&self) -> io::Result<RawFd> {
        // Under the lock, so that there is one byte in the pipe for a list that is not empty, and none for one that is.
        let waiting = self.waiting();
        if self.pipe.get().is_none() && self.pipe.set(io::pipe()?).is_ok() && !waiting.is_empty() {
            self.ring();
        }
        self.pipe.get().map(|(reader, _)| reader.as_raw_fd()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Everything that is there; called when the descriptor is readable.
    pub fn take(&self) -> Vec<T> {
        let mut waiting = self.waiting();
        if let Some((reader, _)) = self.pipe.get().filter(|_| !waiting.is_empty()) {
            let mut reader = reader;
            let _ = reader.read(&mut [0; 1]);
        }
        waiting.drain(..).collect()
    }

    pub fn push(&self, thing: T) {
        let mut waiting = self.waiting();
        if waiting.len() >= MOST {
            waiting.pop_front();
        }
        waiting.push_back(thing);
        if waiting.len() == 1 {
            self.ring();
        }
    }

    fn ring(&self) {
        if let Some((_, writer)) = self.pipe.get() {
            let mut writer = writer;
            let _ = writer.write(&[1]);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
