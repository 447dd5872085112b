//! `fetch` against services that are real sockets: what it sends, what it takes, and what it does when it is dropped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_engine::clock::{Clock, NEVER};
use tidegate_engine::head::Head;
use tidegate_engine::plan::{Balance, Calling, Plan, Pool, Resolve, Service, Target, UpstreamProtocol};
use tidegate_engine::respond::{Code, Failure};
use tidegate_engine::snapshot::{Pinned, Snapshot};
use tidegate_engine::state::State;
use tidegate_engine::telemetry::Telemetry;
use tidegate_engine::upstream::fetch::{Errand, Fetched, fetch};
use tidegate_engine::worker::Worker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// A worker and one service, whose listener the test plays.
struct Scene {
    worker: Rc<Worker>,
    telemetry: Arc<Telemetry>,
    listener: TcpListener,
}

impl Scene {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clock = Clock::default();
        let telemetry = Telemetry::start(1, clock.clone()).unwrap();
        let service = Service {
            name: "service".into(),
            targets: vec![Target {
                address: listener.local_addr().unwrap().to_string(),
                weight: 1,
                priority: 0,
                resolve: Resolve::One,
            }],
            balance: Balance::RoundRobin,
            slow_start_ms: 0,
            panic_percent: 20,
            health_check: None,
            host: "service.example".into(),
            base_path: String::new(),
            protocol: UpstreamProtocol::Http1,
            tls: None,
            calling: Calling::once(),
            connect_timeout_ms: 5000,
            read_timeout_ms: 5000,
            write_timeout_ms: 5000,
            pool: Pool { max_idle: 4, idle_timeout_ms: 60_000 },
        };
        let plan = Plan { services: vec![service], ..Plan::empty() };
        let snapshot = Snapshot::compile(plan, None, &telemetry.registry, &State::new())
            .map_err(|problems| problems.len())
            .unwrap();
        let worker = Worker::new(0, clock, Pinned::new(Arc::new(snapshot)), telemetry.clone(), None);
        spawn_local(worker.wheel.clone().drive());
        Self { worker, telemetry, listener }
    }

    async fn accept(&self) -> Peer {
        Peer { stream: self.listener.accept().await.unwrap().0, buffer: Vec::new() }
    }

    /// Begins to ask; the answer comes from the handle.
    fn ask(
        &self,
        body: &'static [u8],
        deadline: u64,
        most_bytes: usize,
    ) -> tokio::task::JoinHandle<Result<Fetched, Failure>> {
        let worker = self.worker.clone();
        spawn_local(async move {
            let mut head = Head::default();
            head.add(b"x-asked", b"yes");
            let errand = Errand {
                service: 0,
                method: if body.is_empty() { b"GET" } else { b"POST" },
                target: b"/check?a=b",
                host: b"service.example",
                head,
                body: Bytes::from_static(body),
                deadline,
                most_bytes,
            };
            let snapshot = worker.snapshot();
            fetch(&worker, &snapshot, errand).await
        })
    }
}

struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    /// A request whose body is `body` bytes long.
    async fn request(&mut self, body: usize) -> String {
        loop {
            let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end.map(|end| end + 4 + body).filter(|end| self.buffer.len() >= *end) {
                return String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the connection ended");
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the gateway closes the connection.
    async fn closed(&mut self) {
        while matches!(self.stream.read(&mut [0; 64]).await, Ok(1..)) {}
    }
}

fn play<T: Future<Output = ()>>(scene: impl FnOnce(Scene) -> T) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let made = Scene::new().await;
        let telemetry = made.telemetry.clone();
        scene(made).await;
        telemetry.stop();
    });
}

#[test]
fn an_answer_is_collected_and_its_connection_used_again() {
    play(|scene| async move {
        let asked = scene.ask(b"", NEVER, 100);
        let mut peer = scene.accept().await;
        let request = peer.request(0).await;
        assert_eq!(request, "GET /check?a=b HTTP/1.1\r\nhost: service.example\r\nx-asked: yes\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 5\r\n\r\nhe").await;
        peer.send("llo").await;
        let fetched = asked.await.unwrap().unwrap();
        assert_eq!((fetched.status, &*fetched.body), (200, &b"hello"[..]));
        assert_eq!(fetched.head.get(b"x-user"), Some(&b"ann"[..]));
        let asked = scene.ask(b"", NEVER, 100);
        peer.request(0).await;
        peer.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(asked.await.unwrap().unwrap().status, 204);
    });
}

#[test]
fn a_body_is_sent_and_a_chunked_answer_collected() {
    play(|scene| async move {
        let asked = scene.ask(b"token=abc", NEVER, 100);
        let mut peer = scene.accept().await;
        let request = peer.request(9).await;
        assert!(request.contains("content-length: 9\r\n") && request.ends_with("\r\n\r\ntoken=abc"), "{request}");
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n wo\r\n0\r\n\r\n").await;
        assert_eq!(asked.await.unwrap().unwrap().body, b"hello wo");
    });
}

#[test]
fn a_request_that_a_dying_connection_lost_is_sent_again() {
    play(|scene| async move {
        let asked = scene.ask(b"", NEVER, 100);
        let mut peer = scene.accept().await;
        peer.request(0).await;
        peer.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        asked.await.unwrap().unwrap();
        let asked = scene.ask(b"", NEVER, 100);
        peer.request(0).await;
        drop(peer);
        let mut peer = scene.accept().await;
        peer.request(0).await;
        peer.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(asked.await.unwrap().unwrap().status, 204);
    });
}

#[test]
fn an_answer_that_is_too_long_fails_whatever_it_says_of_its_length() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n{}\r\n", "x".repeat(101)),
        &format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(101)),
    ] {
        play(|scene| async move {
            let asked = scene.ask(b"", NEVER, 100);
            let mut peer = scene.accept().await;
            peer.request(0).await;
            peer.send(answer).await;
            assert_eq!(asked.await.unwrap().unwrap_err().code, Code::UpstreamBodyTooLarge, "{answer}");
            peer.closed().await;
        });
    }
}

#[test]
fn a_deadline_ends_a_silent_and_a_dripping_service() {
    for drip in [false, true] {
        play(|scene| async move {
            let asked = scene.ask(b"", scene.worker.now() + 200, 1000);
            let mut peer = scene.accept().await;
            peer.request(0).await;
            if drip {
                peer.send("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n").await;
                while peer.stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
            assert_eq!(asked.await.unwrap().unwrap_err().code, Code::Timeout);
            peer.closed().await;
        });
    }
}

#[test]
fn dropping_the_future_cancels_the_request() {
    play(|scene| async move {
        let asked = scene.ask(b"", NEVER, 100);
        let mut peer = scene.accept().await;
        peer.request(0).await;
        asked.abort();
        peer.closed().await;
    });
}

#[test]
fn a_service_that_is_not_there_is_a_failure() {
    play(|Scene { worker, telemetry, listener }| async move {
        let address = listener.local_addr().unwrap();
        drop(listener);
        let scene = Scene { worker, telemetry, listener: TcpListener::bind("127.0.0.1:0").await.unwrap() };
        assert_ne!(scene.listener.local_addr().unwrap(), address);
        assert_eq!(scene.ask(b"", NEVER, 100).await.unwrap().unwrap_err().code, Code::UpstreamConnectFailed);
    });
}
