//! When a queue is a standing one, and how often to act on it: Controlled Delay, RFC 8289.
//!
//! The estimator (section 5.3) and the control law (section 5.4) are those of the RFC. What differs is what a drop is: a packet
//! that is lost slows its sender down, a refused request does not. So [`Codel::take`] only says how many drops are due, and
//! [`Pressure`](crate::overload::pressure::Pressure) makes of each a step that lasts.

/// Microseconds.
pub type Micros = u64;

/// How long after a dropping state its rate is remembered, in intervals (section 5.6).
const MEMORY: u64 = 16;

/// The state of one queue; it reads no clock.
#[derive(Debug, Clone)]
pub struct Codel {
    target: Micros,
    interval: Micros,
    /// When the delay will have been above the target for an interval; `None` while it is below.
    first_above: Option<Micros>,
    dropping: bool,
    drop_next: Micros,
    count: u32,
    last_count: u32,
}

impl Codel {
    /// `target`: the delay that is put up with. `interval`: a queue that is longer for so long is a standing one.
    pub fn new(target: Micros, interval: Micros) -> Self {
        Self { target, interval, first_above: None, dropping: false, drop_next: 0, count: 0, last_count: 0 }
    }

    pub fn target(&self) -> Micros {
        self.target
    }

    pub fn interval(&self) -> Micros {
        self.interval
    }

    /// The queue is a standing one.
    pub fn is_dropping(&self) -> bool {
        self.dropping
    }

    /// Takes the delay of what left the queue just now; says how many drops are due.
    pub fn take(&mut self, now: Micros, delay: Micros) -> u32 {
        if !self.is_standing(now, delay) {
            self.dropping = false;
            return 0;
        }
        if !self.dropping {
            self.begin(now);
            return 1;
        }
        let mut due = 0;
        while now >= self.drop_next {
            due += 1;
            self.count += 1;
            self.drop_next = self.control_law(self.drop_next);
        }
        due
    }

    /// `dodequeue` of section 5.5: even the shortest delay of an interval was above the target.
    fn is_standing(&mut self, now: Micros, delay: Micros) -> bool {
        if delay < self.target {
            self.first_above = None;
            return false;
        }
        now >= *self.first_above.get_or_insert(now + self.interval)
    }

    /// Section 5.6: a queue that stands again soon after is met with about the rate that dissolved it.
    fn begin(&mut self, now: Micros) {
        self.dropping = true;
        let reached = self.count - self.last_count;
        let soon = now.saturating_sub(self.drop_next) < MEMORY * self.interval;
        self.count = if reached > 1 && soon { reached } else { 1 };
        self.drop_next = self.control_law(now);
        self.last_count = self.count;
    }

    /// The next drop comes the sooner the more there were, by the square root (section 5.4).
    fn control_law(&self, from: Micros) -> Micros {
        from + (self.interval as f64 / f64::from(self.count).sqrt()).max(1.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Micros = 1000;
    const NONE: [u64; 0] = [];

    fn codel() -> Codel {
        Codel::new(5 * MS, 100 * MS)
    }

    /// The moments of drops, in milliseconds, when a delay is sampled every millisecond.
    fn drops(codel: &mut Codel, from: u64, to: u64, delay: impl Fn(u64) -> Micros) -> Vec<u64> {
        (from..to).flat_map(|at| vec![at; codel.take(at * MS, delay(at)) as usize]).collect()
    }

    #[test]
    fn a_burst_that_dissolves_within_an_interval_costs_nothing() {
        let mut codel = codel();
        assert_eq!(drops(&mut codel, 0, 99, |_| 80 * MS), NONE);
        assert_eq!(codel.take(99 * MS, 4 * MS), 0);
        assert_eq!(drops(&mut codel, 100, 199, |_| 80 * MS), NONE);
    }

    #[test]
    fn one_short_delay_in_an_interval_is_enough_to_be_well() {
        let mut codel = codel();
        assert_eq!(drops(&mut codel, 0, 1000, |at| if at % 90 == 0 { MS } else { 50 * MS }), NONE);
    }

    #[test]
    fn a_standing_queue_is_met_at_the_times_of_the_control_law() {
        // 100 ms after it began, and from then on after 100/sqrt(n) ms.
        let mut codel = codel();
        assert_eq!(drops(&mut codel, 0, 560, |_| 6 * MS), [100, 200, 271, 329, 379, 424, 464, 502, 538]);
        assert!(codel.is_dropping());
    }

    #[test]
    fn it_stops_with_the_first_delay_below_the_target() {
        let mut codel = codel();
        drops(&mut codel, 0, 400, |_| 6 * MS);
        assert_eq!((codel.take(400 * MS, 5 * MS - 1), codel.is_dropping()), (0, false));
        assert_eq!(drops(&mut codel, 401, 500, |_| 6 * MS), NONE);
    }

    #[test]
    fn a_queue_that_stands_again_soon_is_met_with_the_rate_that_dissolved_it() {
        let mut codel = codel();
        drops(&mut codel, 0, 540, |_| 6 * MS);
        codel.take(540 * MS, 0);
        let again = drops(&mut codel, 541, 760, |_| 6 * MS);
        // The count goes on at 8, so that the next follow after 100/sqrt(8) and less.
        assert_eq!(again, [641, 677, 710, 742]);
    }

    #[test]
    fn after_sixteen_intervals_it_begins_gently_again() {
        let mut codel = codel();
        drops(&mut codel, 0, 540, |_| 6 * MS);
        codel.take(540 * MS, 0);
        assert_eq!(drops(&mut codel, 2300, 2600, |_| 6 * MS), [2400, 2500, 2571]);
    }

    #[test]
    fn samples_that_come_late_bring_what_was_due_meanwhile() {
        let mut codel = codel();
        assert_eq!(codel.take(0, 6 * MS), 0);
        assert_eq!(codel.take(100 * MS, 6 * MS), 1);
        assert_eq!(codel.take(400 * MS, 6 * MS), 4);
    }
}
