//! Which loss: the named recipes and the parts that they are put together from.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::train::advantage::AdvantageKind;
use crate::{Error, Result};

/// A recipe by name. [`LossName::config`] gives its parts, each of which can then be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// Cross-entropy on given completions.
    Sft,
    /// Group relative policy optimisation (arXiv 2402.03300).
    Grpo,
    /// Clip-higher, global token mean, truncated answers masked (arXiv 2503.14476).
    Dapo,
    /// No division by the group's standard deviation nor by the answer's length (arXiv 2503.20783).
    DrGrpo,
    /// One ratio per sequence (arXiv 2507.18071).
    Gspo,
    /// Clipped importance weight with its gradient stopped, so that every token learns (arXiv 2506.13585).
    Cispo,
}

impl LossName {
    /// All recipes, in the order of the help text.
    pub const ALL: [Self; 6] = [Self::Sft, Self::Grpo, Self::Dapo, Self::DrGrpo, Self::Gspo, Self::Cispo];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Grpo => "grpo",
            Self::Dapo => "dapo",
            Self::DrGrpo => "dr_grpo",
            Self::Gspo => "gspo",
            Self::Cispo => "cispo",
        }
    }

    /// The recipe's parts. `max_completion` is the longest completion that sampling allows, in tokens; only
    /// `dr_grpo` uses it. None has a KL term; set [`LossConfig::kl`] for one.
    pub fn config(self, max_completion: usize) -> LossConfig {
        let ratio =
            |level, low, high| Objective::Clipped { level, clip: Clip { low, high, cap: RatioCap::None } };
        let (objective, aggregation) = match self {
            Self::Sft => (Objective::CrossEntropy, Aggregation::Dapo),
            Self::Grpo => (ratio(RatioLevel::Token, 0.2, 0.2), Aggregation::Grpo),
            Self::Dapo => (ratio(RatioLevel::Token, 0.2, 0.28), Aggregation::Dapo),
            Self::DrGrpo => (ratio(RatioLevel::Token, 0.2, 0.2), Aggregation::DrGrpo { max_completion }),
            Self::Gspo => (ratio(RatioLevel::Sequence, 3e-4, 4e-4), Aggregation::Grpo),
            Self::Cispo => (Objective::Cispo { ratio_max: 5.0 }, Aggregation::Dapo),
        };
        let advantage = match self {
            Self::DrGrpo => AdvantageKind::GroupMean,
            _ => AdvantageKind::GroupStd,
        };
        LossConfig { objective, advantage, aggregation, kl: None, mask_truncated: self == Self::Dapo }
    }
}

impl FromStr for LossName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|loss| loss.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.into_iter().map(Self::as_str).collect();
            Error::usage("loss", format!("unknown loss `{name}`"), format!("use one of {}", known.join(", ")))
        })
    }
}

/// A loss, put together from its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// What a token, or a sequence, contributes.
    pub objective: Objective,
    /// How rewards become advantages (see [`crate::train::advantage::advantages`]).
    pub advantage: AdvantageKind,
    /// How tokens are averaged.
    pub aggregation: Aggregation,
    /// The pull towards the reference policy, if any.
    pub kl: Option<KlConfig>,
    /// Leave out answers that were cut off at the length limit: their reward says nothing about what they would have
    /// become (DAPO's overlong filtering).
    pub mask_truncated: bool,
}

/// What a token, or a sequence, contributes. With log pi the policy's log-probability of a token, r = pi / pi_old
/// and A the advantage of its sequence, in the form of a loss (to be lowered):
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// -A log pi: the cross-entropy where A = 1, a weighted one otherwise.
    CrossEntropy,
    /// -min(r A, clip(r, 1 - low, 1 + high) A) (PPO, arXiv 1707.06347).
    Clipped {
        /// What r is the ratio of.
        level: RatioLevel,
        /// The bounds of r.
        clip: Clip,
    },
    /// -stop_gradient(min(r, ratio_max)) A log pi.
    Cispo {
        /// Upper bound of the weight.
        ratio_max: f64,
    },
}

/// What the policies are compared on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RatioLevel {
    /// r of each token.
    Token,
    /// One r for the sequence: exp(mean over its tokens of log pi - log pi_old).
    Sequence,
}

/// Bounds of the ratio r.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// r is clipped from below at 1 - `low`; in (0, 1].
    pub low: f64,
    /// r is clipped from above at 1 + `high`; equal to `low` in GRPO, larger in DAPO (clip-higher).
    pub high: f64,
    /// A bound on r where A < 0, which the clipping leaves without one.
    pub cap: RatioCap,
}

/// A bound on the ratio r of outputs with a negative advantage. Both forms are the same function (a test holds them
/// to it); they are kept under both names, with the usual values of their sources.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RatioCap {
    /// No bound.
    None,
    /// r in the unclipped term becomes min(r, delta); 4 in INTELLECT-2 (arXiv 2505.07291).
    TwoSided(f64),
    /// For A < 0 the loss is at most -c A; 3 in dual-clip PPO (arXiv 1912.09729) and veRL.
    Dual(f64),
}

/// How tokens are averaged. N is the number of sequences, |o| a sequence's scored tokens, both over the whole
/// accumulated batch (see [`super::Normalizer`]). Names as in TRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// (1 / N) sum over sequences of (1 / |o|) sum over tokens: long answers count less per token.
    Grpo,
    /// Sum over all tokens / number of all tokens.
    Dapo,
    /// Sum over all tokens / (N `max_completion`): no dependence on the lengths that occur.
    DrGrpo {
        /// The longest completion that sampling allows, in tokens.
        max_completion: usize,
    },
}

/// A penalty on the distance between the policy and the reference, token by token, averaged like the objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct KlConfig {
    /// Its weight.
    pub coef: f64,
    /// The estimator.
    pub estimator: KlEstimator,
    /// Multiply the estimate by r = pi / pi_old of its token: what makes k3 unbiased off-policy, and its gradient,
    /// on-policy, that of the reverse KL (DeepSeek-V3.2; `use_bias_correction_kl` in TRL).
    pub bias_correction: bool,
}

/// Estimators of KL(pi || ref) from one sample, with d = log ref - log pi (Schulman 2020).
///
/// As a *loss* they differ: on-policy the gradient of k1 averages to 0, that of k2 is the gradient of the reverse KL,
/// and that of k3 is the gradient of the forward KL(ref || pi) (arXiv 2506.09477).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// -d
    K1,
    /// d^2 / 2
    K2,
    /// e^d - d - 1, with d cut at 20 where e^d would run away (veRL cuts d at 20 and the value at 10).
    K3,
}

impl LossConfig {
    /// Whether the log-probabilities of the reference policy are needed.
    pub fn needs_reference(&self) -> bool {
        self.kl.is_some()
    }

    /// Errors ([`Error::Usage`]) if a number is outside the range in which the formulas hold.
    pub fn validate(&self) -> Result<()> {
        let check = |good: bool, option: &str, problem: String, hint: &str| match good {
            true => Ok(()),
            false => Err(Error::usage(option, problem, hint)),
        };
        match self.objective {
            Objective::CrossEntropy => {}
            Objective::Clipped { clip: Clip { low, high, cap }, .. } => {
                check(
                    low > 0.0 && low <= 1.0,
                    "clip low",
                    format!("is {low}"),
                    "use a number in (0, 1], such as 0.2",
                )?;
                check(
                    high > 0.0 && high.is_finite(),
                    "clip high",
                    format!("is {high}"),
                    "use a number such as 0.2 or 0.28",
                )?;
                if let RatioCap::TwoSided(cap) | RatioCap::Dual(cap) = cap {
                    check(
                        cap > 1.0 + high && cap.is_finite(),
                        "clip cap",
                        format!("is {cap}, inside the clipping range that ends at {}", 1.0 + high),
                        "use a larger number, such as 3 or 4",
                    )?;
                }
            }
            Objective::Cispo { ratio_max } => check(
                ratio_max > 0.0 && ratio_max.is_finite(),
                "ratio_max",
                format!("is {ratio_max}"),
                "use a number such as 5",
            )?,
        }
        if let Aggregation::DrGrpo { max_completion } = self.aggregation {
            check(
                max_completion > 0,
                "sampling.max_tokens",
                "is 0".into(),
                "dr_grpo divides by it; use at least 1",
            )?;
        }
        if let Some(kl) = self.kl {
            check(
                kl.coef >= 0.0 && kl.coef.is_finite(),
                "loss.kl.coef",
                format!("is {}", kl.coef),
                "use 0 or more",
            )?;
        }
        Ok(())
    }
}
