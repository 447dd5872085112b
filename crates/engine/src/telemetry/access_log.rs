//! Carries lines from the workers to where they are read, off the workers.
//!
//! A worker appends to a buffer of its own; one thread swaps the buffers for empty ones every 50 ms, or when one is half
//! full, and writes them out. A worker makes no system call and waits for nobody but that swap. When the reader is slower
//! than the traffic, lines are dropped and counted, and the traffic goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::plan;
use crate::problem::Problem;
use crate::telemetry::metrics::Registry;
use crate::telemetry::wall::Wall;

/// Bytes that a worker may have waiting.
const BOUND: usize = 1024 * 1024;
const PERIOD: Duration = Duration::from_millis(50);
/// How often the thread looks after the clock while nothing is logged.
const IDLE_PERIOD: Duration = Duration::from_secs(1);
/// How long an orderly exit waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a reload waits for its destination to come into effect.
const HAND_OVER: Duration = Duration::from_secs(1);
/// Between two tries to write to what takes nothing and does not block.
const RETRY: Duration = Duration::from_millis(2);
/// A buffer that grew past this is not kept once it is half empty.
const KEPT: usize = 64 * 1024;

pub struct AccessLog {
    shared: Arc<Shared>,
}

struct Shared {
    on: AtomicBool,
    buffers: Box<[Mutex<Vec<u8>>]>,
    /// The destination that the thread takes up when it has written out what waits.
    next: Mutex<Option<Destination>>,
    state: Mutex<State>,
    /// Rings for the thread when there is much to do, for `stop` when it is done, and for `apply` when it has the destination.
    changed: Condvar,
    wall: Arc<Wall>,
    registry: Arc<Registry>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Called,
    Stopping,
    Stopped,
}

/// A destination that is open already, so that putting it into effect cannot fail.
pub struct Prepared(Destination);

/// Standard output is a file too: `io::Stdout` would look for line ends and may write twice.
enum Destination {
    Nowhere,
    File(File),
}

struct Sink {
    destination: Destination,
    /// The last write broke off within a line.
    torn: bool,
}

impl AccessLog {
    pub(super) fn start(workers: usize, wall: Arc<Wall>, registry: Arc<Registry>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            on: AtomicBool::new(false),
            buffers: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            next: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            wall,
            registry,
        });
        let thread = shared.clone();
        thread::Builder::new().name("tidegate-telemetry".into()).spawn(move || thread.run())?;
        Ok(Self { shared })
    }

    /// Opens the destination of a document that may come into effect. A file is opened anew each time, which is how a rotated
    /// log is let go on a reload.
    pub fn prepare(plan: &plan::AccessLog) -> Result<Prepared, Problem> {
        Ok(Prepared(match plan {
            plan::AccessLog::Off => Destination::Nowhere,
            plan::AccessLog::Stdout => {
                let stdout = io::stdout().as_fd().try_clone_to_owned();
                Destination::File(stdout.map_err(|error| unwritable("stdout", &error))?.into())
            }
            plan::AccessLog::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                Destination::File(file.map_err(|error| unwritable(path, &error))?)
            }
        }))
    }

    /// Whether [`AccessLog::prepare`] would find its file, without making one.
    pub fn check(plan: &plan::AccessLog) -> Result<(), Problem> {
        let plan::AccessLog::File(path) = plan else { return Ok(()) };
        match OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
                match folder.is_none_or(Path::is_dir) {
                    true => Ok(()),
                    false => Err(unwritable(path, &error)),
                }
            }
            opened => opened.map(drop).map_err(|error| unwritable(path, &error)),
        }
    }

    /// Puts the destination into effect; lines that wait go to the old one.
    ///
    /// A reader of the old one that takes nothing holds a reload up only so long: the new one then comes into effect later.
    pub fn apply(&self, prepared: Prepared) {
        let shared = &self.shared;
        if !matches!(prepared.0, Destination::Nowhere) {
            shared.on.store(true, Ordering::Relaxed);
        }
        *lock(&shared.next) = Some(prepared.0);
        shared.call();
        let waits = |state: &mut State| *state != State::Stopped && lock(&shared.next).is_some();
        drop(shared.changed.wait_timeout_while(lock(&shared.state), HAND_OVER, waits));
    }

    pub(super) fn is_on(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    /// Takes a line; `write` appends it to the worker's buffer and touches nothing that is there.
    pub(super) fn append(&self, worker: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let shared = &self.shared;
        let mut buffer = lock(&shared.buffers[worker.min(shared.buffers.len() - 1)]);
        let before = buffer.len();
        write(&mut buffer);
        let after = buffer.len();
        if after > BOUND {
            buffer.truncate(before);
            drop(buffer);
            shared.lose(1);
        } else if before < BOUND / 2 && after >= BOUND / 2 {
            drop(buffer);
            shared.call();
        }
    }

    /// Writes everything out and ends the thread.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.shared.state);
        if *state != State::Stopped {
            *state = State::Stopping;
        }
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| *state != State::Stopped);
        drop(waited);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        let mut sink = Sink { destination: Destination::Nowhere, torn: false };
        loop {
            let stopping = self.wait();
            self.wall.refresh();
            self.drain(&mut sink);
            self.take_up(&mut sink);
            if stopping {
                self.on.store(false, Ordering::Relaxed);
                // Closed, so that whoever reads from a pipe sees its end.
                drop(sink);
                *lock(&self.state) = State::Stopped;
                self.changed.notify_all();
                return;
            }
        }
    }

    /// Waits until there is something to do; true when it is the last time.
    fn wait(&self) -> bool {
        let period = if self.on.load(Ordering::Relaxed) { PERIOD } else { IDLE_PERIOD };
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, period, |state| *state == State::Waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Stopping | State::Stopped => true,
            State::Waiting | State::Called => {
                *state = State::Waiting;
                false
            }
        }
    }

    /// Changes over to the destination of the next document.
    fn take_up(&self, sink: &mut Sink) {
        let Some(destination) = lock(&self.next).take() else { return };
        self.on.store(!matches!(destination, Destination::Nowhere), Ordering::Relaxed);
        *sink = Sink { destination, torn: false };
        // Locked, so that `apply` is either waiting already or sees the change itself.
        let _state = lock(&self.state);
        self.changed.notify_all();
    }

    fn call(&self) {
        let mut state = lock(&self.state);
        if *state == State::Waiting {
            *state = State::Called;
            self.changed.notify_all();
        }
    }

    /// Writes what the workers have appended so far.
    fn drain(&self, sink: &mut Sink) {
        let mut lines = Vec::new();
        for buffer in &self.buffers {
            std::mem::swap(&mut *lock(buffer), &mut lines);
            if lines.is_empty() {
                continue;
            }
            let lost = sink.write(&lines);
            if lost > 0 {
                self.lose(lost);
            }
            if lines.capacity() > KEPT && lines.len() < lines.capacity() / 2 {
                lines = Vec::new();
            }
            lines.clear();
        }
    }

    fn lose(&self, lines: u64) {
        self.registry.access_log_dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Sink {
    /// Writes whole lines; returns how many were lost.
    fn write(&mut self, mut lines: &[u8]) -> u64 {
        if self.torn && self.write_once(b"\n").is_ok_and(|count| count == 1) {
            self.torn = false;
        }
        while !lines.is_empty() {
            match self.write_once(lines) {
                Ok(count) if count > 0 => {
                    self.torn = lines[count - 1] != b'\n';
                    lines = &lines[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares the terminal or pipe with us made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
                failed => {
                    let error = failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    tracing::error!(%error, "access log cannot be written");
                    return memchr::memchr_iter(b'\n', lines).count() as u64;
                }
            }
        }
        0
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.destination {
            Destination::Nowhere => Ok(bytes.len()),
            Destination::File(file) => file.write(bytes),
        }
    }
}

fn unwritable(name: &str, error: &io::Error) -> Problem {
    Problem::new("access_log", "config.unwritable_file", format!("cannot write to `{name}`: {error}"))
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
