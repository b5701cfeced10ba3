//! The losses on cases worked by hand, and at their edges.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::train::advantage::AdvantageKind;

/// An owned [`Sequence`].
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) logp: Vec<f32>,
    pub(super) old: Option<Vec<f32>>,
    pub(super) reference: Vec<f32>,
    pub(super) advantage: Option<f32>,
    pub(super) truncated: bool,
}

impl Sample {
    fn new(logp: &[f32], old: &[f32], advantage: f32) -> Self {
        let reference = logp.to_vec();
        Self {
            logp: logp.to_vec(),
            old: Some(old.to_vec()),
            reference,
            advantage: Some(advantage),
            truncated: false,
        }
    }

    pub(super) fn view(&self) -> Sequence<'_> {
        Sequence {
            logp: &self.logp,
            old_logp: self.old.as_deref(),
            ref_logp: Some(&self.reference),
            entropy: None,
            advantage: self.advantage,
            truncated: self.truncated,
        }
    }
}

pub(super) fn run(config: &LossConfig, samples: &[Sample]) -> LossOutput {
    let views: Vec<_> = samples.iter().map(Sample::view).collect();
    loss(config, &views, &Normalizer::of(config, &views)).unwrap()
}

pub(super) fn clipped(
    level: RatioLevel,
    low: f64,
    high: f64,
    cap: RatioCap,
    aggregation: Aggregation,
) -> LossConfig {
    LossConfig {
        objective: Objective::Clipped { level, clip: Clip { low, high, cap } },
        advantage: AdvantageKind::GroupStd,
        aggregation,
        kl: None,
        mask_truncated: false,
    }
}

fn assert_close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() <= 1e-6 * want.abs().max(1e-3), "{what}: got {got}, expected {want}");
}

fn assert_all_close(got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert_close(f64::from(got), want, &format!("coefficient {index}"));
    }
}

/// log 2, so that a ratio is 2 or 1/2 up to the rounding of f32.
const LN_2: f32 = std::f32::consts::LN_2;

#[test]
fn grpo_by_hand() {
    // Ratios 1, 2 with A = 1: the second is clipped at 1.2. Ratio 1/2 with A = -1 is clipped at 0.8.
    let samples =
        [Sample::new(&[-1.0, -1.0], &[-1.0, -1.0 - LN_2], 1.0), Sample::new(&[-1.0 - LN_2], &[-1.0], -1.0)];
    let out = run(&LossName::Grpo.config(16), &samples);
    assert_close(out.loss, (-(1.0 + 1.2) / 2.0 + 0.8) / 2.0, "loss");
    assert_all_close(&out.coefficients, &[-0.25, 0.0, 0.0]);
    let m = &out.metrics;
    assert_eq!((m.sequences, m.tokens, m.clipped_low, m.clipped_high, m.clipped_cap), (2, 3, 1, 1, 0));
    assert_close(m.clip_fraction(), 2.0 / 3.0, "clip fraction");
    assert_close(m.ratio_max, 2.0, "largest ratio");
    assert_close(m.ratio_mean(), 3.5 / 3.0, "mean ratio");
    let ln_2 = std::f64::consts::LN_2;
    assert_close(
        m.old_kl_mean(),
        ((0.5 + ln_2 - 1.0) + (2.0 - ln_2 - 1.0)) / 3.0,
        "KL to the sampling policy",
    );
    let gap = m.logprob_gap().unwrap();
    assert_close(gap.mean, 2.0 * ln_2 / 3.0, "mean gap");
    assert_close(gap.max, ln_2, "largest gap");
    // Those left out count nowhere, and nothing is said of tokens that were given.
    let left_out = Sample { advantage: None, ..samples[0].clone() };
    let given = Sample { old: None, ..samples[0].clone() };
    let out = run(&LossName::Grpo.config(16), &[left_out, given]);
    assert_eq!(out.metrics.logprob_gap(), None);
}

#[test]
fn clipping_never_stops_a_step_back() {
    // Ratio 2 with A = -1 and ratio 1/2 with A = 1: the unclipped term is the lower one.
    let samples = [Sample::new(&[-1.0], &[-1.0 - LN_2], -1.0), Sample::new(&[-1.0 - LN_2], &[-1.0], 1.0)];
    let out = run(&LossName::Grpo.config(16), &samples);
    assert_close(out.loss, (2.0 - 0.5) / 2.0, "loss");
    assert_all_close(&out.coefficients, &[1.0, -0.25]);
    assert_eq!(out.metrics.clip_fraction(), 0.0);
}

#[test]
fn aggregations_by_hand() {
    // On-policy: every token contributes -A w. Lengths 1 and 3, advantages 1 and -2.
    let samples = [Sample::new(&[-1.0], &[-1.0], 1.0), Sample::new(&[-1.0; 3], &[-1.0; 3], -2.0)];
    let of = |aggregation| run(&clipped(RatioLevel::Token, 0.2, 0.2, RatioCap::None, aggregation), &samples);
    let grpo = of(Aggregation::Grpo);
    assert_close(grpo.loss, (-1.0 + 2.0) / 2.0, "grpo");
    assert_all_close(&grpo.coefficients, &[-0.5, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
    let dapo = of(Aggregation::Dapo);
    assert_close(dapo.loss, (-1.0 + 6.0) / 4.0, "dapo");
    assert_all_close(&dapo.coefficients, &[-0.25, 0.5, 0.5, 0.5]);
    let dr_grpo = of(Aggregation::DrGrpo { max_completion: 10 });
    assert_close(dr_grpo.loss, (-1.0 + 6.0) / 20.0, "dr_grpo");
    assert_all_close(&dr_grpo.coefficients, &[-0.05, 0.1, 0.1, 0.1]);
}

#[test]
fn clip_higher_and_caps_by_hand() {
    let ln = |ratio: f64| ratio.ln() as f32;
    let loss_at = |ratio: f64, advantage: f32, cap| {
        let config = clipped(RatioLevel::Token, 0.2, 0.28, cap, Aggregation::Dapo);
        let out = run(&config, &[Sample::new(&[ln(ratio)], &[0.0], advantage)]);
        (out.loss, f64::from(out.coefficients[0]), out.metrics.clipped_cap)
    };
    let cases = [
        (1.25, 1.0, RatioCap::None, -1.25, -1.25, 0),
        (1.3, 1.0, RatioCap::None, -1.28, 0.0, 0),
        (10.0, -1.0, RatioCap::None, 10.0, 10.0, 0),
        (10.0, -1.0, RatioCap::TwoSided(4.0), 4.0, 0.0, 1),
        (10.0, -0.5, RatioCap::Dual(3.0), 1.5, 0.0, 1),
        (10.0, 1.0, RatioCap::Dual(3.0), -1.28, 0.0, 0),
        (2.0, -1.0, RatioCap::Dual(3.0), 2.0, 2.0, 0),
        (10.0, 0.0, RatioCap::Dual(3.0), 0.0, 0.0, 0),
        (10.0, 0.0, RatioCap::TwoSided(4.0), 0.0, 0.0, 0),
    ];
    for (ratio, advantage, cap, value, slope, capped) in cases {
        let (got_value, got_slope, got_capped) = loss_at(ratio, advantage, cap);
        assert_close(got_value, value, &format!("loss at ratio {ratio}, {cap:?}"));
        assert_close(got_slope, slope, &format!("slope at ratio {ratio}, {cap:?}"));
        assert_eq!(got_capped, capped);
    }
}

#[test]
fn gspo_by_hand() {
    // Log ratios 0.0002 and 0.0006: mean 0.0004, ratio 1.00040008, just above 1 + 4e-4. With A = -1 it is free.
    let above = Sample::new(&[0.0002, 0.0006], &[0.0, 0.0], 1.0);
    let free = Sample { advantage: Some(-1.0), ..above.clone() };
    let out = run(&LossName::Gspo.config(16), &[above, free]);
    let ratio = (f64::from(0.0002f32) / 2.0 + f64::from(0.0006f32) / 2.0).exp();
    assert_close(out.loss, (-1.0004 + ratio) / 2.0, "loss");
    assert_all_close(&out.coefficients, &[0.0, 0.0, ratio / 4.0, ratio / 4.0]);
    assert_eq!((out.metrics.clipped_high, out.metrics.clipped_low), (2, 0));
}

#[test]
fn cispo_keeps_the_gradient_of_every_token() {
    // Ratios 2 and 8; the weight of the second is cut to 5. logp -0.5 and -0.25, A = 3, two tokens.
    let sample = Sample::new(&[-0.5, -0.25], &[-0.5 - LN_2, -0.25 - 3.0 * LN_2], 3.0);
    let out = run(&LossName::Cispo.config(16), &[sample]);
    assert_close(out.loss, (2.0 * 3.0 * 0.5 + 5.0 * 3.0 * 0.25) / 2.0, "loss");
    assert_all_close(&out.coefficients, &[-3.0, -7.5]);
    assert_eq!(out.metrics.clipped_high, 1);
}

#[test]
fn supervised_is_the_mean_cross_entropy_per_token() {
    let (a, b) = ([-1.0f32, -3.0], [-0.5f32]);
    let batch = [Sequence::supervised(&a), Sequence::supervised(&b)];
    let config = LossName::Sft.config(0);
    let out = loss(&config, &batch, &Normalizer::of(&config, &batch)).unwrap();
    assert_close(out.loss, 1.5, "loss");
    assert_all_close(&out.coefficients, &[-1.0 / 3.0; 3]);
}

#[test]
fn kl_estimators_by_hand() {
    // d = log ref - log pi = log 2.
    let ln_2 = std::f64::consts::LN_2;
    let sample = Sample { reference: vec![-1.0 + LN_2], ..Sample::new(&[-1.0], &[-1.0], 0.0) };
    let expected = [
        (KlEstimator::K1, -ln_2, 1.0),
        (KlEstimator::K2, ln_2 * ln_2 / 2.0, -ln_2),
        (KlEstimator::K3, 1.0 - ln_2, -1.0),
    ];
    for (estimator, value, slope) in expected {
        let kl = Some(KlConfig { coef: 0.1, estimator, bias_correction: false });
        let out = run(&LossConfig { kl, ..LossName::Grpo.config(16) }, std::slice::from_ref(&sample));
        assert_close(out.metrics.kl_mean(), value, "KL");
        assert_close(out.loss, 0.1 * value, "loss");
        assert_close(out.metrics.kl_loss, 0.1 * value, "KL loss");
        assert_all_close(&out.coefficients, &[0.1 * slope]);
    }
}

#[test]
fn what_does_not_take_part_counts_nowhere() {
    let scored = Sample::new(&[-1.0, -2.0], &[-1.0, -2.0], 1.0);
    let unscorable = Sample { advantage: None, logp: vec![f32::NAN], old: None, ..scored.clone() };
    let unscorable = Sample { reference: vec![0.0], ..unscorable };
    let truncated = Sample { truncated: true, ..scored.clone() };
    let empty = Sample::new(&[], &[], 1.0);
    for name in LossName::ALL {
        let kl = Some(KlConfig { coef: 0.1, estimator: KlEstimator::K3, bias_correction: true });
        let config = LossConfig { mask_truncated: true, kl, ..name.config(16) };
        let alone = run(&config, std::slice::from_ref(&scored));
        let mixed = run(&config, &[unscorable.clone(), scored.clone(), truncated.clone(), empty.clone()]);
        assert_eq!(mixed.loss, alone.loss);
        assert_eq!(mixed.coefficients[..1], [0.0]);
        assert_eq!(mixed.coefficients[1..3], alone.coefficients);
        assert_eq!(mixed.coefficients[3..], [0.0, 0.0]);
        assert_eq!(
            (mixed.metrics.unscorable, mixed.metrics.masked_truncated, mixed.metrics.sequences),
            (1, 1, 1)
        );
        let kept = run(&LossConfig { mask_truncated: false, ..config }, &[scored.clone(), truncated.clone()]);
        assert_eq!(kept.metrics.sequences, 2);
    }
}

#[test]
fn outputs_without_signal_can_be_counted_and_not_computed() {
    let learns = Sample::new(&[-1.0, -2.0], &[-1.1, -2.2], 1.0);
    let silent = Sample::new(&[-3.0; 5], &[-3.5; 5], 0.0);
    for name in LossName::ALL {
        let config = name.config(16);
        let both = run(&config, &[learns.clone(), silent.clone()]);
        let mut normalizer = Normalizer::of(&config, &[learns.view()]);
        normalizer.add(&config, 5, Some(0.0), false);
        let one = loss(&config, &[learns.view()], &normalizer).unwrap();
        assert_eq!((one.loss, &one.coefficients[..]), (both.loss, &both.coefficients[..2]), "{name:?}");
        assert!(both.coefficients[2..].iter().all(|&c| c == 0.0));
    }
}

#[test]
fn an_empty_batch_has_no_loss() {
    for name in LossName::ALL {
        let out = run(&name.config(16), &[]);
        assert_eq!((out.loss, out.coefficients.len(), out.metrics), (0.0, 0, LossMetrics::default()));
    }
}

#[test]
fn extreme_ratios_stay_finite_and_bad_numbers_show() {
    for name in LossName::ALL {
        for (logp, old) in [(0.0, -1e30), (-1e30, 0.0)] {
            for advantage in [-1.0, 1.0] {
                let kl = Some(KlConfig { coef: 0.1, estimator: KlEstimator::K3, bias_correction: false });
                let mut sample = Sample::new(&[logp], &[old], advantage);
                sample.reference = vec![old];
                let out = run(&LossConfig { kl, ..name.config(16) }, &[sample]);
                assert!(out.loss.is_finite() && out.coefficients[0].is_finite(), "{name:?}");
            }
        }
        let out = run(&name.config(16), &[Sample::new(&[f32::NEG_INFINITY], &[0.0], 1.0)]);
        assert!(out.loss.is_nan());
    }
}

#[test]
fn slices_of_other_lengths_are_errors() {
    let config = LossConfig {
        kl: Some(KlConfig { coef: 0.1, estimator: KlEstimator::K1, bias_correction: false }),
        ..LossName::Grpo.config(16)
    };
    let logp = [-1.0f32, -2.0];
    let good = Sequence { ref_logp: Some(&logp), ..Sequence::supervised(&logp) };
    let of = |sequence| {
        loss(&config, &[sequence], &Normalizer::of(&config, &[sequence])).map_err(|e| e.to_string())
    };
    assert!(of(good).is_ok());
    assert!(of(Sequence { old_logp: Some(&logp[..1]), ..good }).unwrap_err().contains("old_logp"));
    assert!(of(Sequence { entropy: Some(&[]), ..good }).unwrap_err().contains("entropy"));
    assert!(of(Sequence { ref_logp: None, ..good }).unwrap_err().contains("ref_logp"));
}

#[test]
fn entropy_is_averaged_over_what_takes_part() {
    let config = LossName::Grpo.config(16);
    let logp = [-1.0f32, -2.0];
    let with = Sequence { entropy: Some(&[0.5, 1.5]), ..Sequence::supervised(&logp) };
    let without = Sequence { advantage: None, entropy: Some(&[9.0, 9.0]), ..with };
    let out = loss(&config, &[with, without], &Normalizer::of(&config, &[with, without])).unwrap();
    assert_eq!(out.metrics.entropy_mean(), Some(1.0));
    assert_eq!(LossMetrics::default().entropy_mean(), None);
}

#[test]
fn names_and_settings_survive_json() {
    for name in LossName::ALL {
        assert_eq!(name.as_str().parse::<LossName>().unwrap(), name);
        assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        let mut config = name.config(77);
        config.validate().unwrap();
        config.kl = Some(KlConfig { coef: 0.04, estimator: KlEstimator::K3, bias_correction: true });
        assert!(config.needs_reference());
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<LossConfig>(&text).unwrap(), config);
    }
    let error = "ppo".parse::<LossName>().unwrap_err().to_string();
    assert!(error.contains("sft, grpo, dapo, dr_grpo, gspo, cispo"), "{error}");
    assert!(serde_json::from_str::<LossConfig>(r#"{"objective": "cross_entropy"}"#).is_err());
}

#[test]
fn settings_outside_the_formulas_are_usage_errors() {
    let bad = [
        clipped(RatioLevel::Token, 0.0, 0.2, RatioCap::None, Aggregation::Dapo),
        clipped(RatioLevel::Token, 0.2, f64::NAN, RatioCap::None, Aggregation::Dapo),
        clipped(RatioLevel::Token, 0.2, 0.2, RatioCap::TwoSided(1.1), Aggregation::Dapo),
        clipped(RatioLevel::Sequence, 0.2, 0.2, RatioCap::Dual(f64::INFINITY), Aggregation::Dapo),
        LossName::DrGrpo.config(0),
        LossConfig { objective: Objective::Cispo { ratio_max: 0.0 }, ..LossName::Cispo.config(1) },
        LossConfig {
            kl: Some(KlConfig { coef: -1.0, estimator: KlEstimator::K1, bias_correction: false }),
            ..LossName::Grpo.config(1)
        },
    ];
    for config in bad {
        assert_eq!(config.validate().unwrap_err().code(), "usage", "{config:?}");
    }
}
