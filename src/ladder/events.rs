//! What a run tells the world: one closed enum, the same in the CLI's JSON lines, in `events.jsonl` and in TypeScript.

mod numbers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use numbers::{LevelResult, MeanReward, PassRate, RewardStats, RolloutRate, VerdictCounts};

use crate::Result;
use crate::ladder::policy::PolicyInfo;
use crate::ladder::settings::Settings;
use crate::ladder::tree::{NodeKind, Rejection};
use crate::task::Verdict;
use crate::train::loss::LogprobGap;

/// Something that happened. JSON objects with a `type` tag; numbers that are not finite are `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A run began or was resumed.
    Started(Started),
    /// Part of a model file arrived.
    Downloading(Downloading),
    /// The model is on the device.
    Loaded(Loaded),
    /// Variants of one problem were asked for, parsed and checked.
    Variants(Variants),
    /// Completions are being generated.
    Rollout(Rollout),
    /// The completions of one problem were judged.
    Verified(Verified),
    /// One step of the loop is done.
    Step(Box<Step>),
    /// Held-out problems were answered.
    Evaluated(Evaluated),
    /// The run can be resumed from here.
    Checkpoint(Checkpoint),
    /// Something that the user should know and that does not stop the run.
    Warning(Warning),
    /// The run is over.
    Finished(Finished),
}

/// See [`Event::Started`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Started {
    /// Version of this program.
    pub version: String,
    /// Name of the task.
    pub task: String,
    /// Model, device and sizes.
    pub policy: PolicyInfo,
    /// Every setting of the run.
    pub settings: Box<Settings>,
    /// Root problems in use.
    pub roots: usize,
    /// Held-out problems.
    pub held_out: usize,
    /// Step that a resumed run goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
}

/// See [`Event::Downloading`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Downloading {
    /// File name.
    pub file: String,
    /// Bytes on disk.
    pub done: u64,
    /// Bytes of the whole file, if known.
    pub total: Option<u64>,
}

/// See [`Event::Loaded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Loaded {
    /// Model, device and sizes.
    pub policy: PolicyInfo,
    /// Seconds that loading took.
    pub seconds: f64,
}

/// One variant that was read out of a completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct VariantRecord {
    /// Its node in the tree, if it was accepted.
    pub id: Option<u32>,
    /// As the model wrote it, at most [`MAX_LOGGED_TEXT`] bytes.
    pub problem: String,
    /// The kind that was asked for.
    pub kind: NodeKind,
    /// Why it was dropped.
    pub rejection: Option<Rejection>,
}

/// See [`Event::Variants`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Variants {
    /// Step in which it happened; 0 is before the first.
    pub step: u64,
    /// Node that was varied.
    pub parent: u32,
    /// Its problem.
    pub problem: String,
    /// Completions asked for.
    pub completions: usize,
    /// Completions that held no variant in the task's notation.
    pub empty: usize,
    /// Every variant read, in order.
    pub variants: Vec<VariantRecord>,
    /// How many became nodes.
    pub accepted: usize,
    /// How many were dropped, by reason.
    pub rejected: BTreeMap<Rejection, usize>,
    /// Tokens generated.
    pub tokens: usize,
}

/// What completions are generated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Writing variants.
    Variants,
    /// Answering problems of the tree.
    Training,
    /// Answering held-out problems.
    Evaluation,
    /// Answering for the final vote of test-time RL.
    Vote,
}

/// See [`Event::Rollout`]. In `events.jsonl` there is one for each batch, when it is done; listeners also get those between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Rollout {
    /// Current step.
    pub step: u64,
    /// What the completions are for.
    pub phase: Phase,
    /// Completions done.
    pub done: usize,
    /// Completions of the batch.
    pub total: usize,
    /// Tokens of the batch so far.
    pub tokens: usize,
    /// Generation rate of the batch so far.
    pub tokens_per_second: f64,
}

/// A completion with its judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct JudgedSample {
    /// The completion, at most [`MAX_LOGGED_TEXT`] bytes.
    pub text: String,
    /// The judgement.
    pub verdict: Verdict,
    /// Length in tokens.
    pub tokens: usize,
    /// Whether it ended by itself.
    pub finished: bool,
}

/// See [`Event::Verified`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Verified {
    /// Current step.
    pub step: u64,
    /// The node that was answered.
    pub node: u32,
    /// Its problem.
    pub problem: String,
    /// Its distance from the root.
    pub depth: u32,
    /// Judgements.
    pub counts: VerdictCounts,
    /// Mean reward of the completions that enter the update; `None` if there are none.
    pub reward_mean: Option<f64>,
    /// Whether the rewards differ, so that the group teaches something.
    pub signal: bool,
    /// Estimated pass rate of the node after this.
    pub estimate: f64,
    /// A few of the completions: the first correct one and the first that is not, or those of the highest and the lowest reward where
    /// numbers judge.
    pub samples: Vec<JudgedSample>,
}

/// See [`Event::Step`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Step {
    /// Number of this step, from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Learning rate applied.
    pub learning_rate: f64,
    /// Loss; `None` without an update or if not finite.
    pub loss: Option<f64>,
    /// Gradient norm before clipping; `None` without an update or if not finite.
    pub grad_norm: Option<f64>,
    /// KL to the base model per token; `None` without an update or if not finite.
    pub kl: Option<f64>,
    /// Entropy per token; `None` without an update or if not finite.
    pub entropy: Option<f64>,
    /// Share of clipped tokens; `None` without an update or if not finite.
    pub clip_fraction: Option<f64>,
    /// |log-probability in training − log-probability when sampled| of the step's sampled tokens that entered the update: both
    /// are of the same policy, so what is more than rounding is an error of one of the two. `None` without an update.
    #[serde(default)]
    pub logprob_gap: Option<LogprobGap>,
    /// The update was skipped because loss or gradient was not finite.
    pub skipped: bool,
    /// Mean reward of all judged rollouts.
    pub reward_mean: Option<f64>,
    /// Its standard deviation.
    #[serde(default)]
    pub reward_std: Option<f64>,
    /// The parts of the reward by name: `reward` is that of the answer itself.
    #[serde(default)]
    pub rewards: BTreeMap<String, RewardStats>,
    /// Correct of the rollouts with a verdict.
    pub pass_rate: Option<f64>,
    /// Pass rate of roots by the level of the problems file.
    pub by_level: Vec<RolloutRate>,
    /// Pass rate by depth in the tree; 0 is the roots.
    pub by_depth: Vec<RolloutRate>,
    /// Judgements of all rollouts.
    pub verdicts: VerdictCounts,
    /// Groups that entered the update.
    pub groups: usize,
    /// Full groups whose rewards were all equal.
    pub groups_without_signal: usize,
    /// Problems that were given only the probe rollouts.
    pub probes: usize,
    /// Rounds of drawing further problems because of groups without signal.
    pub refills: usize,
    /// Tokens generated in this step, variants included.
    pub rollout_tokens: usize,
    /// Tokens generated since the run began.
    pub total_rollout_tokens: u64,
    /// Rollout tokens by the seconds of the whole step.
    pub tokens_per_second: f64,
    /// Seconds of this step.
    pub seconds: f64,
    /// Seconds of all steps, time before a resume included.
    pub elapsed: f64,
    /// Estimated seconds until the last step.
    pub remaining: f64,
    /// Nodes in the tree.
    pub nodes: usize,
    /// Nodes whose estimated pass rate lies in 0.2 to 0.8.
    pub frontier: usize,
    /// Nodes that rest because they are solved.
    pub solved: usize,
    /// Parents promoted in this step because their children are solved.
    pub promoted: Vec<u32>,
}

/// See [`Event::Evaluated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Evaluated {
    /// Steps done before it; 0 is the base.
    pub step: u64,
    /// Problems.
    pub n: usize,
    /// Samples of each problem.
    pub samples: usize,
    /// pass@k by k, for k = 1, 2, 4, ... and the number of samples; empty where numbers alone judge.
    pub pass_at: BTreeMap<String, f64>,
    /// 95 % interval of pass@1.
    pub ci95: [f64; 2],
    /// The numbers that the task gave, by name; `reward` is that of the answer itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rewards: BTreeMap<String, MeanReward>,
    /// pass@1 by level.
    pub by_level: Vec<LevelResult>,
    /// Judgements. An unverifiable answer is not counted as correct.
    pub verdicts: VerdictCounts,
    /// Correct samples of each problem in the order of the file, for paired comparisons.
    pub correct: Vec<usize>,
    /// Training rollout tokens spent before it.
    pub total_rollout_tokens: u64,
    /// Tokens that the evaluation took.
    pub tokens: usize,
    /// Seconds that the evaluation took.
    pub seconds: f64,
    /// First sample of the first few problems.
    pub examples: Vec<EvaluatedExample>,
}

impl Evaluated {
    /// pass@1; 0 where numbers alone judge.
    pub fn pass_at_1(&self) -> f64 {
        self.pass_at.get("1").copied().unwrap_or(0.0)
    }
}

/// A held-out problem and one answer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct EvaluatedExample {
    /// The problem.
    pub problem: String,
    /// Its level.
    pub level: Option<u32>,
    /// One answer.
    pub sample: JudgedSample,
}

/// See [`Event::Checkpoint`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
}

/// See [`Event::Warning`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Warning {
    /// Step in which it happened.
    pub step: u64,
    /// Stable identifier.
    pub code: WarningCode,
    /// One line for people.
    pub message: String,
}

/// Kinds of [`Event::Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// A root is also a held-out problem, or a root occurs twice; it is not used.
    RefusedRoot,
    /// No group of a step had a signal, so there was no update.
    NoSignal,
    /// An update was not finite and was skipped.
    NonFinite,
    /// Many answers were cut off by the token limit.
    Truncated,
    /// The verifier, which is not part of this program, did not do what it should.
    Checker,
    /// Anything else.
    Other,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// All steps are done.
    Completed,
    /// The budget of rollout tokens is spent.
    TokenBudget,
    /// The user stopped it; it can be resumed.
    Cancelled,
    /// Loss or gradient was not finite several times in a row.
    Diverged,
}

/// See [`Event::Finished`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Finished {
    /// Why.
    pub reason: FinishReason,
    /// Steps done.
    pub step: u64,
    /// Seconds of all steps, time before a resume included.
    pub elapsed: f64,
    /// Tokens generated since the run began.
    pub total_rollout_tokens: u64,
    /// Held-out pass@1 before the first step.
    pub before: Option<PassRate>,
    /// Held-out pass@1 at the last evaluation.
    pub after: Option<PassRate>,
}

/// Longest model text that an event carries, in bytes.
pub const MAX_LOGGED_TEXT: usize = 2000;

/// `text`, cut at a character boundary to at most [`MAX_LOGGED_TEXT`] bytes.
pub fn logged_text(text: &str) -> String {
    let mut end = text.len().min(MAX_LOGGED_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// `value` if it is finite: JSON has no other numbers.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A listener: progress bars, JSON lines, a page.
pub trait EventSink {
    /// Takes an event.
    ///
    /// # Errors
    /// The listener's own, for instance a full disk; they stop the run.
    fn event(&mut self, event: &Event) -> Result<()>;
}

impl<F: FnMut(&Event) -> Result<()>> EventSink for F {
    fn event(&mut self, event: &Event) -> Result<()> {
        self(event)
    }
}
