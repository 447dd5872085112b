//! A number of slots that all workers share, and a queue in front of it: first come, first served.
//!
//! Taking a slot and giving it back are one atomic operation each while nobody waits. Whoever waits is given the slot of the
//! one that ends; those who left the queue are out of it at once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

pub struct Slots {
    /// `waiting << 32 | used`. `waiting` changes only under the lock of the queue.
    word: AtomicU64,
    most: AtomicU32,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiter>,
    next: u64,
}

struct Waiter {
    number: u64,
    /// Whose slot would do as it is.
    place: Place,
    sender: oneshot::Sender<Got>,
}

/// Where a slot is used: connections of one worker to one target, by the target's slot. Calls have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub worker: usize,
    pub target: usize,
}

/// What those in the queue wait for.
pub enum Got {
    Slot(Slot),
    /// What another in the same place had, with its slot in it; it lies ready under this number.
    Handed(u64),
}

/// One of the slots; given back when it is dropped.
pub struct Slot {
    slots: Arc<Slots>,
}

/// A place in the queue; dropping it leaves the queue.
pub struct Turn {
    slots: Arc<Slots>,
    number: u64,
    receiver: oneshot::Receiver<Got>,
}

pub enum Claim {
    Granted(Slot),
    Queued(Turn),
    Full,
}

const ONE_WAITS: u64 = 1 << 32;

fn used(word: u64) -> u32 {
    word as u32
}

fn waiting(word: u64) -> u32 {
    (word >> 32) as u32
}

impl Slots {
    pub fn new(most: u32) -> Arc<Self> {
        Arc::new(Self::with(most))
    }

    /// As [`Slots::new`], for whoever keeps it.
    pub fn with(most: u32) -> Self {
        Self { word: AtomicU64::new(0), most: AtomicU32::new(most), queue: Mutex::default() }
    }

    /// Asks for a slot; when there is none, for a place in the queue, unless `longest` wait already.
    pub fn claim(self: &Arc<Self>, longest: u32) -> Claim {
        self.claim_at(longest, Place::default())
    }

    /// As [`Slots::claim`], for somebody who could also use what has a slot in that place; see [`Slots::hand`].
    pub fn claim_at(self: &Arc<Self>, longest: u32, place: Place) -> Claim {
        if self.take(|word| waiting(word) == 0) {
            return Claim::Granted(Slot { slots: self.clone() });
        }
        let mut queue = self.lock();
        loop {
            // Those who wait come first.
            if queue.waiting.is_empty() && self.take(|_| true) {
                return Claim::Granted(Slot { slots: self.clone() });
            }
            if queue.waiting.len() >= longest as usize {
                return Claim::Full;
            }
            let word = self.word.load(Ordering::Acquire);
            // A slot that becomes free from here on sees that somebody waits, or this fails.
            let none_free = used(word) >= self.most() || !queue.waiting.is_empty();
            if none_free && self.exchange(word, word + ONE_WAITS) {
                let number = queue.next;
                queue.next += 1;
                let (sender, receiver) = oneshot::channel();
                queue.waiting.push_back(Waiter { number, place, sender });
                return Claim::Queued(Turn { slots: self.clone(), number, receiver });
            }
        }
    }

    /// Takes a slot if one is free and `may` says so.
    fn take(&self, may: impl Fn(u64) -> bool) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while used(word) < self.most() && may(word) {
            match self.word.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    fn give_back(self: &Arc<Self>) {
        let mut word = self.word.load(Ordering::Acquire);
        while waiting(word) == 0 {
            match self.word.compare_exchange_weak(word, word - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.word.fetch_sub(1, Ordering::AcqRel);
        self.serve();
    }

    /// Gives free slots to those who wait.
    fn serve(self: &Arc<Self>) {
        loop {
            let mut queue = self.lock();
            if queue.waiting.is_empty() || !self.take(|_| true) {
                return;
            }
            let first = queue.waiting.pop_front();
            self.word.fetch_sub(ONE_WAITS, Ordering::AcqRel);
            drop(queue);
            if let Some(first) = first {
                // One that left in this moment drops the slot, which then goes to the next.
                let _ = first.sender.send(Got::Slot(Slot { slots: self.clone() }));
            }
        }
    }

    /// Something that holds a slot is free in this place: the number under which the first in the queue will look for it, if that
    /// one is in the same place. Another's turn must not be taken: who is told `None` while somebody waits gives the slot back.
    pub fn hand(&self, place: Place) -> Option<u64> {
        loop {
            let mut queue = self.lock();
            if queue.waiting.front()?.place != place {
                return None;
            }
            let first = queue.waiting.pop_front()?;
            self.word.fetch_sub(ONE_WAITS, Ordering::AcqRel);
            drop(queue);
            let number = first.number;
            if first.sender.send(Got::Handed(number)).is_ok() {
                return Some(number);
            }
        }
    }

    /// Changes how many slots there are. Fewer take effect as slots are given back.
    pub fn set_most(self: &Arc<Self>, most: u32) {
        self.most.store(most, Ordering::Release);
        self.serve();
    }

    pub fn most(&self) -> u32 {
        self.most.load(Ordering::Acquire)
    }

    pub fn used(&self) -> u32 {
        used(self.word.load(Ordering::Acquire))
    }

    pub fn waiting(&self) -> u32 {
        waiting(self.word.load(Ordering::Acquire))
    }

    fn exchange(&self, from: u64, to: u64) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.give_back();
    }
}

impl Future for Turn {
    /// `None` cannot come while the slots live, which this sees to.
    type Output = Option<Got>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::ok)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.slots.lock();
        if let Some(index) = queue.waiting.iter().position(|waiter| waiter.number == self.number) {
            queue.waiting.remove(index);
            self.slots.word.fetch_sub(ONE_WAITS, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::task::Waker;

    use super::*;

    fn granted(claim: Claim) -> Slot {
        match claim {
            Claim::Granted(slot) => slot,
            Claim::Queued(_) | Claim::Full => panic!("not granted"),
        }
    }

    fn queued(claim: Claim) -> Turn {
        match claim {
            Claim::Queued(turn) => turn,
            Claim::Granted(_) | Claim::Full => panic!("not queued"),
        }
    }

    fn came(turn: &mut Turn) -> Option<Slot> {
        match Pin::new(turn).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Got::Slot(slot))) => Some(slot),
            Poll::Ready(Some(Got::Handed(_)) | None) | Poll::Pending => None,
        }
    }

    #[test]
    fn what_is_free_is_handed_to_the_first_in_line_if_that_is_in_its_place() {
        let slots = Slots::new(1);
        let (here, there) = (Place { worker: 0, target: 7 }, Place { worker: 1, target: 7 });
        let slot = granted(slots.claim_at(3, here));
        let (mut first, second) = (queued(slots.claim_at(3, here)), queued(slots.claim_at(3, there)));
        assert_eq!(slots.hand(there), None, "it is not its turn");
        let number = slots.hand(here).unwrap();
        let handed = Pin::new(&mut first).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(handed, Poll::Ready(Some(Got::Handed(at))) if at == number));
        assert_eq!(slots.hand(here), None, "the other worker's is next");
        assert_eq!((slots.used(), slots.waiting()), (1, 1));
        drop((slot, second));
        assert_eq!((slots.used(), slots.waiting()), (0, 0));
    }

    #[test]
    fn slots_go_to_those_who_wait_in_order_and_past_those_who_left() {
        let slots = Slots::new(1);
        let first = granted(slots.claim(3));
        let mut second = queued(slots.claim(3));
        let left = queued(slots.claim(3));
        let mut third = queued(slots.claim(3));
        assert!(matches!(slots.claim(3), Claim::Full));
        drop(left);
        assert_eq!((slots.used(), slots.waiting()), (1, 2));
        drop(first);
        assert!(came(&mut third).is_none());
        let slot = came(&mut second).unwrap();
        assert_eq!((slots.used(), slots.waiting()), (1, 1));
        drop(slot);
        drop(came(&mut third).unwrap());
        assert_eq!((slots.used(), slots.waiting()), (0, 0));
    }

    #[test]
    fn a_slot_that_came_too_late_for_its_turn_goes_to_the_next() {
        let slots = Slots::new(1);
        let first = granted(slots.claim(2));
        let late = queued(slots.claim(2));
        let mut next = queued(slots.claim(2));
        drop(first);
        drop(late);
        assert!(came(&mut next).is_some());
    }

    #[test]
    fn more_slots_serve_those_who_wait_and_fewer_wait_for_the_used_ones() {
        let slots = Slots::new(1);
        let first = granted(slots.claim(2));
        let (mut second, mut third) = (queued(slots.claim(2)), queued(slots.claim(2)));
        slots.set_most(3);
        let (second, third) = (came(&mut second).unwrap(), came(&mut third).unwrap());
        slots.set_most(1);
        drop((second, third));
        assert!(matches!(slots.claim(0), Claim::Full));
        drop(first);
        drop(granted(slots.claim(0)));
    }

    #[test]
    fn many_threads_never_use_more_slots_than_there_are_and_lose_none() {
        const THREADS: usize = 8;
        let (slots, most) = (Slots::new(3), AtomicU32::new(0));
        let (begin, running) = (Barrier::new(THREADS), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    begin.wait();
                    for _ in 0..2000 {
                        let slot = match slots.claim(4) {
                            Claim::Granted(slot) => slot,
                            Claim::Queued(turn) => match waited_for(turn) {
                                Some(Got::Slot(slot)) => slot,
                                Some(Got::Handed(_)) | None => panic!("the slots live, and nothing is handed"),
                            },
                            Claim::Full => continue,
                        };
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        running.fetch_sub(1, Ordering::SeqCst);
                        drop(slot);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!((slots.used(), slots.waiting()), (0, 0));
    }

    /// Waits on this thread.
    fn waited_for(turn: Turn) -> Option<Got> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(turn)
    }
}
