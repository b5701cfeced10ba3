//! Properties of the losses on random batches: coefficients against finite differences, and identities between losses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::tests::{Sample, clipped, run};
use super::*;
use crate::train::advantage::AdvantageKind;
use proptest::prelude::*;

/// Log-probabilities on a grid of 2^-12: adding the step of a finite difference to them is exact in f32.
const STEP: f32 = 1.0 / 4096.0;

fn any_logp() -> impl Strategy<Value = f32> {
    (-8192i32..0).prop_map(|n| n as f32 * STEP)
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let tokens = prop::collection::vec((any_logp(), any_logp(), any_logp()), 1..5);
    (tokens, any::<bool>(), -3.0f32..3.0, any::<bool>()).prop_map(
        |(tokens, on_policy, advantage, truncated)| {
            Sample {
                logp: tokens.iter().map(|t| t.0).collect(),
                // Near the policy, so that all sides of the clipping range occur.
                old: (!on_policy)
                    .then(|| tokens.iter().map(|t| t.0 + ((t.1 + 1.0) * 2048.0).round() * STEP).collect()),
                reference: tokens.iter().map(|t| t.2).collect(),
                advantage: Some(advantage),
                truncated,
            }
        },
    )
}

fn any_config() -> impl Strategy<Value = LossConfig> {
    let cap = prop::sample::select(vec![RatioCap::None, RatioCap::TwoSided(1.5), RatioCap::Dual(1.4)]);
    let level = prop::sample::select(vec![RatioLevel::Token, RatioLevel::Sequence]);
    let objective = prop_oneof![
        Just(Objective::CrossEntropy),
        Just(Objective::Cispo { ratio_max: 1.1 }),
        (level, 0.05f64..0.3, 0.05f64..0.3, cap)
            .prop_map(|(level, low, high, cap)| Objective::Clipped { level, clip: Clip { low, high, cap } }),
    ];
    let aggregation = prop::sample::select(vec![
        Aggregation::Grpo,
        Aggregation::Dapo,
        Aggregation::DrGrpo { max_completion: 7 },
    ]);
    let estimator = prop::sample::select(vec![KlEstimator::K1, KlEstimator::K2, KlEstimator::K3]);
    let kl =
        prop::option::of(
            (0.01f64..1.0, estimator, any::<bool>())
                .prop_map(|(coef, estimator, bias_correction)| KlConfig { coef, estimator, bias_correction }),
        );
    (objective, aggregation, kl, any::<bool>()).prop_map(|(objective, aggregation, kl, mask_truncated)| {
        LossConfig { objective, advantage: AdvantageKind::GroupStd, aggregation, kl, mask_truncated }
    })
}

/// Fixes the sampling policy at the present one where the sequence says that they are the same.
fn with_old(samples: &[Sample]) -> Vec<Sample> {
    let fix = |s: &Sample| Sample { old: Some(s.old.clone().unwrap_or_else(|| s.logp.clone())), ..s.clone() };
    samples.iter().map(fix).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn coefficients_are_the_derivatives(config in any_config(), samples in prop::collection::vec(any_sample(), 1..4)) {
        // CISPO's weight has its gradient stopped: its derivative is that of the weighted cross-entropy, tested below.
        prop_assume!(!matches!(config.objective, Objective::Cispo { .. }));
        let coefficients = run(&config, &samples).coefficients;
        let fixed = with_old(&samples);
        let mut flat = 0;
        for (index, sample) in samples.iter().enumerate() {
            for token in 0..sample.logp.len() {
                let at = |step: f32| {
                    let mut moved = fixed.clone();
                    moved[index].logp[token] += step;
                    run(&config, &moved)
                };
                let (up, down) = (at(STEP), at(-STEP));
                let bounds = |m: &LossMetrics| (m.clipped_low, m.clipped_high, m.clipped_cap);
                // Across a kink there is no derivative.
                if bounds(&up.metrics) == bounds(&down.metrics) {
                    let slope = (up.loss - down.loss) / (2.0 * f64::from(STEP));
                    let got = f64::from(coefficients[flat]);
                    prop_assert!((got - slope).abs() < 1e-5 * slope.abs().max(1.0), "got {}, difference {}", got, slope);
                }
                flat += 1;
            }
        }
    }

    #[test]
    fn cispo_is_a_weighted_cross_entropy(samples in prop::collection::vec(any_sample(), 1..4)) {
        let cispo = LossConfig { objective: Objective::Cispo { ratio_max: 1.1 }, ..LossName::Cispo.config(7) };
        let plain = LossConfig { objective: Objective::CrossEntropy, ..cispo.clone() };
        let (cispo, plain) = (run(&cispo, &samples), run(&plain, &samples));
        let ratios = samples.iter().flat_map(|s| {
            s.logp.iter().enumerate().map(|(t, &logp)| s.old.as_ref().map_or(1.0, |old| f64::from(logp - old[t]).exp()))
        });
        for ((c, p), ratio) in cispo.coefficients.iter().zip(&plain.coefficients).zip(ratios) {
            prop_assert!((f64::from(*c) - f64::from(*p) * ratio.min(1.1)).abs() < 1e-6);
        }
    }

    #[test]
    fn packs_add_up_to_the_batch(config in any_config(), samples in prop::collection::vec(any_sample(), 2..6), cut in 1usize..5) {
        let whole = run(&config, &samples);
        let views: Vec<_> = samples.iter().map(Sample::view).collect();
        let normalizer = Normalizer::of(&config, &views);
        let (first, second) = views.split_at(cut.min(views.len()));
        let first = loss(&config, first, &normalizer).unwrap();
        let second = loss(&config, second, &normalizer).unwrap();
        prop_assert!((first.loss + second.loss - whole.loss).abs() < 1e-12 * whole.loss.abs().max(1.0));
        prop_assert_eq!([first.coefficients, second.coefficients].concat(), whole.coefficients);
        let mut metrics = first.metrics;
        metrics.merge(&second.metrics);
        prop_assert_eq!(metrics.tokens, whole.metrics.tokens);
        prop_assert!((metrics.clip_fraction() - whole.metrics.clip_fraction()).abs() < 1e-12);
        prop_assert!((metrics.ratio_mean() - whole.metrics.ratio_mean()).abs() < 1e-12);
    }

    #[test]
    fn the_two_caps_are_one_function(samples in prop::collection::vec(any_sample(), 1..4)) {
        let of = |cap| run(&clipped(RatioLevel::Token, 0.2, 0.28, cap, Aggregation::Dapo), &samples);
        prop_assert_eq!(of(RatioCap::TwoSided(1.35)), of(RatioCap::Dual(1.35)));
    }

    #[test]
    fn on_policy_all_ratio_losses_have_the_policy_gradient(samples in prop::collection::vec(any_sample(), 1..4)) {
        let samples: Vec<_> = samples.into_iter().map(|s| Sample { old: None, ..s }).collect();
        let of = |objective| {
            run(&LossConfig { objective, ..clipped(RatioLevel::Token, 0.2, 0.2, RatioCap::None, Aggregation::Grpo) }, &samples)
        };
        let plain = of(Objective::CrossEntropy).coefficients;
        let clip = Clip { low: 0.2, high: 0.2, cap: RatioCap::None };
        prop_assert_eq!(&of(Objective::Clipped { level: RatioLevel::Token, clip }).coefficients, &plain);
        prop_assert_eq!(&of(Objective::Clipped { level: RatioLevel::Sequence, clip }).coefficients, &plain);
        prop_assert_eq!(&of(Objective::Cispo { ratio_max: 5.0 }).coefficients, &plain);
    }

    #[test]
    fn corrected_k3_has_the_gradient_of_k2_on_policy(samples in prop::collection::vec(any_sample(), 1..4)) {
        let of = |estimator, bias_correction| {
            let samples: Vec<_> = samples.iter().map(|s| Sample { old: None, advantage: Some(0.0), ..s.clone() }).collect();
            let kl = Some(KlConfig { coef: 1.0, estimator, bias_correction });
            run(&LossConfig { kl, ..LossName::Grpo.config(7) }, &samples).coefficients
        };
        for (a, b) in of(KlEstimator::K3, true).iter().zip(&of(KlEstimator::K2, false)) {
            prop_assert!((a - b).abs() < 1e-5, "{} {}", a, b);
        }
    }
}
