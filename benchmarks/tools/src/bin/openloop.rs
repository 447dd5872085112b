//! Sends HTTP/1.1 requests on a fixed schedule, whatever the answers do, and says how long each took.
//!
//! Latency counts from the moment a request was due, not from when a connection was free for it, so a stall is felt by
//! every request that it delays (no coordinated omission; Gil Tene, "How NOT to Measure Latency").
//!
//!     openloop PORT CONNECTIONS RATE WARM_UP_SECONDS SECONDS TARGETS_FILE
//!
//! The file has one request target a line; they are sent in turn. Prints one JSON object.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use benchmark_tools::poller::{Poller, Ready, Timer};
use benchmark_tools::quantiles::Quantiles;
use memchr::memmem;

const TIMER: u64 = u64::MAX;
/// How long answers are waited for once the last request was due.
const PATIENCE: Duration = Duration::from_secs(5);

struct Arguments {
    port: u16,
    connections: usize,
    rate: f64,
    warm_up: Duration,
    duration: Duration,
    requests: Vec<Vec<u8>>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// The number of the request under way.
    request: Option<u64>,
}

struct Run {
    arguments: Arguments,
    start: Instant,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    /// The next request that is due, or already late for want of a free connection.
    next: u64,
    total: u64,
    answered: u64,
    errors: u64,
    latencies: Quantiles,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse()?;
    let mut run = Run::open(arguments)?;
    run.drive()?;
    let unanswered = run.total - run.answered - run.errors;
    let measured = run.latencies.len();
    let quantiles = run.latencies.to_json();
    let (errors, rate) = (run.errors + unanswered, run.arguments.rate);
    println!(
        "{{\"rate\": {rate:.1}, \"requests\": {measured}, \"errors\": {errors}, {quantiles}}}"
    );
    Ok(())
}

impl Arguments {
    fn parse() -> io::Result<Self> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let [port, connections, rate, warm_up, seconds, targets] = given.as_slice() else {
            return Err(invalid(
                "usage: openloop PORT CONNECTIONS RATE WARM_UP_SECONDS SECONDS TARGETS_FILE",
            ));
        };
        let port: u16 = parse(port)?;
        let targets = std::fs::read_to_string(targets)?;
        let request = |target: &str| {
            format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n").into_bytes()
        };
        Ok(Self {
            port,
            connections: parse(connections)?,
            rate: parse(rate)?,
            warm_up: Duration::from_secs_f64(parse(warm_up)?),
            duration: Duration::from_secs_f64(parse(seconds)?),
            requests: targets.lines().map(request).collect(),
        })
    }
}

impl Run {
    fn open(arguments: Arguments) -> io::Result<Self> {
        let connect = |_| -> io::Result<Connection> {
            let stream = TcpStream::connect(("127.0.0.1", arguments.port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Connection {
                stream,
                received: Vec::new(),
                request: None,
            })
        };
        let connections = (0..arguments.connections)
            .map(connect)
            .collect::<io::Result<Vec<_>>>()?;
        let total =
            ((arguments.warm_up + arguments.duration).as_secs_f64() * arguments.rate) as u64;
        Ok(Self {
            idle: (0..connections.len()).collect(),
            connections,
            start: Instant::now(),
            next: 0,
            total,
            answered: 0,
            errors: 0,
            latencies: Quantiles::default(),
            arguments,
        })
    }

    fn drive(&mut self) -> io::Result<()> {
        let mut poller = Poller::new()?;
        for (index, connection) in self.connections.iter().enumerate() {
            poller.add(&connection.stream, index as u64)?;
        }
        let timer = Timer::new()?;
        poller.add(&timer, TIMER)?;
        let (mut ready, mut buffer) = (Vec::<Ready>::new(), vec![0_u8; 64 << 10]);
        self.start = Instant::now();
        let end = self.due(self.total) + PATIENCE;
        while self.answered + self.errors < self.total && Instant::now() < end {
            self.send_what_is_due()?;
            timer.ring(self.until_next(end))?;
            poller.wait(&mut ready)?;
            for event in ready.drain(..) {
                if event.key == TIMER {
                    timer.clear();
                } else {
                    self.receive(event.key as usize, &mut buffer)?;
                }
            }
        }
        Ok(())
    }

    /// The moment at which a request is due.
    fn due(&self, request: u64) -> Instant {
        self.start + Duration::from_secs_f64(request as f64 / self.arguments.rate)
    }

    /// How long to sleep; a late request waits for a connection, not for the timer.
    fn until_next(&self, end: Instant) -> Duration {
        let waits_for_answer = self.next == self.total || self.idle.is_empty();
        let moment = if waits_for_answer {
            end
        } else {
            self.due(self.next)
        };
        moment.saturating_duration_since(Instant::now())
    }

    fn send_what_is_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while self.next < self.total && self.due(self.next) <= now {
            let Some(index) = self.idle.pop_front() else {
                break;
            };
            let request = &self.arguments.requests
                [(self.next % self.arguments.requests.len() as u64) as usize];
            let connection = &mut self.connections[index];
            connection.stream.write_all(request)?;
            connection.request = Some(self.next);
            self.next += 1;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, buffer: &mut [u8]) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let length = match connection.stream.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        if length == 0 {
            return Err(invalid("the gateway closed a connection"));
        }
        connection.received.extend_from_slice(&buffer[..length]);
        let Some(status) = complete_answer(&connection.received)? else {
            return Ok(());
        };
        connection.received.clear();
        let request = connection
            .request
            .take()
            .ok_or_else(|| invalid("an answer that nobody asked for"))?;
        self.idle.push_back(index);
        self.record(request, status);
        Ok(())
    }

    fn record(&mut self, request: u64, status: u16) {
        if status != 200 {
            self.errors += 1;
            return;
        }
        self.answered += 1;
        let due = self.due(request);
        if due >= self.start + self.arguments.warm_up {
            self.latencies
                .record(Instant::now().saturating_duration_since(due).as_nanos() as u64);
        }
    }
}

/// The status of an answer that has come whole.
fn complete_answer(received: &[u8]) -> io::Result<Option<u16>> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head =
        std::str::from_utf8(&received[..end]).map_err(|_| invalid("a head that is not text"))?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.get(9..12))
        .ok_or_else(|| invalid("no status line"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or_else(|| invalid("an answer without a length"))?;
    let length: usize = parse(length.1.trim())?;
    if received.len() < end + 4 + length {
        Ok(None)
    } else {
        Ok(Some(parse(status)?))
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse()
        .map_err(|_| invalid(&format!("not a number: `{text}`")))
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}
