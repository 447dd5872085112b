//! Services that fall ill on command: HTTP/1.1, one thread, each on a port of its own.
//!
//!     faulty SERVICES MILLISECONDS
//!
//! Prints the ports, then one line for each line it reads. A healthy service answers 200 bytes of JSON after MILLISECONDS.
//!
//!     0 hang     takes requests and never answers them
//!     0 die      refuses connections and resets those it has
//!     0 slow     takes ten times as long
//!     0 fail     answers 500
//!     0 well     answers again
//!     counts     prints the requests each service has seen so far, as a JSON array

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use rustix::net::sockopt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, LocalSet, spawn_local};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Well,
    Hang,
    Die,
    Slow,
    Fail,
}

struct Service {
    port: u16,
    mode: Cell<Mode>,
    usual: Duration,
    seen: Cell<u64>,
    /// The task that accepts, while the service lives.
    accepting: RefCell<Option<AbortHandle>>,
    connections: RefCell<Vec<AbortHandle>>,
}

/// Connections that one that hangs may have, and some more.
const DESCRIPTORS: i32 = 16_384;

fn main() -> io::Result<()> {
    // The kernel doubles the table of descriptors when it is full, and has a process with more than one thread (here the
    // one that reads stdin) wait for some 10 ms each time: all services would hang with the one that does.
    drop(rustix::io::fcntl_dupfd_cloexec(io::stdout(), DESCRIPTORS - 1)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> io::Result<()> {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|it| it.parse().ok()).collect();
    let [count, usual] = given.as_slice() else {
        return Err(io::Error::other("usage: faulty SERVICES MILLISECONDS"));
    };
    let mut services = Vec::new();
    for _ in 0..*count {
        services.push(Service::start(Duration::from_millis(*usual)).await?);
    }
    let ports: Vec<String> = services.iter().map(|it| it.port.to_string()).collect();
    println!("{}", ports.join(" "));
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = commands.next_line().await? {
        if line == "counts" {
            let counts: Vec<String> = services.iter().map(|it| it.seen.get().to_string()).collect();
            println!("[{}]", counts.join(", "));
            continue;
        }
        let (service, mode) = line.split_once(' ').ok_or_else(|| io::Error::other(line.clone()))?;
        let service = service.parse().ok().and_then(|it: usize| services.get(it));
        let service = service.ok_or_else(|| io::Error::other(line.clone()))?;
        service.turn(Mode::of(mode)?).await?;
        println!("{line}");
    }
    Ok(())
}

impl Mode {
    fn of(name: &str) -> io::Result<Self> {
        Ok(match name {
            "well" => Self::Well,
            "hang" => Self::Hang,
            "die" => Self::Die,
            "slow" => Self::Slow,
            "fail" => Self::Fail,
            other => return Err(io::Error::other(format!("no such mode: {other}"))),
        })
    }
}

impl Service {
    async fn start(usual: Duration) -> io::Result<Rc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let service = Rc::new(Self {
            port: listener.local_addr()?.port(),
            mode: Cell::new(Mode::Well),
            usual,
            seen: Cell::new(0),
            accepting: RefCell::default(),
            connections: RefCell::default(),
        });
        service.accept(listener);
        Ok(service)
    }

    fn accept(self: &Rc<Self>, listener: TcpListener) {
        let service = self.clone();
        let task = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let task = spawn_local(service.clone().talk(stream));
                let mut connections = service.connections.borrow_mut();
                connections.retain(|it| !it.is_finished());
                connections.push(task.abort_handle());
            }
        });
        *self.accepting.borrow_mut() = Some(task.abort_handle());
    }

    async fn turn(self: &Rc<Self>, mode: Mode) -> io::Result<()> {
        self.mode.set(mode);
        if mode == Mode::Die {
            self.accepting.take().iter().for_each(AbortHandle::abort);
            self.connections.take().iter().for_each(AbortHandle::abort);
            // The listener is dropped with its task, at the latest when this has come round.
            tokio::task::yield_now().await;
        } else if self.accepting.borrow().is_none() {
            let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
            self.accept(listener);
        }
        Ok(())
    }

    async fn talk(self: Rc<Self>, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // Dropped, it is reset: a service that dies takes no leave.
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        let mut received = Vec::with_capacity(4096);
        loop {
            while memmem::find(&received, b"\r\n\r\n").is_none() {
                if stream.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
            }
            received.clear();
            self.seen.set(self.seen.get() + 1);
            match self.mode.get() {
                Mode::Hang => {
                    // Until the gateway gives up.
                    while stream.read_buf(&mut received).await? > 0 {
                        received.clear();
                    }
                    return Ok(());
                }
                Mode::Slow => tokio::time::sleep(self.usual * 10).await,
                Mode::Well | Mode::Die | Mode::Fail => tokio::time::sleep(self.usual).await,
            }
            let status = if self.mode.get() == Mode::Fail { "500 Internal Server Error" } else { "200 OK" };
            let body = format!("{{\"id\":42,\"name\":\"order\",\"note\":\"{}\"}}", "x".repeat(165));
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}
