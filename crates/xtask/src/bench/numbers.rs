//! Medians, percentiles, and how figures are written.

/// The middle one of some figures, or the mean of the middle two; 0 of none.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        n if n % 2 == 1 => figures[n / 2],
        n => f64::midpoint(figures[n / 2 - 1], figures[n / 2]),
    }
}

/// Two latencies that say most, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
pub(super) struct Percentiles {
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
}

impl Percentiles {
    /// The nearest-rank percentiles; 0 of none.
    pub(super) fn of(mut latencies_ns: Vec<u64>) -> Self {
        latencies_ns.sort_unstable();
        let rank = |percent: usize| {
            let place = (latencies_ns.len() * percent).div_ceil(100).saturating_sub(1);
            latencies_ns.get(place).copied().unwrap_or_default()
        };
        Self { p50_ns: rank(50), p99_ns: rank(99) }
    }

    pub(super) fn p50_ms(self) -> f64 {
        ms(self.p50_ns)
    }

    pub(super) fn p99_ms(self) -> f64 {
        ms(self.p99_ns)
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms", self.p50_ms(), self.p99_ms())
    }
}

/// Nanoseconds in milliseconds.
pub(super) fn ms(nanos: u64) -> f64 {
    float(nanos) / 1e6
}

/// A count as a float; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "a figure to be shown, not to be counted with")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// A rate, such as `21,400/s`.
pub(super) fn per_second(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + "/s"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!([vec![], vec![3.0], vec![9.0, 1.0, 2.0], vec![4.0, 1.0]].map(median), [0.0, 3.0, 2.0, 2.5]);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |latencies: std::ops::RangeInclusive<u64>| {
            let percentiles = Percentiles::of(latencies.rev().collect());
            (percentiles.p50_ns, percentiles.p99_ns)
        };
        assert_eq!(of(1..=100), (50, 99));
        assert_eq!(of(1..=1), (1, 1));
        assert_eq!(Percentiles::of(vec![]), Percentiles::default());
    }

    #[test]
    fn rates_are_readable() {
        let written = [7.4, 159.0, 1000.0, 21_400.2, 1_234_567.0].map(per_second);
        assert_eq!(written, ["7/s", "159/s", "1,000/s", "21,400/s", "1,234,567/s"]);
    }
}
