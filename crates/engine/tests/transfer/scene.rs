//! One exchange on the stage: its sides, its clock, and the machine between them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tidegate_engine::clock::{Clock, NEVER};
use tidegate_engine::head::Head;
use tidegate_engine::respond::{Code, Failure};
use tidegate_engine::sides::{Answered, BodySize, Client};
use tidegate_engine::transfer::{Begin, Patience, Transfer};
use tidegate_engine::upstream::deadline::Deadline;
use tidegate_engine::wheel::Wheel;

use super::sides::{Fake, In, Item, Out};

/// Far apart, so that the time that a busy machine takes moves nothing across a border.
pub const READ_MS: u64 = 100_000;
pub const WRITE_MS: u64 = 200_000;
pub const CLIENT_MS: u64 = 400_000;
/// What tests stay away from a border on either side.
pub const MARGIN_MS: u64 = 50_000;

/// What brings a scene to where a test begins.
pub type Act = fn(&mut Scene);

pub struct Scene {
    pub client: In,
    pub to_client: Out,
    pub service: In,
    pub to_service: Out,
    pub clock: Clock,
    wheel: Rc<Wheel>,
    machine: Pin<Box<dyn Future<Output = Result<(), Failure>>>>,
    flag: Arc<Flag>,
    ended: Option<Result<(), Failure>>,
}

/// Notes that the machine was woken.
#[derive(Default)]
struct Flag {
    woken: AtomicBool,
    times: AtomicUsize,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn ok(size: BodySize) -> Answered {
    Answered::Final { status: 200, size, length: None }
}

pub fn patience() -> Patience {
    Patience {
        read: READ_MS,
        write: WRITE_MS,
        client: CLIENT_MS,
        deadline: Deadline::default(),
        first_byte: NEVER,
        attempt: NEVER,
        began: 0,
    }
}

/// As `serve::deliver` does it, without policies and log.
async fn exchange(client: &mut Fake, upstream: &mut Fake, transfer: &mut Transfer<'_>) -> Result<(), Failure> {
    let mut head = Head::default();
    let answered = poll_fn(|cx| transfer.poll_until_answer(cx, client, upstream, &mut head)).await?;
    if transfer.request_is_abandoned() {
        client.close_after();
    }
    match answered {
        Answered::Final { status, size, .. } => {
            client.send_head(status, &head, size, None);
            if size == BodySize::Empty {
                transfer.skip_answer();
            }
        }
        Answered::Tunnel { status } | Answered::Interim(status) => {
            client.send_head(status, &head, BodySize::Empty, None);
            client.start_tunnel();
            transfer.start_tunnel();
        }
    }
    poll_fn(|cx| transfer.poll_bodies(cx, client, upstream)).await
}

impl Scene {
    /// Both peers take all that comes.
    pub fn new(begin: Begin) -> Self {
        let scene = Self::tight(begin, patience());
        scene.to_client.borrow_mut().grant(usize::MAX);
        scene.to_service.borrow_mut().grant(usize::MAX);
        scene
    }

    /// No peer takes anything until it is granted.
    pub fn tight(begin: Begin, patience: Patience) -> Self {
        let clock = Clock::default();
        let wheel = Wheel::new(clock.clone());
        let mut client = Fake::new(Code::ClientGone);
        let mut upstream = Fake::new(Code::UpstreamReset);
        let (of_client, to_client) = (client.input.clone(), client.output.clone());
        let (of_service, to_service) = (upstream.input.clone(), upstream.output.clone());
        let (ticking, ringing) = (clock.clone(), wheel.clone());
        let machine = Box::pin(async move {
            let alarm = ringing.alarm();
            let mut transfer = Transfer::new(&ticking, &alarm, patience, ticking.now(), begin);
            exchange(&mut client, &mut upstream, &mut transfer).await
        });
        let flag = Arc::new(Flag::default());
        flag.woken.store(true, Ordering::Relaxed);
        Self { client: of_client, to_client, service: of_service, to_service, clock, wheel, machine, flag, ended: None }
    }

    /// Lets the machine run for as long as somebody wakes it.
    pub fn run(&mut self) -> &mut Self {
        let waker = Waker::from(self.flag.clone());
        let mut turns = 0;
        while self.ended.is_none() && self.flag.woken.swap(false, Ordering::Relaxed) {
            turns += 1;
            assert!(turns < 100_000, "the machine wakes itself for ever");
            if let Poll::Ready(result) = self.machine.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.ended = Some(result);
            }
        }
        self
    }

    /// A wake that nothing stands behind.
    pub fn nudge(&mut self) -> &mut Self {
        self.flag.woken.store(true, Ordering::Relaxed);
        self.run()
    }

    pub fn pass(&mut self, millis: u64) -> &mut Self {
        self.clock.advance(millis);
        self.wheel.clock_moved();
        self.run()
    }

    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    #[track_caller]
    pub fn assert_waits(&mut self) -> &mut Self {
        assert!(self.ended.is_none(), "the exchange is over: {:?}", self.ended);
        self
    }

    #[track_caller]
    pub fn assert_done(&self) {
        assert_eq!(self.ended, Some(Ok(())));
    }

    #[track_caller]
    pub fn assert_fails(&self, code: Code) {
        match &self.ended {
            Some(Err(failure)) => assert_eq!(failure.code, code),
            other => panic!("expected {code:?}, got {other:?}"),
        }
    }

    /// Reads what went to the client as a line: `100 200 body .`
    pub fn seen_by_client(&self) -> String {
        line(&self.to_client.borrow().wire)
    }

    pub fn seen_by_service(&self) -> String {
        line(&self.to_service.borrow().wire)
    }
}

/// Interim heads as `(100)`, the head as its status, bytes as they are, the end as `.`, trailers before it.
fn line(wire: &[Item]) -> String {
    let mut line = String::new();
    for item in wire {
        match item {
            Item::Interim(status) => line += &format!("({status})"),
            Item::Head(status, _) => line += &format!("[{status}]"),
            Item::Byte(byte) => line.push(char::from(*byte)),
            Item::End(trailers) => {
                trailers.iter().for_each(|(name, value)| line += &format!("<{name}:{value}>"));
                line.push('.');
            }
        }
    }
    line
}
