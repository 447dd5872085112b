//! The event log: what the people who run the gateway should know, on stderr.
//!
//! Events are made with `tracing`: `tracing::warn!(service = %name, attempt, "upstream connect failed")`, a short constant
//! message and fields. One that is not wanted costs a comparison and formats nothing. Warnings and errors of one place in
//! the code are limited, so that a service that is down does not fill the disk; what was left out is counted on the next line.
//! Lines are written by a thread of their own: a terminal that takes nothing must not stop a worker.

use std::collections::HashMap;
use std::fmt::{self, Debug, Write as _};
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::telemetry::escape::write_escaped;
use crate::telemetry::timestamp::write_timestamp;

/// Lines of one place in the code within a window, before the rest of them is only counted.
const BURST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Bytes that may wait to be written.
const BOUND: usize = 256 * 1024;

/// Events of crates with these names are ours; libraries speak of their own affairs.
const OURS: &str = "tidegate";

static LOG: OnceLock<Arc<Queue>> = OnceLock::new();

/// `TIDEGATE_LOG`: `off`, `error`, `warn`, `info`, `debug` or `trace`; `info` without it, or when it is none of these.
pub fn level_from_environment() -> LevelFilter {
    std::env::var("TIDEGATE_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO)
}

/// Begins to write events of this level and above to stderr. Only the first call in a process counts.
pub fn install(level: LevelFilter) -> std::io::Result<()> {
    let queue = Arc::new(Queue::default());
    if LOG.set(queue.clone()).is_err() {
        return Ok(());
    }
    let written = queue.clone();
    thread::Builder::new().name("tidegate-events".into()).spawn(move || written.run())?;
    let events = Events { level, queue, limits: Mutex::default(), started: Instant::now() };
    // An embedding program may have a subscriber of its own, which then gets the events.
    let _ = tracing::subscriber::set_global_default(events);
    Ok(())
}

/// Waits until every event so far is written, but not for ever.
pub fn flush() {
    if let Some(queue) = LOG.get() {
        queue.flush();
    }
}

struct Events {
    level: LevelFilter,
    queue: Arc<Queue>,
    limits: Mutex<HashMap<Identifier, Limit>>,
    started: Instant,
}

impl Subscriber for Events {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Asked once a place: what is never wanted costs one load from then on.
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with(OURS) && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut suppressed = 0;
        if *metadata.level() <= LevelFilter::WARN {
            let mut limits = lock(&self.limits);
            let limit = limits.entry(metadata.callsite()).or_default();
            match limit.take(self.started.elapsed()) {
                Some(before) => suppressed = before,
                None => return,
            }
        }
        let mut line = Vec::with_capacity(160);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        write_timestamp(&mut line, now.as_millis() as u64);
        write_event(&mut line, event, suppressed);
        self.queue.push(&line);
    }

    // Spans are not used.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// How often one place in the code spoke within the window.
#[derive(Default)]
struct Limit {
    window: Duration,
    count: u32,
}

impl Limit {
    /// Whether one more may be written, and how many were not in the window before.
    fn take(&mut self, now: Duration) -> Option<u32> {
        let mut suppressed = 0;
        if now.saturating_sub(self.window) >= WINDOW || self.count == 0 {
            suppressed = self.count.saturating_sub(BURST);
            *self = Self { window: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        (self.count <= BURST).then_some(suppressed)
    }
}

/// Writes ` warn upstream connect failed service=orders attempt=2`.
fn write_event(line: &mut Vec<u8>, event: &Event<'_>, suppressed: u32) {
    let mut parts = Parts::default();
    event.record(&mut parts);
    line.push(b' ');
    line.extend_from_slice(word(*event.metadata().level()));
    write_text(line, &parts.message);
    line.extend_from_slice(&parts.fields);
    if suppressed > 0 {
        line.extend_from_slice(b" suppressed=");
        line.extend_from_slice(itoa::Buffer::new().format(suppressed).as_bytes());
    }
    line.push(b'\n');
}

/// As wide as the longest, so that messages stand below each other.
fn word(level: Level) -> &'static [u8] {
    match level {
        Level::ERROR => b"error ",
        Level::WARN => b"warn  ",
        Level::INFO => b"info  ",
        Level::DEBUG => b"debug ",
        Level::TRACE => b"trace ",
    }
}

/// Control characters must not reach a terminal.
fn write_text(line: &mut Vec<u8>, text: &str) {
    if text.contains(char::is_control) {
        write_escaped(line, text.as_bytes())
    } else {
        line.extend_from_slice(text.as_bytes())
    }
}

#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<u8>,
}

impl Parts {
    fn field(&mut self, name: &str, value: &str) {
        self.fields.push(b' ');
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.push(b'=');
        let bare = |character: char| {
            !character.is_whitespace() && !character.is_control() && !matches!(character, '"' | '=' | '\\')
        };
        if !value.is_empty() && value.chars().all(bare) {
            self.fields.extend_from_slice(value.as_bytes());
        } else {
            self.fields.push(b'"');
            write_escaped(&mut self.fields, value.as_bytes());
            self.fields.push(b'"');
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { self.message.push_str(value) } else { self.field(field.name(), value) }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.message, "{value:?}").expect("a string takes every character");
        } else {
            self.field(field.name(), &fmt::format(format_args!("{value:?}")));
        }
    }
}

/// Lines on their way to stderr.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
    writing: bool,
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        if waiting.lines.len() + line.len() > BOUND {
            waiting.lost += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        self.changed.notify_all();
    }

    fn run(&self) {
        let mut waiting = lock(&self.waiting);
        loop {
            let lines = std::mem::take(&mut waiting.lines);
            let lost = std::mem::take(&mut waiting.lost);
            waiting.writing = !lines.is_empty();
            if !waiting.writing {
                self.changed.notify_all();
                waiting = self
                    .changed
                    .wait_while(waiting, |waiting| waiting.lines.is_empty())
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(waiting);
            let mut stderr = std::io::stderr().lock();
            // There is nowhere left to say that stderr is gone.
            let _ = stderr.write_all(&lines);
            if lost > 0 {
                let _ = writeln!(stderr, "events lost count={lost}");
            }
            drop(stderr);
            waiting = lock(&self.waiting);
        }
    }

    fn flush(&self) {
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let flushed = self.changed.wait_timeout_while(lock(&self.waiting), Duration::from_secs(2), busy);
        drop(flushed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_that_speaks_too_much_is_cut_short_and_counted() {
        let mut limit = Limit::default();
        let at = Duration::from_secs;
        assert_eq!((0..BURST).filter_map(|_| limit.take(at(1))).collect::<Vec<_>>(), vec![0; BURST as usize]);
        assert_eq!(limit.take(at(2)), None);
        assert_eq!(limit.take(at(10)), None);
        assert_eq!(limit.take(at(11)), Some(2));
        assert_eq!(limit.take(at(12)), Some(0));
    }

    #[test]
    fn values_that_could_be_misread_are_quoted() {
        let mut parts = Parts::default();
        for (name, value) in [("a", "plain:80"), ("b", "two words"), ("c", ""), ("d", "x=\"y\""), ("e", "\n")] {
            parts.field(name, value);
        }
        let expected = r#" a=plain:80 b="two words" c="" d="x=\"y\"" e="\n""#;
        assert_eq!(String::from_utf8(parts.fields).unwrap(), expected);
    }
}
