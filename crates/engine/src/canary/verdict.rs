//! Whether one service does worse than another, as far as what was counted can tell.

/// Requests, and how many of them were bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub all: u64,
    pub bad: u64,
}

/// Of the normal distribution: one chance in two hundred to be wrong, each time.
const Z: f64 = 2.576;

impl Counted {
    fn share(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.bad as f64 / self.all as f64 }
    }

    /// Between which shares the true one is (Wilson, "Probable Inference", 1927). Sound for few requests, too.
    fn interval(self) -> (f64, f64) {
        if self.all == 0 {
            return (0.0, 1.0);
        }
        let (count, share) = (self.all as f64, self.share());
        let middle = share + Z * Z / (2.0 * count);
        let half = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        let scale = 1.0 + Z * Z / count;
        ((middle - half) / scale, (middle + half) / scale)
    }
}

/// The share of bad requests is surely more than `allowed`.
pub fn is_above(counted: Counted, allowed: f64) -> bool {
    counted.interval().0 > allowed
}

/// The share of bad requests is surely higher than the other's, by more than `tolerance` (Newcombe, "Interval Estimation for
/// the Difference between Independent Proportions", 1998, method 10).
pub fn is_worse(counted: Counted, other: Counted, tolerance: f64) -> bool {
    let below = counted.share() - counted.interval().0;
    let above = other.interval().1 - other.share();
    counted.share() - other.share() - below.hypot(above) > tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(bad: u64, all: u64) -> Counted {
        Counted { all, bad }
    }

    #[test]
    fn what_is_clearly_worse_is_and_what_may_be_chance_is_not() {
        for (new, old, tolerance, worse) in [
            (counted(20, 20), counted(0, 1000), 0.01, true),
            (counted(50, 100), counted(10, 10_000), 0.01, true),
            (counted(3, 100), counted(100, 10_000), 0.01, false),
            // Of so few the method is too sure: the machine asks for a minimum before it asks here.
            (counted(1, 1), counted(0, 1000), 0.01, true),
            (counted(0, 100), counted(0, 100), 0.0, false),
            (counted(30, 1000), counted(300, 10_000), 0.0, false),
            (counted(400, 10_000), counted(100, 10_000), 0.01, true),
            (counted(210, 10_000), counted(100, 10_000), 0.02, false),
            (counted(50, 100), counted(0, 0), 0.01, false),
        ] {
            assert_eq!(is_worse(new, old, tolerance), worse, "{new:?} {old:?}");
        }
    }

    #[test]
    fn the_interval_is_wilson_s() {
        // The roots of (0.1 - p)^2 = Z^2 p (1 - p) / 100, found by bisection.
        let (low, high) = counted(10, 100).interval();
        assert!((low - 0.046_023_516).abs() < 1e-6 && (high - 0.203_759_221).abs() < 1e-6, "{low} {high}");
        assert!(is_above(counted(10, 100), 0.04));
        assert!(!is_above(counted(10, 100), 0.05));
    }
}
