//! Every number of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ladder::policy::Sampling;
pub use crate::ladder::presets::Preset;
use crate::ladder::tree::Limits;
use crate::task::PromptStyle;
use crate::train::lora_config::LoraConfig;
use crate::train::loss::{Aggregation, KlConfig, KlEstimator, LossConfig, LossName};
use crate::train::schedule::{Schedule, ScheduleKind};
use crate::train::trainer::Optimizer;
use crate::{Error, Result};

/// Settings of a LADDER run; `run.json` holds them whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seed of everything random.
    pub seed: u64,
    /// What is learnt from the judged attempts.
    pub method: Method,
    /// How prompts are worded; `None` follows from whether the model has a chat template.
    #[serde(default)]
    pub prompt_style: Option<PromptStyle>,
    /// Optimizer steps of the run.
    pub steps: u64,
    /// Stop when this many training rollout tokens are spent, variants included; `None` is no limit.
    pub token_budget: Option<u64>,
    /// Groups with signal that a step aims for.
    pub prompts_per_step: usize,
    /// Completions of one problem in a step (G of GRPO).
    pub group_size: usize,
    /// Optimizer steps on the groups of one step (the iterations mu of GRPO, arXiv 2402.03300, algorithm 1). From the second on the
    /// policy is no longer the one that sampled, which the loss's clipping bounds.
    #[serde(default = "one")]
    pub passes_per_step: usize,
    /// How answers are drawn in training.
    pub sampling: Sampling,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: ScheduleKind,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// AdamW's settings and the bound of the gradient norm.
    pub optimizer: Optimizer,
    /// The adapter that is trained, where the run does not go on from one.
    pub lora: LoraConfig,
    /// The loss, its advantages and its KL term.
    pub loss: LossConfig,
    /// Rewards by judgement.
    pub reward: Rewards,
    /// How variants are made.
    pub variants: VariantSettings,
    /// How problems are chosen.
    pub curriculum: CurriculumSettings,
    /// How held-out problems are answered.
    pub evaluation: EvaluationSettings,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// What is learnt from judged attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Right attempts are made likelier and wrong ones less likely, by their advantages (the GRPO family).
    PolicyGradient,
    /// Supervised steps on the distinct right attempts alone, drawn anew from the policy in every step (expert iteration;
    /// STaR, arXiv 2203.14465, without rationalisation): the baseline that learns from what it solved itself.
    ExpertIteration,
}

/// What a completion is worth ([`crate::ladder::reward`]): by its judgement where the task gives no number, and the weights of all named
/// rewards. An unverifiable completion has no reward and never enters a gradient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Rewards {
    /// A right answer.
    pub correct: f32,
    /// A well-formed wrong answer.
    pub wrong: f32,
    /// No answer in the task's notation.
    pub malformed: f32,
    /// Weights of rewards by name: `reward` is that of the answer itself, `format` and `length` are made here where they have a weight,
    /// others are the task's. A name without a weight counts once.
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
    /// Share of the longest answer from which on the reward `length` falls.
    #[serde(default = "length_from")]
    pub length_from: f64,
}

impl Rewards {
    /// The weight of a named reward.
    pub fn weight(&self, name: &str) -> f64 {
        self.weights.get(name).copied().unwrap_or(1.0)
    }
}

/// How variants are made (LADDER section 3.1.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct VariantSettings {
    /// Off is plain RL on the roots, the paper's baseline.
    pub enabled: bool,
    /// Variants asked for when a node is expanded.
    pub per_node: usize,
    /// Variants that one completion is asked to list; models with terse prompts always write one.
    pub per_completion: usize,
    /// Levels of the tree that are made before the first step; the adaptive curriculum grows the rest where needed.
    pub initial_levels: u32,
    /// Most nodes of a level that are expanded before the first step.
    pub parents_per_level: usize,
    /// Bounds of the tree.
    pub limits: Limits,
    /// Share of requests for easier, equivalent and harder variants; they add up to 1.
    pub mix: VariantMix,
    /// Fewest and most transformations that a prompt offers.
    pub transformations: [usize; 2],
    /// Temperatures that requests cycle through.
    pub temperatures: Vec<f32>,
    /// How the text is drawn; its temperature is replaced by the cycle's.
    pub sampling: Sampling,
    /// Personas that prompts cycle through; empty is none.
    pub personas: Vec<String>,
    /// Transformations of each kind in use that the model adds to the task's library before it writes the first variant
    /// (the paper's library is written by the model); 0 is none. Terse prompts name no transformations.
    pub extend_library: usize,
    /// Refuse variants whose task says that no answer to them could be found or confirmed
    /// ([`crate::task::Task::solvable`]).
    pub check_solvable: bool,
}

/// Shares of the kinds of variants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct VariantMix {
    /// A step down.
    pub easier: f64,
    /// As hard.
    pub equivalent: f64,
    /// A step up.
    pub harder: f64,
}

/// How problems are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct CurriculumSettings {
    /// Draw by estimated p(1-p), grow unsolved nodes, rest solved ones. Off draws uniformly from a static tree, as
    /// the paper does.
    pub adaptive: bool,
    /// Exponent on the expected p(1-p) of a node when problems are drawn; 1 is the expectation itself, more keeps
    /// a crowd of nearly solved nodes from outweighing the few at the frontier.
    pub sharpness: f64,
    /// Share of every batch that is drawn from the roots and their direct children, half of it from the roots alone.
    pub root_share: f64,
    /// Rollouts that tell whether an unmeasured problem is worth a full group; 0 gives every problem a full group.
    pub probe_samples: usize,
    /// Problems with at least this many (discounted) judged rollouts are not probed, if they are promising.
    pub probe_until: f64,
    /// A problem is promising, and a probed one gets its full group, if the chance that the outcomes will differ is
    /// at least this.
    pub probe_threshold: f64,
    /// Most rounds of drawing further problems for groups without signal.
    pub refill_rounds: usize,
    /// Pseudo-rollouts that the prior of a node, taken from its relatives, is worth.
    pub prior_strength: f64,
    /// Factor on older rollouts at each new visit of a node, because the policy moves on.
    pub memory: f64,
    /// A node whose estimated pass rate is at least this is solved and rests.
    pub solved_rate: f64,
    /// Steps that a solved node rests before it may be drawn again, which also measures forgetting.
    pub rest_steps: u64,
    /// A node without a success in this many (discounted) rollouts grows easier variants.
    pub grow_after: f64,
    /// Most nodes that grow after one step.
    pub grow_per_step: usize,
    /// A parent is promoted when this share of its measured children is solved.
    pub promote_share: f64,
}

/// How held-out problems are answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct EvaluationSettings {
    /// Steps between evaluations; 0 evaluates only before the first and after the last.
    pub every: u64,
    /// Samples of each problem.
    pub samples: usize,
    /// How they are drawn.
    pub sampling: Sampling,
}

/// Largest number of anything that a run makes or holds at once.
const MAX_SIZE: usize = 1 << 20;

/// The path of the first value that is null where `usual` has a number.
fn not_a_number(value: &serde_json::Value, usual: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match (value, usual) {
        (Value::Null, Value::Number(_)) => Some(String::new()),
        (Value::Object(fields), Value::Object(others)) => fields.iter().find_map(|(name, value)| {
            let below = not_a_number(value, others.get(name)?)?;
            Some(if below.is_empty() { name.clone() } else { format!("{name}.{below}") })
        }),
        _ => None,
    }
}

/// What runs before the setting had.
fn one() -> usize {
    1
}

/// DAPO's: its cache is a fifth of the longest answer.
pub(crate) fn length_from() -> f64 {
    0.8
}

/// Largest reward and weight: beyond, 32-bit sums no longer tell the rewards of a group apart.
const MAX_REWARD: f64 = 1e6;

impl Settings {
    /// Takes the parts of another loss; the KL term stays.
    ///
    /// # Errors
    /// [`Error::Usage`] for a loss that does not learn from rewards.
    pub fn set_loss(&mut self, name: LossName) -> Result<()> {
        if name == LossName::Sft {
            return Err(Error::usage(
                "--loss",
                "sft learns from given answers, not from rewards",
                "use grpo, dapo, dr_grpo, gspo or cispo",
            ));
        }
        self.loss = LossConfig { kl: self.loss.kl, ..name.config(self.sampling.max_tokens) };
        Ok(())
    }

    /// Sets the weight of the KL term; 0 takes it out, so that the base model's log-probabilities are not computed.
    pub fn set_kl_coef(&mut self, coef: f64) {
        let kl =
            self.loss.kl.unwrap_or(KlConfig { coef, estimator: KlEstimator::K3, bias_correction: false });
        self.loss.kl = (coef != 0.0).then_some(KlConfig { coef, ..kl });
    }

    /// Sets the longest answer, in training and evaluation.
    pub fn set_max_tokens(&mut self, max_tokens: usize) {
        self.sampling.max_tokens = max_tokens;
        self.evaluation.sampling.max_tokens = max_tokens;
        if let Aggregation::DrGrpo { max_completion } = &mut self.loss.aggregation {
            *max_completion = max_tokens;
        }
    }

    /// The learning rate of every step.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            kind: self.schedule,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            total_steps: self.steps,
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting, by its option where it has one.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("--steps", self.steps as f64),
            ("--prompts-per-step", self.prompts_per_step as f64),
            ("passes_per_step", self.passes_per_step as f64),
            ("--learning-rate", self.learning_rate),
            ("checkpoint_every", self.checkpoint_every as f64),
            ("evaluation.samples", self.evaluation.samples as f64),
            ("token_budget", self.token_budget.unwrap_or(1) as f64),
            ("curriculum.prior_strength", self.curriculum.prior_strength),
            ("curriculum.sharpness", self.curriculum.sharpness),
        ];
        for (option, value) in positive {
            if value.is_nan() || value <= 0.0 || value.is_infinite() {
                return Err(Error::usage(
                    option,
                    format!("{value} is not a positive number"),
                    "give a larger one",
                ));
            }
        }
        self.check_sizes()?;
        if self.group_size < 2 {
            return Err(Error::usage(
                "--group-size",
                format!("{} completions cannot be compared with each other", self.group_size),
                "use 2 or more",
            ));
        }
        for sampling in [&self.sampling, &self.evaluation.sampling, &self.variants.sampling] {
            sampling.validate()?;
        }
        if self.sampling.temperature == 0.0 {
            return Err(Error::usage(
                "--temperature",
                "at 0 all completions of a group are equal, so nothing can be learned from them",
                "use 1",
            ));
        }
        self.loss.validate()?;
        self.lora.validate()?;
        self.check_rewards()?;
        self.check_variants()?;
        self.check_curriculum()
    }

    /// Nothing is larger than what could be computed, and nothing is not finite: such numbers would have no form in
    /// `run.json` or take memory without bound.
    fn check_sizes(&self) -> Result<()> {
        let (v, c) = (&self.variants, &self.curriculum);
        let sizes = [
            ("--prompts-per-step", self.prompts_per_step),
            ("--group-size", self.group_size),
            ("passes_per_step", self.passes_per_step),
            ("evaluation.samples", self.evaluation.samples),
            ("--max-tokens", self.sampling.max_tokens),
            ("evaluation.sampling.max_tokens", self.evaluation.sampling.max_tokens),
            ("variants.sampling.max_tokens", v.sampling.max_tokens),
            ("variants.per_node", v.per_node),
            ("variants.per_completion", v.per_completion),
            ("variants.initial_levels", v.initial_levels as usize),
            ("variants.parents_per_level", v.parents_per_level),
            ("variants.transformations", v.transformations[1]),
            ("variants.extend_library", v.extend_library),
            ("variants.limits.nodes", v.limits.nodes),
            ("variants.limits.problem_bytes", v.limits.problem_bytes),
            ("curriculum.refill_rounds", c.refill_rounds),
            ("curriculum.grow_per_step", c.grow_per_step),
        ];
        if let Some((option, size)) = sizes.iter().find(|(_, size)| *size > MAX_SIZE) {
            let problem = format!("{size} is more than can be computed");
            return Err(Error::usage(*option, problem, format!("use at most {MAX_SIZE}")));
        }
        let attempts = self.prompts_per_step * self.group_size;
        if attempts > MAX_SIZE {
            let problem = format!("{attempts} attempts in an update are more than can be computed");
            return Err(Error::usage("--prompts-per-step", problem, "use fewer, or a smaller --group-size"));
        }
        // What is not finite becomes null on the way to a file, and does not come back as what it was.
        let whole = serde_json::to_value(self).and_then(serde_json::from_value::<Self>);
        if whole.is_ok_and(|whole| whole == *self) {
            return Ok(());
        }
        let text = serde_json::to_value(self).unwrap_or_default();
        let usual = serde_json::to_value(Self::preset(Preset::Small)).unwrap_or_default();
        let path = not_a_number(&text, &usual).unwrap_or_else(|| "settings".into());
        Err(Error::usage(path, "is not a finite number", "give a smaller one"))
    }

    fn check_rewards(&self) -> Result<()> {
        let Rewards { correct, wrong, malformed, weights, length_from } = &self.reward;
        let by_verdict = [("correct", correct), ("wrong", wrong), ("malformed", malformed)];
        let by_verdict = by_verdict.map(|(name, &value)| (format!("reward.{name}"), f64::from(value)));
        let weights = weights.iter().map(|(name, &weight)| (format!("reward.weights.{name}"), weight));
        for (option, value) in by_verdict.into_iter().chain(weights) {
            if value.is_nan() || value.abs() > MAX_REWARD {
                let hint = "give a number from -1000000 to 1000000";
                return Err(Error::usage(option, format!("{value} cannot be a reward or a weight"), hint));
            }
        }
        if !(0.0..1.0).contains(length_from) {
            return Err(Error::usage(
                "reward.length_from",
                format!("{length_from} is not a share below 1"),
                "use a number from 0 to 0.99",
            ));
        }
        Ok(())
    }

    fn check_variants(&self) -> Result<()> {
        let variants = &self.variants;
        if !variants.enabled {
            return Ok(());
        }
        let mix = [variants.mix.easier, variants.mix.equivalent, variants.mix.harder];
        if mix.iter().any(|share| !(0.0..=1.0).contains(share))
            || (mix.iter().sum::<f64>() - 1.0).abs() > 1e-6
        {
            return Err(Error::usage(
                "variants.mix",
                format!("{mix:?} are not shares"),
                "give three numbers from 0 to 1 that add up to 1",
            ));
        }
        if variants.per_node == 0 || variants.per_completion == 0 {
            return Err(Error::usage(
                "variants",
                "per_node and per_completion must be positive",
                "set variants.enabled to false to train without variants",
            ));
        }
        if variants.temperatures.is_empty()
            || variants.temperatures.iter().any(|t| !(0.0..=100.0).contains(t))
        {
            return Err(Error::usage(
                "variants.temperatures",
                format!("{:?}", variants.temperatures),
                "give at least one temperature from 0 to 100",
            ));
        }
        if variants.transformations[0] > variants.transformations[1] {
            return Err(Error::usage(
                "variants.transformations",
                format!(
                    "at least {} and at most {}",
                    variants.transformations[0], variants.transformations[1]
                ),
                "give the smaller number first",
            ));
        }
        Ok(())
    }

    fn check_curriculum(&self) -> Result<()> {
        let c = &self.curriculum;
        let shares = [
            ("curriculum.root_share", c.root_share),
            ("curriculum.probe_threshold", c.probe_threshold),
            ("curriculum.memory", c.memory),
            ("curriculum.solved_rate", c.solved_rate),
            ("curriculum.promote_share", c.promote_share),
        ];
        for (option, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::usage(
                    option,
                    format!("{value} is not a share"),
                    "use a number from 0 to 1",
                ));
            }
        }
        if c.probe_samples > self.group_size {
            return Err(Error::usage(
                "curriculum.probe_samples",
                format!("{} probes for groups of {}", c.probe_samples, self.group_size),
                "use fewer probes than --group-size",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_loss_takes_the_answers_length_and_leaves_the_kl_term() {
        let mut settings = Settings::preset(Preset::Paper);
        settings.set_loss(LossName::DrGrpo).unwrap();
        settings.set_max_tokens(77);
        assert_eq!(settings.loss.aggregation, Aggregation::DrGrpo { max_completion: 77 });
        assert_eq!(settings.evaluation.sampling.max_tokens, 77);
        assert_eq!(settings.loss.kl.unwrap().coef, 1e-3);
        settings.set_kl_coef(0.0);
        assert!(!settings.loss.needs_reference());
        settings.set_kl_coef(0.5);
        assert_eq!(settings.loss.kl.unwrap().coef, 0.5);
        assert!(settings.set_loss(LossName::Sft).unwrap_err().to_string().starts_with("--loss"));
    }

    #[test]
    fn a_bad_number_is_named() {
        let bad = |change: fn(&mut Settings)| {
            let mut settings = Settings::preset(Preset::Tiny);
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(bad(|s| s.group_size = 1).starts_with("--group-size"));
        assert!(bad(|s| s.steps = 0).starts_with("--steps"));
        assert!(bad(|s| s.learning_rate = f64::NAN).starts_with("--learning-rate"));
        assert!(bad(|s| s.sampling.temperature = 0.0).starts_with("--temperature"));
        assert!(bad(|s| s.token_budget = Some(0)).starts_with("token_budget"));
        assert!(bad(|s| s.variants.mix.easier = 0.9).starts_with("variants.mix"));
        assert!(bad(|s| s.reward.correct = f32::INFINITY).starts_with("reward.correct"));
        assert!(bad(|s| s.reward.malformed = -1e7).starts_with("reward.malformed"));
        assert!(
            bad(|s| _ = s.reward.weights.insert("style".into(), 1e300)).starts_with("reward.weights.style")
        );
        assert!(bad(|s| s.reward.length_from = 1.0).starts_with("reward.length_from"));
        assert!(bad(|s| s.curriculum.memory = 2.0).starts_with("curriculum.memory"));
        assert!(bad(|s| s.curriculum.probe_samples = 99).starts_with("curriculum.probe_samples"));
        assert!(bad(|s| s.reward.correct = f32::INFINITY).starts_with("reward.correct: is not a finite"));
        assert!(bad(|s| s.optimizer.eps = f64::NAN).starts_with("optimizer.eps"));
        assert!(bad(|s| s.prompts_per_step = i64::MAX as usize).starts_with("--prompts-per-step"));
        assert!(bad(|s| s.group_size = 1 << 19).starts_with("--prompts-per-step"));
        assert!(bad(|s| s.variants.limits.nodes = usize::MAX).starts_with("variants.limits.nodes"));
        assert!(bad(|s| s.variants.sampling.max_tokens = usize::MAX).contains("max_tokens"));
    }
}
