//! Asks several services through one gateway, each on a fixed schedule, and says what became of every request.
//!
//!     pressure PORT RATE SECONDS PATIENCE_SECONDS TARGET...
//!
//! Each target is asked RATE times a second, over connections of its own: as many as it takes, so that what hangs on one
//! holds nobody up. A latency counts from the moment a request was due. Prints one JSON object: for each target the
//! moments (ms), latencies (us) and statuses of its requests in order; 0 is a connection that broke, 1 one that the
//! client gave up.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout};

/// Beyond this many connections to one target requests break at once.
const MOST: usize = 4000;
const BROKEN: u16 = 0;
const GIVEN_UP: u16 = 1;

struct Target {
    port: u16,
    request: Vec<u8>,
    idle: RefCell<Vec<TcpStream>>,
    open: Cell<usize>,
    patience: Duration,
    /// Moment in microseconds, latency in microseconds, status.
    outcomes: RefCell<Vec<(u64, u64, u16)>>,
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, drive())
}

async fn drive() -> io::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [port, rate, seconds, patience, paths @ ..] = given.as_slice() else {
        return Err(io::Error::other("usage: pressure PORT RATE SECONDS PATIENCE_SECONDS TARGET..."));
    };
    let (port, rate): (u16, f64) = (parse(port)?, parse(rate)?);
    let patience = Duration::from_secs_f64(parse(patience)?);
    let total = (rate * parse::<f64>(seconds)?) as u64;
    let start = Instant::now() + Duration::from_millis(100);
    let mut senders = Vec::new();
    let mut targets = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n").into_bytes();
        let target = Rc::new(Target {
            port,
            request,
            idle: RefCell::default(),
            open: Cell::new(0),
            patience,
            outcomes: RefCell::default(),
        });
        // The targets take turns, so that they do not all come at once.
        let offset = Duration::from_secs_f64(index as f64 / rate / paths.len() as f64);
        senders.push(spawn_local(target.clone().send(start + offset, rate, total)));
        targets.push(target);
    }
    println!("started");
    for sender in senders {
        sender.await.map_err(io::Error::other)?;
    }
    tokio::time::sleep(patience + Duration::from_millis(200)).await;
    let lists: Vec<String> = targets.iter().map(|target| target.to_json()).collect();
    println!("[{}]", lists.join(",\n"));
    Ok(())
}

impl Target {
    async fn send(self: Rc<Self>, start: Instant, rate: f64, total: u64) {
        for number in 0..total {
            let after = Duration::from_secs_f64(number as f64 / rate);
            sleep_until(start + after).await;
            spawn_local(self.clone().ask(start + after, after));
        }
    }

    async fn ask(self: Rc<Self>, due: Instant, after: Duration) {
        let status = match timeout(self.patience, self.exchange()).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) => BROKEN,
            Err(_) => GIVEN_UP,
        };
        let latency = due.elapsed().as_micros() as u64;
        self.outcomes.borrow_mut().push((after.as_micros() as u64, latency, status));
    }

    async fn exchange(&self) -> io::Result<u16> {
        let idle = self.idle.borrow_mut().pop();
        let _open = Open::new(&self.open)?;
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(&self.request).await?;
        let mut received = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, keep)) = complete_answer(&received)? {
                if keep {
                    self.idle.borrow_mut().push(stream);
                }
                return Ok(status);
            }
        }
    }

    fn to_json(&self) -> String {
        let mut outcomes = self.outcomes.borrow_mut();
        outcomes.sort_unstable();
        let column = |of: &dyn Fn(&(u64, u64, u16)) -> u64| {
            outcomes.iter().map(|it| of(it).to_string()).collect::<Vec<_>>().join(",")
        };
        let (due, latency) = (column(&|it| it.0), column(&|it| it.1));
        let status = column(&|it| u64::from(it.2));
        format!("{{\"due_us\": [{due}], \"latency_us\": [{latency}], \"status\": [{status}]}}")
    }
}

/// One request under way.
struct Open<'a>(&'a Cell<usize>);

impl<'a> Open<'a> {
    fn new(count: &'a Cell<usize>) -> io::Result<Self> {
        if count.get() >= MOST {
            return Err(io::Error::other("too many requests under way"));
        }
        count.set(count.get() + 1);
        Ok(Self(count))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The status of an answer that has come whole, and whether the connection stays.
fn complete_answer(received: &[u8]) -> io::Result<Option<(u16, bool)>> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end]).map_err(io::Error::other)?.to_ascii_lowercase();
    let status = head.get(9..12).ok_or_else(|| io::Error::other("no status line"))?;
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim())
    };
    let length: usize = parse(field("content-length").ok_or_else(|| io::Error::other("no length"))?)?;
    if received.len() < end + 4 + length {
        return Ok(None);
    }
    Ok(Some((parse(status)?, field("connection") != Some("close"))))
}

fn parse<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("not a number: `{text}`")))
}
