//! How differently sampling and training see the same tokens. Both compute the same log-probabilities, but by other kernels:
//! where they differ by more than rounding, the ratio to the sampling policy is wrong from the first update on.

use serde::{Deserialize, Serialize};

/// |log-probability in training − log-probability when sampled| over tokens, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LogprobGap {
    /// Mean.
    pub mean: f64,
    /// 99th percentile: the smallest that at least 99 % of the tokens do not exceed.
    pub p99: f64,
    /// Maximum.
    pub max: f64,
}

impl LogprobGap {
    /// That of these differences; `None` if there are none or one is not finite.
    pub fn of(gaps: &[f32]) -> Option<Self> {
        if gaps.is_empty() || !gaps.iter().all(|gap| gap.is_finite()) {
            return None;
        }
        let mut sorted = gaps.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |index: usize| f64::from(sorted[index.min(sorted.len() - 1)]);
        let sum: f64 = sorted.iter().map(|&gap| f64::from(gap)).sum();
        Some(Self {
            mean: sum / sorted.len() as f64,
            p99: at((sorted.len() * 99).div_ceil(100) - 1),
            max: at(sorted.len() - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_percentile_and_maximum() {
        let of = |gaps: &[f32]| LogprobGap::of(gaps).map(|gap| (gap.mean, gap.p99, gap.max));
        assert_eq!(of(&[0.25]), Some((0.25, 0.25, 0.25)));
        assert_eq!(of(&[0.5, 0.0, 1.0]), Some((0.5, 1.0, 1.0)));
        let hundred: Vec<f32> = (1..=100).rev().map(|gap| gap as f32).collect();
        assert_eq!(of(&hundred), Some((50.5, 99.0, 100.0)));
        let many: Vec<f32> = (1..=1000).map(|gap| gap as f32).collect();
        assert_eq!(of(&many), Some((500.5, 990.0, 1000.0)));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0.1, f32::NAN]), None);
    }
}
