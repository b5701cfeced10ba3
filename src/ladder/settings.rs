//! Every number of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ladder::policy::Sampling;
use crate::ladder::tree::Limits;
use crate::task::PromptStyle;
use crate::train::lora_config::LoraConfig;
use crate::train::loss::LossConfig;
use crate::train::schedule::{Schedule, ScheduleKind};
use crate::train::trainer::Optimizer;

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

/// What runs before the setting had.
fn one() -> usize {
    1
}

/// DAPO's: its cache is a fifth of the longest answer.
pub(crate) fn length_from() -> f64 {
    0.8
}

impl Settings {
    /// The learning rate of every step.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            kind: self.schedule,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            total_steps: self.steps,
        }
    }
}
