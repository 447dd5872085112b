//! A level-triggered epoll, and a timer in it that is exact to microseconds.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// Sockets that are waited for, each under a number of the caller's.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// One socket that is ready.
pub struct Ready {
    pub key: u64,
    pub writable: bool,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(BATCH),
        })
    }

    pub fn add(&self, source: impl AsFd, key: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            source,
            EventData::new_u64(key),
            EventFlags::IN,
        )?)
    }

    /// Says whether `source` is waited for until it can be written, instead of until it can be read.
    pub fn want_write(&self, source: impl AsFd, key: u64, wanted: bool) -> io::Result<()> {
        let flags = if wanted {
            EventFlags::OUT
        } else {
            EventFlags::IN
        };
        Ok(epoll::modify(
            &self.epoll,
            source,
            EventData::new_u64(key),
            flags,
        )?)
    }

    /// Waits for the next events and appends them to `ready`.
    pub fn wait(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            None,
        ) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            let flags = event.flags;
            Ready {
                key: event.data.u64(),
                writable: flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

/// A timer that a [`Poller`] waits for: epoll's own timeout is too coarse for a schedule.
pub struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self {
            descriptor: timerfd_create(TimerfdClockId::Monotonic, flags)?,
        })
    }

    /// Rings once, `after` from now; at once when it is zero.
    pub fn ring(&self, after: Duration) -> io::Result<()> {
        let nanoseconds = after.as_nanos().max(1);
        let value = Timespec {
            tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (nanoseconds % 1_000_000_000) as _,
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Silences a timer that has rung.
    pub fn clear(&self) {
        let mut count = [0_u8; 8];
        // An empty timer says EAGAIN, which is as good as cleared.
        let _ = rustix::io::read(&self.descriptor, &mut count);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
