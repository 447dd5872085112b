//! Exact quantiles: every latency is kept.

/// Latencies in nanoseconds.
#[derive(Default)]
pub struct Quantiles {
    values: Vec<u64>,
}

impl Quantiles {
    pub fn record(&mut self, nanoseconds: u64) {
        self.values.push(nanoseconds);
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The named quantiles as members of a JSON object, in microseconds.
    pub fn to_json(&mut self) -> String {
        self.values.sort_unstable();
        let points = [
            ("p50_us", 0.5),
            ("p90_us", 0.9),
            ("p99_us", 0.99),
            ("p999_us", 0.999),
            ("max_us", 1.0),
        ];
        let members = points.map(|(name, quantile)| {
            format!("\"{name}\": {:.1}", self.at(quantile) as f64 / 1000.0)
        });
        members.join(", ")
    }

    fn at(&self, quantile: f64) -> u64 {
        let rank = (quantile * self.values.len() as f64).ceil() as usize;
        self.values
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantiles;

    #[test]
    fn the_quantile_is_the_smallest_value_that_covers_its_share() {
        let mut quantiles = Quantiles::default();
        (1..=100)
            .rev()
            .for_each(|value| quantiles.record(value * 1000));
        let expected = "\"p50_us\": 50.0, \"p90_us\": 90.0, \"p99_us\": 99.0, \"p999_us\": 100.0, \"max_us\": 100.0";
        assert_eq!(quantiles.to_json(), expected);
    }
}
