//! Losses on preferences as pure functions: DPO, IPO and KTO.
//!
//! They depend on the model only through the log-probability of each answer, the sum over its tokens, under the policy that is
//! trained and under a reference that stays. Beside the loss they return its derivative by each of the policy's, from which a
//! weighted cross-entropy makes the gradient. With r = log pi - log pi_ref of an answer, beta the pull towards the reference and
//! s the logistic function, a pair of a chosen and a rejected answer contributes
//!
//! - DPO (arXiv 2305.18290): -log s(beta (r_c - r_r))
//! - IPO (arXiv 2310.12036): (r_c - r_r - 1 / (2 beta))^2, with r a mean over tokens, as in TRL: of sums the target would depend on
//!   the length
//! - KTO (arXiv 2402.01306), weights 1: half of 1 - s(beta (r_c - z)) and half of 1 - s(beta (z - r_r)), where z is an estimate of
//!   KL(pi || pi_ref), not below 0 and without a gradient

use serde::{Deserialize, Serialize};

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceLoss {
    /// Direct preference optimisation.
    Dpo,
    /// Identity preference optimisation: a target for the margin, which cannot run away.
    Ipo,
    /// Kahneman-Tversky optimisation: each answer by itself.
    Kto,
}

/// A loss on preferences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreferenceConfig {
    /// Which loss.
    pub loss: PreferenceLoss,
    /// How strongly the reference holds, above 0.
    pub beta: f64,
}

impl Default for PreferenceConfig {
    /// DPO with beta 0.1, as TRL has it.
    fn default() -> Self {
        Self { loss: PreferenceLoss::Dpo, beta: 0.1 }
    }
}

/// Log-probability of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnswerScore {
    /// Under the policy, the sum over tokens.
    pub policy: f64,
    /// Under the reference.
    pub reference: f64,
    /// Tokens of the answer.
    pub tokens: usize,
}

impl AnswerScore {
    /// r, the log-ratio to the reference.
    pub fn ratio(&self) -> f64 {
        self.policy - self.reference
    }

    fn mean_ratio(&self) -> f64 {
        self.ratio() / self.tokens.max(1) as f64
    }
}

/// A chosen and a rejected answer to the same prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairScore {
    /// The better one.
    pub chosen: AnswerScore,
    /// The worse one.
    pub rejected: AnswerScore,
    /// How much the pair counts.
    pub weight: f64,
}

/// The loss of some pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct PreferenceOutput {
    /// Mean of the weighted losses; not finite if a log-probability is not.
    pub loss: f64,
    /// Its derivative by the policy's log-probability of each pair's chosen and rejected answer.
    pub slopes: Vec<[f64; 2]>,
}

/// The loss of `pairs`; `divergence` is the estimate of KL(pi || pi_ref), which KTO alone takes.
pub fn preference(config: &PreferenceConfig, pairs: &[PairScore], divergence: f64) -> PreferenceOutput {
    let (beta, z) = (config.beta, divergence.max(0.0));
    let share = 1.0 / pairs.len().max(1) as f64;
    let (mut loss, mut slopes) = (0.0, Vec::with_capacity(pairs.len()));
    for PairScore { chosen, rejected, weight } in pairs {
        let (value, [by_chosen, by_rejected]) = match config.loss {
            PreferenceLoss::Dpo => {
                let margin = beta * (chosen.ratio() - rejected.ratio());
                let slope = beta * logistic(-margin);
                (softplus(-margin), [-slope, slope])
            }
            PreferenceLoss::Ipo => {
                let off = chosen.mean_ratio() - rejected.mean_ratio() - 0.5 / beta;
                let slope = |answer: &AnswerScore| 2.0 * off / answer.tokens.max(1) as f64;
                (off * off, [slope(chosen), -slope(rejected)])
            }
            PreferenceLoss::Kto => {
                let (good, bad) =
                    (logistic(beta * (chosen.ratio() - z)), logistic(beta * (z - rejected.ratio())));
                let slope = |value: f64| 0.5 * beta * value * (1.0 - value);
                (0.5 * (1.0 - good) + 0.5 * (1.0 - bad), [-slope(good), slope(bad)])
            }
        };
        let weight = weight * share;
        loss += weight * value;
        slopes.push([weight * by_chosen, weight * by_rejected]);
    }
    PreferenceOutput { loss, slopes }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + e^x), which does not overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        loss: PreferenceLoss,
        beta: f64,
        divergence: f64,
        /// For each pair: policy, reference and tokens of the chosen answer, the same of the rejected one.
        pairs: Vec<[f64; 6]>,
        value: f64,
        slopes: Vec<[f64; 2]>,
    }

    fn cases() -> Vec<Case> {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/fixtures/preference.json")).unwrap();
        assert!(cases.len() >= 12);
        cases
    }

    fn pairs(case: &Case) -> Vec<PairScore> {
        let answer = |[policy, reference, tokens]: [f64; 3]| AnswerScore {
            policy,
            reference,
            tokens: tokens as usize,
        };
        let pair = |[a, b, c, d, e, f]: [f64; 6]| PairScore {
            chosen: answer([a, b, c]),
            rejected: answer([d, e, f]),
            weight: 1.0,
        };
        case.pairs.iter().copied().map(pair).collect()
    }

    /// Values and gradients are those of PyTorch on TRL's formulas: `tests/fixtures/make_preference.py`.
    #[test]
    fn losses_and_gradients_are_those_of_pytorch() {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-10 * (1.0 + b.abs());
        for case in cases() {
            let config = PreferenceConfig { loss: case.loss, beta: case.beta };
            let output = preference(&config, &pairs(&case), case.divergence);
            assert!(near(output.loss, case.value), "{config:?}: {}, not {}", output.loss, case.value);
            for (slopes, expected) in output.slopes.iter().zip(&case.slopes) {
                assert!(
                    near(slopes[0], expected[0]) && near(slopes[1], expected[1]),
                    "{config:?} {slopes:?} {expected:?}"
                );
            }
        }
    }

    #[test]
    fn slopes_are_finite_differences() {
        for case in cases() {
            let config = PreferenceConfig { loss: case.loss, beta: case.beta };
            let mut pairs = pairs(&case);
            pairs.iter_mut().enumerate().for_each(|(place, pair)| pair.weight = 1.0 + place as f64);
            let slopes = preference(&config, &pairs, case.divergence).slopes;
            let step = 1e-5;
            for (place, slopes) in slopes.iter().enumerate() {
                for (side, expected) in slopes.iter().enumerate() {
                    let at = |by: f64| {
                        let mut moved = pairs.clone();
                        let answer =
                            if side == 0 { &mut moved[place].chosen } else { &mut moved[place].rejected };
                        answer.policy += by;
                        preference(&config, &moved, case.divergence).loss
                    };
                    let slope = (at(step) - at(-step)) / (2.0 * step);
                    assert!(
                        (slope - expected).abs() < 1e-6 * (1.0 + slope.abs()),
                        "{config:?} {place} {side}"
                    );
                }
            }
        }
    }

    #[test]
    fn far_apart_answers_do_not_overflow() {
        let answer = |policy| AnswerScore { policy, reference: 0.0, tokens: 9 };
        for loss in [PreferenceLoss::Dpo, PreferenceLoss::Ipo, PreferenceLoss::Kto] {
            for (chosen, rejected) in [(-1e5, 1e5), (1e5, -1e5)] {
                let pair = PairScore { chosen: answer(chosen), rejected: answer(rejected), weight: 1.0 };
                let output = preference(&PreferenceConfig { loss, beta: 0.1 }, &[pair], -3.0);
                assert!(output.loss.is_finite() && output.slopes[0].iter().all(|slope| slope.is_finite()));
            }
            assert_eq!(preference(&PreferenceConfig { loss, beta: 0.1 }, &[], 0.0).loss, 0.0);
        }
    }
}
