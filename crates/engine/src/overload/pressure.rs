//! From delays to a share of requests that are refused.
//!
//! Each drop that [`Codel`] makes due becomes a step up, larger when the delay is far above the target, unless the queue shrinks
//! already; when it stands no more, the pressure goes down slowly, until what is admitted is as much as can be answered. Pure; time
//! is passed in.

use crate::overload::codel::{Codel, Micros};
use crate::overload::priority::Priority;

/// Steps from refusing none of a priority to refusing all of it.
pub const NOTCHES: u32 = 16;
/// All of what may be refused is.
pub const TOP: u32 = NOTCHES * Priority::SHED as u32;

/// Steps down in an interval in which the queue does not stand.
const EASE: u64 = 2;

/// In so many intervals a queue that stood is to be gone.
const PATIENCE: u64 = 10;

/// What one queue's delays amount to.
#[derive(Debug, Clone)]
pub struct Pressure {
    codel: Codel,
    notches: u32,
    /// When a drop was due last, and the delay of that moment.
    last: (Micros, Micros),
    /// When it last went up or down.
    changed: Micros,
}

impl Pressure {
    pub fn new(target: Micros, interval: Micros) -> Self {
        Self { codel: Codel::new(target, interval), notches: 0, last: (0, 0), changed: 0 }
    }

    pub fn notches(&self) -> u32 {
        self.notches
    }

    /// It is for these settings.
    pub fn is_for(&self, target: Micros, interval: Micros) -> bool {
        (self.codel.target(), self.codel.interval()) == (target, interval)
    }

    /// Takes one delay and returns the pressure.
    pub fn take(&mut self, now: Micros, delay: Micros) -> u32 {
        if self.codel.take(now, delay) > 0 {
            if self.notches == 0 || !self.is_enough(now, delay) {
                self.notches = (self.notches + steps(delay / self.codel.target().max(1))).min(TOP);
            }
            self.last = (now, delay);
            self.changed = now;
        } else if !self.codel.is_dropping() {
            self.ease(now, delay);
        }
        self.notches
    }

    /// The queue shrinks so fast that it will be gone soon, or by a quarter of the time: what more would be refused could be
    /// answered.
    fn is_enough(&self, now: Micros, delay: Micros) -> bool {
        let (at, before) = self.last;
        let (shrunk, passed) = (before.saturating_sub(delay), now.saturating_sub(at).max(1));
        shrunk > 0 && (shrunk * 4 >= passed || shrunk * PATIENCE * self.codel.interval() >= passed * delay)
    }

    /// Goes down while the delay is below the target: above it, the queue may only just be growing.
    fn ease(&mut self, now: Micros, delay: Micros) {
        let pace = (self.codel.interval() / EASE).max(1);
        if self.notches == 0 || delay >= self.codel.target() {
            self.changed = now;
            return;
        }
        let steps = now.saturating_sub(self.changed) / pace;
        self.notches = self.notches.saturating_sub(u32::try_from(steps).unwrap_or(TOP));
        self.changed += steps * pace;
    }
}

/// One for up to twice the target, two for up to four times, and so on.
fn steps(times: u64) -> u32 {
    times.max(1).ilog2() + 1
}

/// Of the requests of each priority, every so many are refused, evenly spread and not in runs.
#[derive(Debug, Default)]
pub struct Turns([std::cell::Cell<u8>; Priority::SHED]);

impl Turns {
    /// Whether the next request of this priority is refused under this pressure.
    pub fn refuses(&self, priority: Priority, notches: u32) -> bool {
        let Some(turn) = self.0.get(priority as usize) else { return false };
        let reached = notches.saturating_sub(priority as u32 * NOTCHES);
        if reached == 0 || reached >= NOTCHES {
            return reached > 0;
        }
        turn.set(turn.get().wrapping_add(1));
        // The bits of a counter, turned round, visit the sixteen places in an order that is even at every length.
        u32::from(turn.get().reverse_bits() >> 4) < reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Micros = 1000;

    #[test]
    fn a_priority_is_refused_in_part_then_whole_before_the_next_begins() {
        let refused = |priority, notches| {
            let turns = Turns::default();
            (0..160).filter(|_| turns.refuses(priority, notches)).count()
        };
        for (notches, low, normal, high) in
            [(0, 0, 0, 0), (1, 10, 0, 0), (8, 80, 0, 0), (16, 160, 0, 0), (20, 160, 40, 0), (48, 160, 160, 160)]
        {
            assert_eq!(refused(Priority::Low, notches), low, "{notches}");
            assert_eq!(refused(Priority::Normal, notches), normal, "{notches}");
            assert_eq!(refused(Priority::High, notches), high, "{notches}");
            assert_eq!(refused(Priority::Critical, notches), 0, "{notches}");
        }
    }

    #[test]
    fn refusals_are_spread_evenly() {
        let turns = Turns::default();
        let run: Vec<bool> = (0..16).map(|_| turns.refuses(Priority::Low, 8)).collect();
        assert!(run.chunks(2).all(|pair| pair[0] != pair[1]), "{run:?}");
    }

    /// A worker that answers one request in `cost`, as an open-loop load sees it: whoever is refused costs next to nothing.
    struct Queue {
        pressure: Pressure,
        turns: Turns,
        now: Micros,
        backlog: Micros,
        longest: Micros,
        refused: [u32; Priority::SHED],
        came: [u32; Priority::SHED],
    }

    impl Queue {
        fn new() -> Self {
            Self {
                pressure: Pressure::new(10 * MS, 100 * MS),
                turns: Turns::default(),
                now: 0,
                backlog: 0,
                longest: 0,
                refused: [0; Priority::SHED],
                came: [0; Priority::SHED],
            }
        }

        /// Requests of these priorities come in turn, at so many times what can be answered. A request costs 100 us, a refusal 5.
        fn run(&mut self, for_ms: u64, load: f64, mix: &[Priority]) {
            (self.refused, self.came, self.longest) = Default::default();
            let apart = (100.0 / load) as u64;
            let until = self.now + for_ms * MS;
            let (mut turn, mut pulse) = (0, self.now);
            while self.now < until {
                if self.now >= pulse {
                    self.pressure.take(self.now, self.backlog);
                    pulse = self.now + 8 * MS;
                }
                let priority = mix[turn % mix.len()];
                turn += 1;
                self.came[priority as usize] += 1;
                let refused = self.turns.refuses(priority, self.pressure.notches());
                self.refused[priority as usize] += u32::from(refused);
                self.backlog = (self.backlog + if refused { 5 } else { 100 }).saturating_sub(apart);
                self.longest = self.longest.max(self.backlog);
                self.now += apart;
            }
        }

        fn share(&self, priority: Priority) -> f64 {
            f64::from(self.refused[priority as usize]) / f64::from(self.came[priority as usize].max(1))
        }
    }

    use Priority::{High, Low, Normal};

    #[test]
    fn below_its_capacity_nobody_is_refused() {
        let mut queue = Queue::new();
        queue.run(5_000, 0.95, &[Low, Normal, High]);
        assert_eq!(queue.refused, [0; 3]);
    }

    #[test]
    fn above_it_the_low_are_refused_and_the_delay_comes_back_to_the_target() {
        let mut queue = Queue::new();
        queue.run(3_000, 1.5, &[Low, Normal, Low, High]);
        queue.run(5_000, 1.5, &[Low, Normal, Low, High]);
        assert!(queue.share(Low) > 0.5 && queue.share(Low) < 0.9, "{}", queue.share(Low));
        assert_eq!((queue.share(Normal), queue.share(High)), (0.0, 0.0));
        assert!(queue.longest < 25 * MS, "{}", queue.longest);
    }

    #[test]
    fn where_the_low_are_too_few_the_normal_follow_and_the_high_stay() {
        let mut queue = Queue::new();
        queue.run(3_000, 3.0, &[Low, Normal, Normal, High]);
        queue.run(5_000, 3.0, &[Low, Normal, Normal, High]);
        assert_eq!(queue.share(Low), 1.0);
        assert!(queue.share(Normal) > 0.6, "{}", queue.share(Normal));
        assert!(queue.share(High) < 0.01, "{}", queue.share(High));
        assert!(queue.longest < 50 * MS, "{}", queue.longest);
    }

    #[test]
    fn when_the_load_has_gone_everybody_is_let_on_again() {
        let mut queue = Queue::new();
        queue.run(3_000, 3.0, &[Low, Normal, Normal, High]);
        queue.run(4_000, 0.8, &[Low, Normal, Normal, High]);
        queue.run(1_000, 0.8, &[Low, Normal, Normal, High]);
        assert_eq!((queue.refused, queue.pressure.notches()), ([0; 3], 0));
    }
}
