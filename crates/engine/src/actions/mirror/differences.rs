//! Writes differences to a file, one JSON object a line, on a thread of its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde_json::json;

use super::WHOLE;
use super::compare::Difference;
use super::copy::About;
use crate::worker::Worker;

/// Lines that may wait to be written; more are lost.
const BOUND: usize = 1000;

pub struct Differences {
    file: Box<str>,
    /// Of those that there are, how many are written.
    share: u32,
    /// Begun with the first line; ends with the snapshot that has it.
    lines: OnceLock<Option<SyncSender<Vec<u8>>>>,
}

impl Differences {
    pub fn new(file: &str, share: u32) -> Self {
        Self { file: file.into(), share, lines: OnceLock::new() }
    }

    /// Names and places only, as in the access log: no query, and no value of a header or of a body.
    pub fn tell(&self, worker: &Worker, route: &str, about: &About, difference: &Difference) {
        if worker.local.random() % WHOLE >= u64::from(self.share) {
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut line = json!({
            "time_ms": worker.clock.wall(),
            "route": route,
            "request_id": text(&about.request_id),
            "method": text(&about.method),
            "path": text(&about.path),
        });
        if let Some((original, copy)) = difference.status {
            line["status"] = json!({"original": original, "copy": copy});
        }
        if !difference.headers.is_empty() {
            line["headers"] = json!(difference.headers);
        }
        if !difference.body.is_empty() {
            line["body"] = json!(difference.body);
        }
        let mut line = line.to_string().into_bytes();
        line.push(b'\n');
        if let Some(lines) = self.lines.get_or_init(|| start(&self.file)) {
            // A disk that is slow costs lines, not requests.
            let _ = lines.try_send(line);
        }
    }
}

fn start(file: &str) -> Option<SyncSender<Vec<u8>>> {
    let (sender, lines) = sync_channel(BOUND);
    let file = file.to_owned();
    let thread = thread::Builder::new().name("tidegate-mirror".into()).spawn(move || write(&file, &lines));
    thread.map(|_| sender).ok()
}

fn write(path: &str, lines: &Receiver<Vec<u8>>) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) => return tracing::error!(file = path, %error, "differences cannot be written"),
    };
    while let Ok(line) = lines.recv() {
        if let Err(error) = file.write_all(&line) {
            return tracing::error!(file = path, %error, "differences cannot be written");
        }
    }
}
