//! From rewards to advantages: how much better an output is than its group.
//!
//! A group holds the rewards R of the G outputs of one prompt. A reward of `None` means that the output could not
//! be scored: it gets no advantage and does not enter the statistics. A reward that is not finite counts as `None`.

use serde::{Deserialize, Serialize};

/// Added to a standard deviation before dividing by it (the value of TRL; veRL has 1e-6).
pub const STD_EPSILON: f64 = 1e-4;

/// Rewards of a group that differ by no more than this, relative to the largest, are equal.
const EQUAL: f64 = 1e-6;

/// How a reward R of a group with mean m becomes an advantage. Standard deviations divide by n - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AdvantageKind {
    /// (R - m) / (std of the group + 1e-4): GRPO (arXiv 2402.03300).
    GroupStd,
    /// R - m: Dr. GRPO (arXiv 2503.20783), which shows that dividing favours groups of low variance.
    GroupMean,
    /// (R - m) / (std of all rewards of the batch + 1e-4): Lite PPO (arXiv 2508.08221).
    BatchStd,
    /// R - mean of the group's other rewards = (R - m) n / (n - 1): RLOO (arXiv 2402.14740).
    LeaveOneOut,
}

/// The advantages of a batch of groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Advantages {
    /// One number an output, in the shape of the rewards; `None` where the output could not be scored.
    pub values: Vec<Vec<Option<f32>>>,
    /// For each group whether its advantages differ from 0: fewer than two scored outputs, or equal rewards, give no
    /// signal, and their policy gradient is exactly 0. Without a KL term they need no forward pass: counted by
    /// [`Normalizer::add`](crate::train::loss::Normalizer::add) and left out of the loss they change nothing; left out of
    /// both, the rest weighs more (DAPO's dynamic sampling, which refills the batch).
    pub has_signal: Vec<bool>,
    /// Number of groups without signal.
    pub groups_without_signal: usize,
    /// Number of outputs that could not be scored.
    pub unscorable: usize,
}

/// The advantages of `groups` of rewards; groups may differ in size.
pub fn advantages(kind: AdvantageKind, groups: &[Vec<Option<f32>>]) -> Advantages {
    let scored: Vec<Vec<f64>> =
        groups.iter().map(|group| group.iter().filter_map(|&r| score(r)).collect()).collect();
    let batch_std = match kind {
        AdvantageKind::BatchStd => std(&scored.concat()),
        _ => 0.0,
    };
    let has_signal: Vec<bool> = scored.iter().map(|rewards| differ(rewards)).collect();
    let values = groups
        .iter()
        .zip(&scored)
        .zip(&has_signal)
        .map(|((group, rewards), &signal)| {
            let mean = mean(rewards);
            let factor = match kind {
                _ if !signal => 0.0,
                AdvantageKind::GroupStd => 1.0 / (std(rewards) + STD_EPSILON),
                AdvantageKind::GroupMean => 1.0,
                AdvantageKind::BatchStd => 1.0 / (batch_std + STD_EPSILON),
                AdvantageKind::LeaveOneOut => rewards.len() as f64 / (rewards.len() as f64 - 1.0),
            };
            group.iter().map(|&reward| score(reward).map(|r| ((r - mean) * factor) as f32)).collect()
        })
        .collect();
    Advantages {
        values,
        groups_without_signal: has_signal.iter().filter(|&&signal| !signal).count(),
        has_signal,
        unscorable: groups.iter().map(Vec::len).sum::<usize>() - scored.iter().map(Vec::len).sum::<usize>(),
    }
}

fn score(reward: Option<f32>) -> Option<f64> {
    reward.filter(|r| r.is_finite()).map(f64::from)
}

/// The mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard deviation, by n - 1.
pub(crate) fn std(values: &[f64]) -> f64 {
    let mean = mean(values);
    let sum: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (sum / (values.len().max(2) - 1) as f64).sqrt()
}

/// Whether there are rewards that differ.
pub(crate) fn differ(rewards: &[f64]) -> bool {
    let low = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    let high = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    rewards.len() > 1 && high - low > EQUAL * high.abs().max(low.abs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [AdvantageKind; 4] = [
        AdvantageKind::GroupStd,
        AdvantageKind::GroupMean,
        AdvantageKind::BatchStd,
        AdvantageKind::LeaveOneOut,
    ];

    fn some(rewards: &[f32]) -> Vec<Option<f32>> {
        rewards.iter().map(|&r| Some(r)).collect()
    }

    fn check(kind: AdvantageKind, groups: &[Vec<Option<f32>>], want: &[&[f64]]) {
        let got = advantages(kind, groups);
        assert_eq!(got.values.len(), want.len());
        for (got, want) in got.values.iter().zip(want) {
            let got: Vec<f64> = got.iter().map(|a| f64::from(a.unwrap())).collect();
            assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(*want) {
                assert!((g - w).abs() <= 1e-6 * w.abs().max(1.0), "{kind:?}: {got:?}, expected {want:?}");
            }
        }
    }

    #[test]
    fn worked_by_hand() {
        // Group means 0.25 and 0.5; std of the first sqrt(3 * 0.0625 + 0.5625) / sqrt(3) = 0.5, of the second sqrt(1/2).
        let groups = [some(&[1.0, 0.0, 0.0, 0.0]), some(&[0.0, 1.0])];
        let (a, b) = (1.0 / 0.5001, 1.0 / (0.5f64.sqrt() + 1e-4));
        check(
            AdvantageKind::GroupStd,
            &groups,
            &[&[0.75 * a, -0.25 * a, -0.25 * a, -0.25 * a], &[-0.5 * b, 0.5 * b]],
        );
        check(AdvantageKind::GroupMean, &groups, &[&[0.75, -0.25, -0.25, -0.25], &[-0.5, 0.5]]);
        // Others' means: 0 for the first output, 1/3 for the rest.
        check(
            AdvantageKind::LeaveOneOut,
            &groups,
            &[&[1.0, -1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0], &[-1.0, 1.0]],
        );
        // The batch: two ones and four zeros, mean 1/3, variance (2 * 4/9 + 4 * 1/9) / 5 = 4/15.
        let c = 1.0 / ((4.0f64 / 15.0).sqrt() + 1e-4);
        check(
            AdvantageKind::BatchStd,
            &groups,
            &[&[0.75 * c, -0.25 * c, -0.25 * c, -0.25 * c], &[-0.5 * c, 0.5 * c]],
        );
    }

    #[test]
    fn unscorable_outputs_do_not_enter_the_statistics() {
        for kind in KINDS {
            let with =
                advantages(kind, &[vec![Some(1.0), None, Some(0.0), Some(f32::NAN), Some(f32::INFINITY)]]);
            let without = advantages(kind, &[some(&[1.0, 0.0])]);
            assert_eq!(with.values[0], [without.values[0][0], None, without.values[0][1], None, None]);
            assert_eq!((with.unscorable, with.groups_without_signal), (3, 0));
        }
    }

    #[test]
    fn groups_without_signal_are_counted_and_give_zero() {
        let groups = [
            some(&[0.1, 0.1, 0.1]),
            some(&[1.0]),
            vec![None, Some(3.0)],
            vec![None],
            vec![],
            some(&[0.0, 1.0]),
        ];
        for kind in KINDS {
            let got = advantages(kind, &groups);
            assert_eq!(got.has_signal, [false, false, false, false, false, true]);
            assert_eq!((got.groups_without_signal, got.unscorable), (5, 2));
            assert_eq!(got.values[0], some(&[0.0, 0.0, 0.0]));
            assert_eq!(got.values[1], some(&[0.0]));
            assert_eq!(got.values[2], [None, Some(0.0)]);
            assert_eq!(got.values[3], [None]);
            assert!(got.values[4].is_empty());
        }
    }

    proptest! {
        #[test]
        fn advantages_are_finite_sum_to_zero_and_keep_the_order(
            groups in prop::collection::vec(
                prop::collection::vec(prop::option::weighted(0.8, -100.0f32..100.0), 0..9), 1..6)
        ) {
            for kind in KINDS {
                let got = advantages(kind, &groups);
                for (group, values) in groups.iter().zip(&got.values) {
                    prop_assert_eq!(group.len(), values.len());
                    let pairs: Vec<(f32, f32)> = group.iter().zip(values).filter_map(|(r, a)| Some(((*r)?, (*a)?))).collect();
                    prop_assert!(pairs.iter().all(|(_, a)| a.is_finite()));
                    let sum: f64 = pairs.iter().map(|(_, a)| f64::from(*a)).sum();
                    let size: f64 = pairs.iter().map(|(_, a)| f64::from(a.abs())).sum();
                    prop_assert!(sum.abs() <= 1e-5 * size.max(1e-3), "sum {} of {:?}", sum, pairs);
                    for (r, a) in &pairs {
                        for (s, b) in &pairs {
                            prop_assert!(r < s || a >= b);
                        }
                    }
                }
            }
        }

        #[test]
        fn a_shift_of_the_rewards_changes_nothing(rewards in prop::collection::vec(-8i8..8, 2..8), shift in -8i8..8) {
            let group: Vec<_> = rewards.iter().map(|&r| Some(f32::from(r))).collect();
            let moved: Vec<_> = rewards.iter().map(|&r| Some(f32::from(r) + f32::from(shift))).collect();
            for kind in KINDS {
                let (a, b) = (advantages(kind, std::slice::from_ref(&group)), advantages(kind, std::slice::from_ref(&moved)));
                for (a, b) in a.values[0].iter().zip(&b.values[0]) {
                    prop_assert!((a.unwrap() - b.unwrap()).abs() < 1e-4);
                }
            }
        }
    }
}
