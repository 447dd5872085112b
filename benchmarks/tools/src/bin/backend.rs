//! The service behind the gateways: HTTP/1.1, one thread, as little work as an answer can be.
//!
//! Prints the port it listens on. Answers 200 bytes of JSON; a target that ends in `?big` gets 1 MiB, one that ends in
//! `?echo` gets the head it sent, so that a check can see what a gateway added. Bodies with a length are read and dropped.
//!
//! `/orders/`, `/users/`, `/products/` and `/shipments/` answer as the services of a shop would, for the scenarios that compose.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

use benchmark_tools::poller::{Poller, Ready};
use memchr::memmem;

const LISTENER: u64 = 0;
const BIG: usize = 1 << 20;
/// The most that is read at once, and the longest head.
const BUFFER: usize = 256 << 10;

/// `first` and `second` are the products once more: not every contestant can look into an array.
const ORDER: &str = r#"{"id":"42","status":"paid","userId":"u-7","productIds":["p-1","p-2"],"first":"p-1","second":"p-2","currency":"EUR","total":1049.9,"placedAt":"2026-03-01T09:12:44Z","lines":[{"sku":"p-1","quantity":1,"price":999.9},{"sku":"p-2","quantity":2,"price":25.0}],"billing":{"name":"Ada Lovelace","street":"12 St James's Square","city":"London","postcode":"SW1Y 4JH","country":"GB"},"notes":"leave it with the neighbour, please"}"#;
const USER: &str = r#"{"id":"u-7","name":"Ada Lovelace","email":"ada@example.com","tier":"gold","since":"2019-07-14","language":"en-GB","addresses":[{"kind":"home","city":"London","postcode":"SW1Y 4JH"},{"kind":"work","city":"Cambridge","postcode":"CB2 1TN"}],"preferences":{"newsletter":false,"currency":"EUR"}}"#;
const PRODUCT: &str = r#"{"sku":"p-1","title":"Difference engine, second hand","price":999.9,"currency":"EUR","stock":3,"weight":4082,"dimensions":{"height":2100,"width":3300,"depth":500},"tags":["brass","steam","collectors"],"description":"Eight thousand parts, five tons, no electricity. Runs as it did on its first day, and prints its own tables."}"#;
const SHIPMENT: &str = r#"{"order":"42","carrier":"Penny Post","state":"in_transit","eta":"2026-03-04","events":[{"at":"2026-03-01T18:00:00Z","what":"collected"},{"at":"2026-03-02T06:30:00Z","what":"sorted"}]}"#;

/// The answers that are always the same.
struct Answers {
    json: Rc<[u8]>,
    big: Rc<[u8]>,
    order: Rc<[u8]>,
    user: Rc<[u8]>,
    product: Rc<[u8]>,
    shipment: Rc<[u8]>,
}

struct Connection {
    stream: TcpStream,
    /// The start of a head that has not come whole.
    partial: Vec<u8>,
    /// Bytes of the request's body that are still to be dropped before the answer is due.
    body_left: usize,
    answer: Answer,
    /// Answers that could not be written yet, each with how much of it was.
    unsent: VecDeque<(Rc<[u8]>, usize)>,
}

enum Answer {
    Json,
    Big,
    Order,
    User,
    Product,
    Shipment,
    Echo(Vec<u8>),
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    let answers = Answers::new();
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let (mut next_key, mut ready, mut buffer) =
        (LISTENER + 1, Vec::<Ready>::new(), vec![0_u8; BUFFER]);
    loop {
        poller.wait(&mut ready)?;
        for event in ready.drain(..) {
            if event.key == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    poller.add(&stream, next_key)?;
                    connections.insert(next_key, Connection::new(stream));
                    next_key += 1;
                }
            } else if let Some(connection) = connections.get_mut(&event.key) {
                let step = if event.writable {
                    connection.flush(&poller, event.key)
                } else {
                    connection.read(&mut buffer, &answers, &poller, event.key)
                };
                if !matches!(step, Ok(true)) {
                    connections.remove(&event.key);
                }
            }
        }
    }
}

impl Answers {
    fn new() -> Self {
        let filler = "a tide gate lets the flow out and holds the surge back; ".repeat(4);
        let start = r#"{"id":42,"name":"order","status":"paid","total":19.95,"note":""#;
        let body = format!("{start}{}\"}}", &filler[..200 - start.len() - 2]);
        Self {
            json: with_head("application/json", body.as_bytes()),
            big: with_head("application/octet-stream", &vec![b'x'; BIG]),
            order: with_head("application/json", ORDER.as_bytes()),
            user: with_head("application/json", USER.as_bytes()),
            product: with_head("application/json", PRODUCT.as_bytes()),
            shipment: with_head("application/json", SHIPMENT.as_bytes()),
        }
    }
}

fn with_head(content_type: &str, body: &[u8]) -> Rc<[u8]> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            partial: Vec::new(),
            body_left: 0,
            answer: Answer::Json,
            unsent: VecDeque::new(),
        }
    }

    /// Takes what has arrived and answers each request that is whole; `false` when the peer has closed.
    fn read(
        &mut self,
        buffer: &mut [u8],
        answers: &Answers,
        poller: &Poller,
        key: u64,
    ) -> io::Result<bool> {
        let length = match self.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        if self.partial.is_empty() {
            return self.take(&buffer[..length], answers, poller, key);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(&buffer[..length]);
        self.take(&whole, answers, poller, key)
    }

    fn take(
        &mut self,
        mut bytes: &[u8],
        answers: &Answers,
        poller: &Poller,
        key: u64,
    ) -> io::Result<bool> {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let dropped = self.body_left.min(bytes.len());
                self.body_left -= dropped;
                bytes = &bytes[dropped..];
            } else if let Some(end) = memmem::find(bytes, b"\r\n\r\n") {
                let (head, rest) = bytes.split_at(end + 4);
                self.answer = Answer::to(head);
                self.body_left = content_length(head)?;
                bytes = rest;
            } else if bytes.len() > BUFFER {
                return Ok(false);
            } else {
                self.partial = bytes.to_vec();
                return Ok(true);
            }
            if self.body_left == 0 {
                self.send(answers, poller, key)?;
            }
        }
        Ok(true)
    }

    fn send(&mut self, answers: &Answers, poller: &Poller, key: u64) -> io::Result<()> {
        let bytes = match &self.answer {
            Answer::Json => Rc::clone(&answers.json),
            Answer::Big => Rc::clone(&answers.big),
            Answer::Order => Rc::clone(&answers.order),
            Answer::User => Rc::clone(&answers.user),
            Answer::Product => Rc::clone(&answers.product),
            Answer::Shipment => Rc::clone(&answers.shipment),
            Answer::Echo(head) => with_head("text/plain", head),
        };
        if !self.unsent.is_empty() {
            self.unsent.push_back((bytes, 0));
            return Ok(());
        }
        let sent = write_some(&mut self.stream, &bytes)?;
        if sent < bytes.len() {
            self.unsent.push_back((bytes, sent));
            poller.want_write(&self.stream, key, true)?;
        }
        Ok(())
    }

    fn flush(&mut self, poller: &Poller, key: u64) -> io::Result<bool> {
        while let Some((bytes, sent)) = self.unsent.front_mut() {
            *sent += write_some(&mut self.stream, &bytes[*sent..])?;
            if *sent < bytes.len() {
                return Ok(true);
            }
            self.unsent.pop_front();
        }
        poller.want_write(&self.stream, key, false)?;
        Ok(true)
    }
}

impl Answer {
    fn to(head: &[u8]) -> Self {
        let line = &head[..memmem::find(head, b"\r\n").unwrap_or(head.len())];
        let target = line.strip_suffix(b" HTTP/1.1").unwrap_or(line);
        if target.ends_with(b"?big") {
            Self::Big
        } else if target.ends_with(b"?echo") {
            Self::Echo(head.to_vec())
        } else {
            Self::of_shop(target)
        }
    }
}

impl Answer {
    fn of_shop(target: &[u8]) -> Self {
        let path = target.strip_prefix(b"GET ").unwrap_or_default();
        let services = [
            (&b"/orders/"[..], Self::Order),
            (b"/users/", Self::User),
            (b"/products/", Self::Product),
            (b"/shipments/", Self::Shipment),
        ];
        let found = services
            .into_iter()
            .find(|(prefix, _)| path.starts_with(prefix));
        found.map_or(Self::Json, |(_, answer)| answer)
    }
}

/// Writes what the socket takes without waiting.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => sent += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// The length of the body; a coding is refused, because no contestant may need one here.
fn content_length(head: &[u8]) -> io::Result<usize> {
    if head.starts_with(b"GET ") {
        return Ok(0);
    }
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding:") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    value.map_or(Ok(0), |value| {
        value
            .trim()
            .parse()
            .map_err(|_| io::ErrorKind::InvalidData.into())
    })
}
