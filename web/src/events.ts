// Made from the Rust types by `cargo test the_committed_types`: change those, then run it with UPDATE=1.

/**
 * Settings of a new library that are options of the call; `settings` takes all of them, by their paths.
 */
export interface LibrarySettings {
  /** Rank of the adapter of a new library; alpha follows it, if it is not set too (default: as fits the model). */
  rank?: number;
  /** Size of an update in a new library (default: as fits the model). */
  learningRate?: number;
  /** Most times that every record is seen, in a new library (default: as fits the model). */
  epochs?: number;
  /** Seed of a new library (default 0). */
  seed?: number;
}

/**
 * Settings of supervised training that are options of the call; `settings` takes all of them, by their paths.
 */
export interface TrainSettings {
  /** Number of updates, instead of epochs (default none). */
  steps?: number;
  /** Times that every example is seen (default: as fits the model and the examples). */
  epochs?: number;
  /** Examples an update; what does not fit into one pass is accumulated (default: as fits the model and the examples). */
  batchSize?: number;
  /** Size of an update (default: as fits the model and the examples). */
  learningRate?: number;
  /** Course of the size of updates after warm-up (default cosine). */
  schedule?: "constant" | "linear" | "cosine";
  /** Updates in which their size grows to its full value (default: as fits the model and the examples). */
  warmupSteps?: number;
  /** Share of the examples that is not learnt, but whose loss is measured after each epoch; 0 for none. Examples with the same prompt stay together (default 0.1). */
  heldOut?: number;
  /** Stop when the loss of what is held out has not fallen for so many epochs, and keep the adapter of the best one; 0 for all epochs (default: as fits the model and the examples). */
  patience?: number;
  /** Pull of the adapter towards zero (default 0). */
  weightDecay?: number;
  /** Largest norm of the gradient; 0 for no bound (default 1). */
  maxGradNorm?: number;
  /** Rank of a new adapter (default 16). */
  rank?: number;
  /** Scale of a new adapter: its output is multiplied by alpha/rank (default 32). */
  alpha?: number;
  /** Scale a new adapter by alpha/sqrt(rank) instead (rsLoRA) (default false). */
  rslora?: boolean;
  /** Linear layers that a new adapter is put on (default all). */
  targets?: readonly ("q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate_proj" | "up_proj" | "down_proj" | "qkv_proj" | "gate_up_proj" | "input_linear" | "output_linear")[];
  /** Tokens of the longest example; longer ones are cut (default 512). */
  maxLength?: number;
  /** Another order of the examples in each epoch; false keeps that of the file (default true). */
  shuffle?: boolean;
  /** Seed of the adapter's first values, of the order, and of what is held out (default 0). */
  seed?: number;
  /** Updates between checkpoints, from which a stopped run goes on (default 5). */
  checkpointEvery?: number;
}

/**
 * How a reward R of a group with mean m becomes an advantage. Standard deviations divide by n - 1.
 */
export type AdvantageKind = "group_std" | "group_mean" | "batch_std" | "leave_one_out";

/**
 * How tokens are averaged. N is the number of sequences, |o| a sequence's scored tokens, both over the whole
 * accumulated batch (see [`super::Normalizer`]). Names as in TRL.
 */
export type Aggregation = "grpo" | "dapo" | { "dr_grpo": { 
/**
 * The longest completion that sampling allows, in tokens.
 */
max_completion: number, } };

/**
 * See [`Event::Checkpoint`].
 */
export type Checkpoint = { 
/**
 * Steps done.
 */
step: number, };

/**
 * Bounds of the ratio r.
 */
export type Clip = { 
/**
 * r is clipped from below at 1 - `low`; in (0, 1].
 */
low: number, 
/**
 * r is clipped from above at 1 + `high`; equal to `low` in GRPO, larger in DAPO (clip-higher).
 */
high: number, 
/**
 * A bound on r where A < 0, which the clipping leaves without one.
 */
cap: RatioCap, };

/**
 * How problems are chosen.
 */
export type CurriculumSettings = { 
/**
 * Draw by estimated p(1-p), grow unsolved nodes, rest solved ones. Off draws uniformly from a static tree, as
 * the paper does.
 */
adaptive: boolean, 
/**
 * Exponent on the expected p(1-p) of a node when problems are drawn; 1 is the expectation itself, more keeps
 * a crowd of nearly solved nodes from outweighing the few at the frontier.
 */
sharpness: number, 
/**
 * Share of every batch that is drawn from the roots and their direct children, half of it from the roots alone.
 */
root_share: number, 
/**
 * Rollouts that tell whether an unmeasured problem is worth a full group; 0 gives every problem a full group.
 */
probe_samples: number, 
/**
 * Problems with at least this many (discounted) judged rollouts are not probed, if they are promising.
 */
probe_until: number, 
/**
 * A problem is promising, and a probed one gets its full group, if the chance that the outcomes will differ is
 * at least this.
 */
probe_threshold: number, 
/**
 * Most rounds of drawing further problems for groups without signal.
 */
refill_rounds: number, 
/**
 * Pseudo-rollouts that the prior of a node, taken from its relatives, is worth.
 */
prior_strength: number, 
/**
 * Factor on older rollouts at each new visit of a node, because the policy moves on.
 */
memory: number, 
/**
 * A node whose estimated pass rate is at least this is solved and rests.
 */
solved_rate: number, 
/**
 * Steps that a solved node rests before it may be drawn again, which also measures forgetting.
 */
rest_steps: number, 
/**
 * A node without a success in this many (discounted) rollouts grows easier variants.
 */
grow_after: number, 
/**
 * Most nodes that grow after one step.
 */
grow_per_step: number, 
/**
 * A parent is promoted when this share of its measured children is solved.
 */
promote_share: number, };

/**
 * See [`Event::Downloading`].
 */
export type Downloading = { 
/**
 * File name.
 */
file: string, 
/**
 * Bytes on disk.
 */
done: number, 
/**
 * Bytes of the whole file, if known.
 */
total: number | null, };

/**
 * See [`Event::Evaluated`].
 */
export type Evaluated = { 
/**
 * Steps done before it; 0 is the base.
 */
step: number, 
/**
 * Problems.
 */
n: number, 
/**
 * Samples of each problem.
 */
samples: number, 
/**
 * pass@k by k, for k = 1, 2, 4, ... and the number of samples; empty where numbers alone judge.
 */
pass_at: { [key in string]: number }, 
/**
 * 95 % interval of pass@1.
 */
ci95: [number, number], 
/**
 * The numbers that the task gave, by name; `reward` is that of the answer itself.
 */
rewards?: { [key in string]: MeanReward }, 
/**
 * pass@1 by level.
 */
by_level: Array<LevelResult>, 
/**
 * Judgements. An unverifiable answer is not counted as correct.
 */
verdicts: VerdictCounts, 
/**
 * Correct samples of each problem in the order of the file, for paired comparisons.
 */
correct: Array<number>, 
/**
 * Training rollout tokens spent before it.
 */
total_rollout_tokens: number, 
/**
 * Tokens that the evaluation took.
 */
tokens: number, 
/**
 * Seconds that the evaluation took.
 */
seconds: number, 
/**
 * First sample of the first few problems.
 */
examples: Array<EvaluatedExample>, };

/**
 * A held-out problem and one answer to it.
 */
export type EvaluatedExample = { 
/**
 * The problem.
 */
problem: string, 
/**
 * Its level.
 */
level: number | null, 
/**
 * One answer.
 */
sample: JudgedSample, };

/**
 * How held-out problems are answered.
 */
export type EvaluationSettings = { 
/**
 * Steps between evaluations; 0 evaluates only before the first and after the last.
 */
every: number, 
/**
 * Samples of each problem.
 */
samples: number, 
/**
 * How they are drawn.
 */
sampling: Sampling, };

/**
 * Something that happened. JSON objects with a `type` tag; numbers that are not finite are `null`.
 */
export type Event = { "type": "started" } & Started | { "type": "downloading" } & Downloading | { "type": "loaded" } & Loaded | { "type": "variants" } & Variants | { "type": "rollout" } & Rollout | { "type": "verified" } & Verified | { "type": "step" } & Step | { "type": "evaluated" } & Evaluated | { "type": "checkpoint" } & Checkpoint | { "type": "warning" } & Warning | { "type": "finished" } & Finished;

/**
 * Why a run ended.
 */
export type FinishReason = "completed" | "token_budget" | "cancelled" | "diverged";

/**
 * See [`Event::Finished`].
 */
export type Finished = { 
/**
 * Why.
 */
reason: FinishReason, 
/**
 * Steps done.
 */
step: number, 
/**
 * Seconds of all steps, time before a resume included.
 */
elapsed: number, 
/**
 * Tokens generated since the run began.
 */
total_rollout_tokens: number, 
/**
 * Held-out pass@1 before the first step.
 */
before: PassRate | null, 
/**
 * Held-out pass@1 at the last evaluation.
 */
after: PassRate | null, };

/**
 * A completion with its judgement.
 */
export type JudgedSample = { 
/**
 * The completion, at most [`MAX_LOGGED_TEXT`] bytes.
 */
text: string, 
/**
 * The judgement.
 */
verdict: Verdict, 
/**
 * Length in tokens.
 */
tokens: number, 
/**
 * Whether it ended by itself.
 */
finished: boolean, };

/**
 * A penalty on the distance between the policy and the reference, token by token, averaged like the objective.
 */
export type KlConfig = { 
/**
 * Its weight.
 */
coef: number, 
/**
 * The estimator.
 */
estimator: KlEstimator, 
/**
 * Multiply the estimate by r = pi / pi_old of its token: what makes k3 unbiased off-policy, and its gradient,
 * on-policy, that of the reverse KL (DeepSeek-V3.2; `use_bias_correction_kl` in TRL).
 */
bias_correction: boolean, };

/**
 * Estimators of KL(pi || ref) from one sample, with d = log ref - log pi (Schulman 2020).
 *
 * As a *loss* they differ: on-policy the gradient of k1 averages to 0, that of k2 is the gradient of the reverse KL,
 * and that of k3 is the gradient of the forward KL(ref || pi) (arXiv 2506.09477).
 */
export type KlEstimator = "k1" | "k2" | "k3";

/**
 * Evaluation of the problems of one level.
 */
export type LevelResult = { 
/**
 * The level; `None` for problems without one.
 */
level: number | null, 
/**
 * Problems.
 */
n: number, 
/**
 * Mean over problems of the share of correct samples.
 */
pass_at_1: number, 
/**
 * Its 95 % interval.
 */
ci95: [number, number], };

/**
 * Bounds of a tree.
 */
export type Limits = { 
/**
 * Largest distance from a root.
 */
depth: number, 
/**
 * Most children of a node.
 */
children: number, 
/**
 * Most nodes, roots included.
 */
nodes: number, 
/**
 * Longest problem in bytes.
 */
problem_bytes: number, };

/**
 * See [`Event::Loaded`].
 */
export type Loaded = { 
/**
 * Model, device and sizes.
 */
policy: PolicyInfo, 
/**
 * Seconds that loading took.
 */
seconds: number, };

/**
 * |log-probability in training − log-probability when sampled| over tokens, in nats.
 */
export type LogprobGap = { 
/**
 * Mean.
 */
mean: number, 
/**
 * 99th percentile: the smallest that at least 99 % of the tokens do not exceed.
 */
p99: number, 
/**
 * Maximum.
 */
max: number, };

/**
 * The settings of an adapter.
 */
export type LoraConfig = { 
/**
 * Rank r, unless `rank_pattern` has another.
 */
rank: number, 
/**
 * Alpha, unless `alpha_pattern` has another.
 */
alpha: number, 
/**
 * Scale by alpha / sqrt(r) instead of alpha / r (rsLoRA, arXiv 2312.03732).
 */
rslora: boolean, 
/**
 * Dropout of the adapter's input in training.
 */
dropout: number, 
/**
 * The kinds of modules that are adapted, or the parts of such.
 */
targets: Array<Module>, 
/**
 * The paths of the adapted modules if these are not all `targets` of all layers.
 */
only?: Array<string> | null, 
/**
 * Ranks of single modules, by path.
 */
rank_pattern?: { [key in string]: number }, 
/**
 * Alphas of single modules, by path.
 */
alpha_pattern?: { [key in string]: number }, 
/**
 * The base model's name, for people and for PEFT.
 */
base_model?: string | null, };

/**
 * A loss, put together from its parts.
 */
export type LossConfig = { 
/**
 * What a token, or a sequence, contributes.
 */
objective: Objective, 
/**
 * How rewards become advantages (see [`crate::train::advantage::advantages`]).
 */
advantage: AdvantageKind, 
/**
 * How tokens are averaged.
 */
aggregation: Aggregation, 
/**
 * The pull towards the reference policy, if any.
 */
kl: KlConfig | null, 
/**
 * Leave out answers that were cut off at the length limit: their reward says nothing about what they would have
 * become (DAPO's overlong filtering).
 */
mask_truncated: boolean, };

/**
 * The mean of one named reward over problems.
 */
export type MeanReward = { 
/**
 * The mean.
 */
mean: number, 
/**
 * Its 95 % interval; `None` of a single number.
 */
ci95: [number, number] | null, };

/**
 * What is learnt from judged attempts.
 */
export type Method = "policy_gradient" | "expert_iteration";

/**
 * A linear module of a transformer block, in the order of the forward pass.
 */
export type Module = "q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate_proj" | "up_proj" | "down_proj" | "qkv_proj" | "gate_up_proj" | "input_linear" | "output_linear";

/**
 * How a node came to be.
 */
export type NodeKind = "root" | "easier" | "equivalent" | "harder";

/**
 * What a token, or a sequence, contributes. With log pi the policy's log-probability of a token, r = pi / pi_old
 * and A the advantage of its sequence, in the form of a loss (to be lowered):
 */
export type Objective = "cross_entropy" | { "clipped": { 
/**
 * What r is the ratio of.
 */
level: RatioLevel, 
/**
 * The bounds of r.
 */
clip: Clip, } } | { "cispo": { 
/**
 * Upper bound of the weight.
 */
ratio_max: number, } };

/**
 * AdamW's settings.
 */
export type Optimizer = { 
/**
 * Decay of the first moment.
 */
beta1: number, 
/**
 * Decay of the second moment.
 */
beta2: number, 
/**
 * Added to the root of the second moment.
 */
eps: number, 
/**
 * Decoupled weight decay.
 */
weight_decay: number, 
/**
 * Largest global gradient norm; 0 for none.
 */
max_grad_norm: number, };

/**
 * A pass rate with its interval.
 */
export type PassRate = { 
/**
 * pass@1.
 */
pass_at_1: number, 
/**
 * 95 % interval.
 */
ci95: [number, number], };

/**
 * What completions are generated for.
 */
export type Phase = "variants" | "training" | "evaluation" | "vote";

/**
 * What a policy is, for run cards and `started` events.
 */
export type PolicyInfo = { 
/**
 * The model as the user named it.
 */
model: string, 
/**
 * GPU adapter, backend and driver in words.
 */
device: string, 
/**
 * Parameters of the base model.
 */
parameters: number, 
/**
 * Parameters of the LoRA adapter.
 */
trainable_parameters: number, 
/**
 * Longest sequence, prompt and completion together.
 */
context_length: number, };

/**
 * A named set of settings.
 */
export type Preset = "paper" | "small" | "software" | "tiny";

/**
 * How a prompt is worded.
 */
export type PromptStyle = "instruct" | "terse";

/**
 * A bound on the ratio r of outputs with a negative advantage. Both forms are the same function (a test holds them
 * to it); they are kept under both names, with the usual values of their sources.
 */
export type RatioCap = "none" | { "two_sided": number } | { "dual": number };

/**
 * What the policies are compared on.
 */
export type RatioLevel = "token" | "sequence";

/**
 * Why a proposed problem did not become a node.
 */
export type Rejection = "invalid" | "too_long" | "unsolvable" | "restatement" | "duplicate" | "held_out" | "limit";

/**
 * One named reward in the rollouts of a step ([`crate::ladder::reward`]).
 */
export type RewardStats = { 
/**
 * Its weight in the whole reward.
 */
weight: number, 
/**
 * Its mean, before the weight.
 */
mean: number, 
/**
 * Its standard deviation.
 */
std: number, 
/**
 * Completions that have it.
 */
samples: number, 
/**
 * Share of the full groups in which it is the same for all completions; `None` without a full group.
 */
without_signal: number | null, };

/**
 * What a completion is worth ([`crate::ladder::reward`]): by its judgement where the task gives no number, and the weights of all named
 * rewards. An unverifiable completion has no reward and never enters a gradient.
 */
export type Rewards = { 
/**
 * A right answer.
 */
correct: number, 
/**
 * A well-formed wrong answer.
 */
wrong: number, 
/**
 * No answer in the task's notation.
 */
malformed: number, 
/**
 * Weights of rewards by name: `reward` is that of the answer itself, `format` and `length` are made here where they have a weight,
 * others are the task's. A name without a weight counts once.
 */
weights: { [key in string]: number }, 
/**
 * Share of the longest answer from which on the reward `length` falls.
 */
length_from: number, };

/**
 * See [`Event::Rollout`]. In `events.jsonl` there is one for each batch, when it is done; listeners also get those between.
 */
export type Rollout = { 
/**
 * Current step.
 */
step: number, 
/**
 * What the completions are for.
 */
phase: Phase, 
/**
 * Completions done.
 */
done: number, 
/**
 * Completions of the batch.
 */
total: number, 
/**
 * Tokens of the batch so far.
 */
tokens: number, 
/**
 * Generation rate of the batch so far.
 */
tokens_per_second: number, };

/**
 * Pass rate of the training rollouts of one level or depth.
 */
export type RolloutRate = { 
/**
 * The level of the problems file, or the depth in the tree.
 */
key: number, 
/**
 * Completions with a verdict.
 */
samples: number, 
/**
 * Correct ones.
 */
correct: number, };

/**
 * How completions are drawn.
 */
export type Sampling = { 
/**
 * Most tokens, the stop token included.
 */
max_tokens: number, 
/**
 * Softmax temperature; 0 is greedy.
 */
temperature: number, 
/**
 * Keep this many of the most likely tokens; 0 keeps all.
 */
top_k: number, 
/**
 * Of these, keep the fewest whose probability reaches this; 1 keeps all.
 */
top_p: number, 
/**
 * Of these, keep those with at least this share of the largest probability; 0 keeps all.
 */
min_p: number, };

/**
 * The course after warm-up. With p = (step - warm-up) / (total - warm-up) in [0, 1):
 */
export type ScheduleKind = "constant" | "linear" | "cosine";

/**
 * Kinds of values.
 */
export type SettingKind = "whole" | "number" | "flag" | "word" | "words" | "json";

/**
 * A setting, for a form on a page.
 */
export type SettingRow = { 
/**
 * Names from the outermost field inwards, with dots.
 */
path: string, 
/**
 * Its name among the options of a call; null where it is only in `settings`.
 */
field: string | null, 
/**
 * What its values are.
 */
kind: SettingKind, 
/**
 * The words that it takes.
 */
words: Array<string>, 
/**
 * The smallest number that it takes, or a bound that is itself too small.
 */
least: number | null, 
/**
 * The largest number that it takes, or a bound that is itself too large.
 */
most: number | null, 
/**
 * What it takes, such as `a number from 0 to 1`.
 */
takes: string, 
/**
 * What its number counts, where the path does not say so.
 */
unit: string | null, 
/**
 * Null is a value too.
 */
nullable: boolean, 
/**
 * A run that goes on may be given another value.
 */
anew: boolean, 
/**
 * What it does.
 */
doc: string, 
/**
 * Where the value comes from.
 */
source: string, 
/**
 * What is taken without it; null for what follows from the model and the data.
 */
value: unknown, };

/**
 * Settings of a LADDER run; `run.json` holds them whole.
 */
export type Settings = { 
/**
 * Seed of everything random.
 */
seed: number, 
/**
 * What is learnt from the judged attempts.
 */
method: Method, 
/**
 * How prompts are worded; `None` follows from whether the model has a chat template.
 */
prompt_style: PromptStyle | null, 
/**
 * Optimizer steps of the run.
 */
steps: number, 
/**
 * Stop when this many training rollout tokens are spent, variants included; `None` is no limit.
 */
token_budget: number | null, 
/**
 * Groups with signal that a step aims for.
 */
prompts_per_step: number, 
/**
 * Completions of one problem in a step (G of GRPO).
 */
group_size: number, 
/**
 * Optimizer steps on the groups of one step (the iterations mu of GRPO, arXiv 2402.03300, algorithm 1). From the second on the
 * policy is no longer the one that sampled, which the loss's clipping bounds.
 */
passes_per_step: number, 
/**
 * How answers are drawn in training.
 */
sampling: Sampling, 
/**
 * Highest learning rate.
 */
learning_rate: number, 
/**
 * Course of the learning rate.
 */
schedule: ScheduleKind, 
/**
 * Steps of linear warm-up.
 */
warmup_steps: number, 
/**
 * AdamW's settings and the bound of the gradient norm.
 */
optimizer: Optimizer, 
/**
 * The adapter that is trained, where the run does not go on from one.
 */
lora: LoraConfig, 
/**
 * The loss, its advantages and its KL term.
 */
loss: LossConfig, 
/**
 * Rewards by judgement.
 */
reward: Rewards, 
/**
 * How variants are made.
 */
variants: VariantSettings, 
/**
 * How problems are chosen.
 */
curriculum: CurriculumSettings, 
/**
 * How held-out problems are answered.
 */
evaluation: EvaluationSettings, 
/**
 * Steps between checkpoints.
 */
checkpoint_every: number, };

/**
 * See [`Event::Started`].
 */
export type Started = { 
/**
 * Version of this program.
 */
version: string, 
/**
 * Name of the task.
 */
task: string, 
/**
 * Model, device and sizes.
 */
policy: PolicyInfo, 
/**
 * Every setting of the run.
 */
settings: Settings, 
/**
 * Root problems in use.
 */
roots: number, 
/**
 * Held-out problems.
 */
held_out: number, 
/**
 * Step that a resumed run goes on from.
 */
resumed_from?: number | null, };

/**
 * See [`Event::Step`].
 */
export type Step = { 
/**
 * Number of this step, from 1.
 */
step: number, 
/**
 * Steps of the whole run.
 */
steps: number, 
/**
 * Learning rate applied.
 */
learning_rate: number, 
/**
 * Loss; `None` without an update or if not finite.
 */
loss: number | null, 
/**
 * Gradient norm before clipping; `None` without an update or if not finite.
 */
grad_norm: number | null, 
/**
 * KL to the base model per token; `None` without an update or if not finite.
 */
kl: number | null, 
/**
 * Entropy per token; `None` without an update or if not finite.
 */
entropy: number | null, 
/**
 * Share of clipped tokens; `None` without an update or if not finite.
 */
clip_fraction: number | null, 
/**
 * |log-probability in training − log-probability when sampled| of the step's sampled tokens that entered the update: both
 * are of the same policy, so what is more than rounding is an error of one of the two. `None` without an update.
 */
logprob_gap: LogprobGap | null, 
/**
 * The update was skipped because loss or gradient was not finite.
 */
skipped: boolean, 
/**
 * Mean reward of all judged rollouts.
 */
reward_mean: number | null, 
/**
 * Its standard deviation.
 */
reward_std: number | null, 
/**
 * The parts of the reward by name: `reward` is that of the answer itself.
 */
rewards: { [key in string]: RewardStats }, 
/**
 * Correct of the rollouts with a verdict.
 */
pass_rate: number | null, 
/**
 * Pass rate of roots by the level of the problems file.
 */
by_level: Array<RolloutRate>, 
/**
 * Pass rate by depth in the tree; 0 is the roots.
 */
by_depth: Array<RolloutRate>, 
/**
 * Judgements of all rollouts.
 */
verdicts: VerdictCounts, 
/**
 * Groups that entered the update.
 */
groups: number, 
/**
 * Full groups whose rewards were all equal.
 */
groups_without_signal: number, 
/**
 * Problems that were given only the probe rollouts.
 */
probes: number, 
/**
 * Rounds of drawing further problems because of groups without signal.
 */
refills: number, 
/**
 * Tokens generated in this step, variants included.
 */
rollout_tokens: number, 
/**
 * Tokens generated since the run began.
 */
total_rollout_tokens: number, 
/**
 * Rollout tokens by the seconds of the whole step.
 */
tokens_per_second: number, 
/**
 * Seconds of this step.
 */
seconds: number, 
/**
 * Seconds of all steps, time before a resume included.
 */
elapsed: number, 
/**
 * Estimated seconds until the last step.
 */
remaining: number, 
/**
 * Nodes in the tree.
 */
nodes: number, 
/**
 * Nodes whose estimated pass rate lies in 0.2 to 0.8.
 */
frontier: number, 
/**
 * Nodes that rest because they are solved.
 */
solved: number, 
/**
 * Parents promoted in this step because their children are solved.
 */
promoted: Array<number>, };

/**
 * Shares of the kinds of variants.
 */
export type VariantMix = { 
/**
 * A step down.
 */
easier: number, 
/**
 * As hard.
 */
equivalent: number, 
/**
 * A step up.
 */
harder: number, };

/**
 * One variant that was read out of a completion.
 */
export type VariantRecord = { 
/**
 * Its node in the tree, if it was accepted.
 */
id: number | null, 
/**
 * As the model wrote it, at most [`MAX_LOGGED_TEXT`] bytes.
 */
problem: string, 
/**
 * The kind that was asked for.
 */
kind: NodeKind, 
/**
 * Why it was dropped.
 */
rejection: Rejection | null, };

/**
 * How variants are made (LADDER section 3.1.2).
 */
export type VariantSettings = { 
/**
 * Off is plain RL on the roots, the paper's baseline.
 */
enabled: boolean, 
/**
 * Variants asked for when a node is expanded.
 */
per_node: number, 
/**
 * Variants that one completion is asked to list; models with terse prompts always write one.
 */
per_completion: number, 
/**
 * Levels of the tree that are made before the first step; the adaptive curriculum grows the rest where needed.
 */
initial_levels: number, 
/**
 * Most nodes of a level that are expanded before the first step.
 */
parents_per_level: number, 
/**
 * Bounds of the tree.
 */
limits: Limits, 
/**
 * Share of requests for easier, equivalent and harder variants; they add up to 1.
 */
mix: VariantMix, 
/**
 * Fewest and most transformations that a prompt offers.
 */
transformations: [number, number], 
/**
 * Temperatures that requests cycle through.
 */
temperatures: Array<number>, 
/**
 * How the text is drawn; its temperature is replaced by the cycle's.
 */
sampling: Sampling, 
/**
 * Personas that prompts cycle through; empty is none.
 */
personas: Array<string>, 
/**
 * Transformations of each kind in use that the model adds to the task's library before it writes the first variant
 * (the paper's library is written by the model); 0 is none. Terse prompts name no transformations.
 */
extend_library: number, 
/**
 * Refuse variants whose task says that no answer to them could be found or confirmed
 * ([`crate::task::Task::solvable`]).
 */
check_solvable: boolean, };

/**
 * See [`Event::Variants`].
 */
export type Variants = { 
/**
 * Step in which it happened; 0 is before the first.
 */
step: number, 
/**
 * Node that was varied.
 */
parent: number, 
/**
 * Its problem.
 */
problem: string, 
/**
 * Completions asked for.
 */
completions: number, 
/**
 * Completions that held no variant in the task's notation.
 */
empty: number, 
/**
 * Every variant read, in order.
 */
variants: Array<VariantRecord>, 
/**
 * How many became nodes.
 */
accepted: number, 
/**
 * How many were dropped, by reason.
 */
rejected: { [key in Rejection]?: number }, 
/**
 * Tokens generated.
 */
tokens: number, };

/**
 * A judgement with its reason and the answer it was made on.
 */
export type Verdict = { 
/**
 * The judgement.
 */
verdict: VerdictKind, 
/**
 * Why, in one line for people.
 */
reason: string, 
/**
 * The answer found in the completion, normalised; `None` if there is none.
 */
answer: string | null, 
/**
 * How good the completion is, in the task's range ([`Task::reward_range`]); stands in place of the reward of the judgement.
 */
reward?: number | null, 
/**
 * Further rewards by name, in the same range; the settings weigh them.
 */
rewards?: { [key in string]: number }, };

/**
 * Judgements of a set of completions, counted.
 */
export type VerdictCounts = { 
/**
 * Right.
 */
correct: number, 
/**
 * Well formed and wrong.
 */
wrong: number, 
/**
 * Not an answer.
 */
malformed: number, 
/**
 * Could not be judged.
 */
unverifiable: number, 
/**
 * Judged by numbers alone.
 */
scored: number, 
/**
 * Cut off by the token limit (also counted by judgement).
 */
truncated: number, };

/**
 * The judgement on one completion.
 */
export type VerdictKind = "correct" | "wrong" | "malformed" | "unverifiable" | "scored";

/**
 * See [`Event::Verified`].
 */
export type Verified = { 
/**
 * Current step.
 */
step: number, 
/**
 * The node that was answered.
 */
node: number, 
/**
 * Its problem.
 */
problem: string, 
/**
 * Its distance from the root.
 */
depth: number, 
/**
 * Judgements.
 */
counts: VerdictCounts, 
/**
 * Mean reward of the completions that enter the update; `None` if there are none.
 */
reward_mean: number | null, 
/**
 * Whether the rewards differ, so that the group teaches something.
 */
signal: boolean, 
/**
 * Estimated pass rate of the node after this.
 */
estimate: number, 
/**
 * A few of the completions: the first correct one and the first that is not, or those of the highest and the lowest reward where
 * numbers judge.
 */
samples: Array<JudgedSample>, };

/**
 * See [`Event::Warning`].
 */
export type Warning = { 
/**
 * Step in which it happened.
 */
step: number, 
/**
 * Stable identifier.
 */
code: WarningCode, 
/**
 * One line for people.
 */
message: string, };

/**
 * Kinds of [`Event::Warning`].
 */
export type WarningCode = "refused_root" | "no_signal" | "non_finite" | "truncated" | "checker" | "other";
