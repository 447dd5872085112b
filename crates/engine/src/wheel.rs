//! Deadlines, in a coarse wheel per worker.
//!
//! A task owns one [`Alarm`] for as long as it lives and moves its due time with a store: no timer is made, armed or
//! cancelled per request. The wheel looks at an alarm when the slot it stands in comes up, and puts it into a later slot
//! when the due time has moved on meanwhile. The wheel turns slot by slot, and rings within one what is due; an alarm never rings
//! early.
//! After: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987, with lazy re-insertion instead of levels.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Millis, NEVER};

/// Milliseconds a slot.
pub const TICK: Millis = 8;
const SLOTS: u64 = 2048;
/// Alarms that are kept for the next to come.
const MOST_SPARE: usize = 256;

pub struct Wheel {
    clock: Clock,
    slots: RefCell<Vec<Vec<Rc<Entry>>>>,
    /// Memory for what one turn meets.
    met: RefCell<Vec<Rc<Entry>>>,
    /// The next tick to be looked at.
    next: Cell<u64>,
    /// When the driver will wake; `NEVER` while it has nothing to wait for.
    wakes: Cell<Millis>,
    rearm: Notify,
    /// Alarms that calls of the gateway's own have done with. They stand in the wheel still, so that the next to have one mostly
    /// finds it in an early enough slot.
    spare: RefCell<Vec<Rc<Entry>>>,
}

struct Entry {
    due: Cell<Millis>,
    /// The tick of the slot this entry counts in; an older copy of it in another slot is dropped when met.
    tick: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// One task's deadline.
pub struct Alarm {
    wheel: Rc<Wheel>,
    entry: Rc<Entry>,
    beside: OnceCell<Box<Lent>>,
}

impl Wheel {
    pub fn new(clock: Clock) -> Rc<Self> {
        let next = clock.now() / TICK;
        Rc::new(Self {
            clock,
            slots: RefCell::new((0..SLOTS).map(|_| Vec::new()).collect()),
            met: RefCell::default(),
            next: Cell::new(next),
            wakes: Cell::new(NEVER),
            rearm: Notify::new(),
            spare: RefCell::default(),
        })
    }

    pub fn alarm(self: &Rc<Self>) -> Alarm {
        let entry = Entry { due: Cell::new(NEVER), tick: Cell::new(NEVER), waker: RefCell::new(None) };
        Alarm { wheel: self.clone(), entry: Rc::new(entry), beside: OnceCell::new() }
    }

    /// An alarm for one call, which goes back when that is over: no memory is taken, and the wheel does not fill up with what is
    /// long over.
    pub fn lend(self: &Rc<Self>) -> Lent {
        match self.spare.borrow_mut().pop() {
            Some(entry) => Lent(Alarm { wheel: self.clone(), entry, beside: OnceCell::new() }),
            None => Lent(self.alarm()),
        }
    }

    /// Waits for one due time; for tasks that do not live long enough to keep an alarm.
    pub async fn sleep_until(self: &Rc<Self>, due: Millis) {
        let alarm = self.alarm();
        alarm.set(due);
        std::future::poll_fn(|cx| alarm.poll(cx)).await;
    }

    fn insert(&self, entry: &Rc<Entry>, due: Millis) {
        // Rounded up, so that the slot comes up at or after the due time; a far one is looked at once a turn.
        let tick = due.div_ceil(TICK).clamp(self.next.get(), self.next.get() + SLOTS - 1);
        entry.tick.set(tick);
        self.slots.borrow_mut()[(tick % SLOTS) as usize].push(entry.clone());
        if due.min(tick * TICK) < self.wakes.get() {
            self.rearm.notify_one();
        }
    }

    /// Rings every alarm that is due.
    pub fn turn(&self) {
        let now = self.clock.now();
        let last = now / TICK;
        if last >= self.next.get() {
            self.visit(last, now);
        }
        self.ring_due(last + 1, now);
    }

    /// Looks at all that stands in slots whose time is over.
    fn visit(&self, last: u64, now: Millis) {
        let first = self.next.replace(last + 1);
        // All are taken out before one is put back: what is far off goes a whole turn ahead, into a slot just visited.
        let mut met = self.met.take();
        {
            let mut slots = self.slots.borrow_mut();
            // A jump of more than a turn need not visit a slot twice.
            for tick in first..=last.min(first + SLOTS - 1) {
                met.append(&mut slots[(tick % SLOTS) as usize]);
            }
        }
        for entry in met.drain(..) {
            self.meet(&entry, last, now);
        }
        self.met.replace(met);
    }

    /// Rings what is due in the slot whose time it is; the rest of it is not looked at before that is over.
    fn ring_due(&self, tick: u64, now: Millis) {
        self.slots.borrow_mut()[(tick % SLOTS) as usize].retain(|entry| {
            let rings = entry.tick.get() == tick && entry.due.get() <= now;
            if rings {
                entry.tick.set(NEVER);
                if let Some(waker) = entry.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
            !rings
        });
    }

    /// Rings what is due after the clock was moved, and lets the driver reckon its next wake anew.
    pub fn clock_moved(&self) {
        self.turn();
        self.rearm.notify_one();
    }

    fn meet(&self, entry: &Rc<Entry>, last: u64, now: Millis) {
        if entry.tick.get() > last {
            return; // an old copy: the entry stands elsewhere too
        }
        entry.tick.set(NEVER);
        let due = entry.due.get();
        if due <= now {
            if let Some(waker) = entry.waker.borrow_mut().take() {
                waker.wake();
            }
        } else if due != NEVER {
            self.insert(entry, due);
        }
    }

    /// Wakes every task that waits for an alarm, to look at what else has changed.
    pub fn wake_all(&self) {
        for entry in self.slots.borrow().iter().flatten() {
            if let Some(waker) = entry.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// When the next slot is over in which something stands, or the first alarm of it is due.
    fn next_wake(&self) -> Option<Millis> {
        let slots = self.slots.borrow();
        let next = self.next.get();
        let tick = (next..next + SLOTS).find(|tick| !slots[(tick % SLOTS) as usize].is_empty())?;
        let of_slot = slots[(tick % SLOTS) as usize].iter().filter(|entry| entry.tick.get() == tick);
        Some(of_slot.map(|entry| entry.due.get()).fold(tick * TICK, Millis::min))
    }

    /// Turns the wheel for ever; one task a worker.
    pub async fn drive(self: Rc<Self>) {
        loop {
            let Some(wake) = self.next_wake() else {
                self.wakes.set(NEVER);
                self.rearm.notified().await;
                continue;
            };
            self.wakes.set(wake);
            let wait = wake.saturating_sub(self.clock.now());
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait)) => self.turn(),
                () = self.rearm.notified() => {}
            }
        }
    }
}

impl Alarm {
    /// Moves the due time; `NEVER` switches the alarm off.
    pub fn set(&self, due: Millis) {
        self.entry.due.set(due);
        if due != NEVER && due.div_ceil(TICK) < self.entry.tick.get() {
            self.wheel.insert(&self.entry, due);
        } else if due < self.wheel.wakes.get() {
            // It moves to the fore within its slot.
            self.wheel.rearm.notify_one();
        }
    }

    /// Another of the same task, for what has a due time of its own; made when it is first wanted, and kept.
    pub fn beside(&self) -> &Self {
        self.beside.get_or_init(|| Box::new(self.wheel.lend()))
    }

    pub fn due(&self) -> Millis {
        self.entry.due.get()
    }

    /// Ready once the due time has come. Costs a clock read only when the wheel rang or nobody waits yet.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.entry.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => Poll::Pending,
            _ if self.entry.due.get() <= self.wheel.clock.now() => Poll::Ready(()),
            _ => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// An alarm that goes back to its wheel.
pub struct Lent(Alarm);

impl Deref for Lent {
    type Target = Alarm;

    fn deref(&self) -> &Alarm {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // The alarm itself is switched off right after this.
        let mut spare = self.0.wheel.spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            spare.push(self.0.entry.clone());
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.entry.due.set(NEVER);
        *self.entry.waker.borrow_mut() = None;
    }
}
