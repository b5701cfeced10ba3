//! The settings of a LADDER run, which test-time learning has too.

use super::takes::{ANY, COUNT, LIMIT, MOST, SOME};
use super::{Setting, Table, Takes};

// The paper's text (arXiv 2503.00735), by section.
const PAPER_VARIANTS: &str = "LADDER 3.1.2";
const PAPER_RL: &str = "LADDER 3.1.4";
/// The training scripts that were released with it; the paper does not give the number.
const SCRIPTS: &str = "its scripts";
/// Found here; `models/tiny/README.md` and `studies/` have the runs.
const OURS: &str = "measured here";
const CHOICE: &str = "our choice";
const LORA: &str = "LoRA Without Regret";

/// Rewards and their weights: beyond, 32-bit sums no longer tell the rewards of a group apart.
const REWARD: Takes = Takes::up_to(1e6);

/// Every setting of a LADDER run, in the order of the help.
#[rustfmt::skip] // A row is a line, so that the table can be read as one.
pub const LADDER: Table = Table { rows: &[
    Setting::new("seed", ANY, CHOICE, "seed of everything random").option("seed"),
    Setting::new("method", Takes::Word(&["policy_gradient", "expert_iteration"]), PAPER_RL, "policy_gradient, or expert_iteration: supervised steps on the model's own right answers"),
    Setting::new("prompt_style", Takes::Word(&["instruct", "terse"]), CHOICE, "instruct (full sentences in the chat template) or terse (the task's notation); null is as the model").nullable(),
    Setting::new("steps", SOME, PAPER_RL, "updates (optimizer steps)").option("steps").anew(),
    Setting::new("token_budget", SOME, CHOICE, "stop when this many training tokens are generated, variants included; null is no limit").nullable().anew(),
    Setting::new("prompts_per_step", COUNT, SCRIPTS, "problems in an update: groups with signal that a step aims for").option("prompts-per-step"),
    Setting::new("group_size", Takes::Whole(2, MOST), SCRIPTS, "attempts at each problem in an update (G of GRPO)").option("group-size"),
    Setting::new("passes_per_step", COUNT, SCRIPTS, "optimizer steps on the groups of a step (mu of GRPO)"),
    Setting::new("sampling.max_tokens", COUNT, SCRIPTS, "most tokens of an attempt").option("max-tokens").also("evaluation.sampling.max_tokens"),
    Setting::new("sampling.temperature", Takes::POSITIVE, SCRIPTS, "temperature of the attempts, which spreads them").option("temperature"),
    Setting::new("sampling.top_k", LIMIT, SCRIPTS, "keep this many likely tokens; 0 is all"),
    Setting::new("sampling.top_p", Takes::POSITIVE_SHARE, SCRIPTS, "keep likely tokens up to this probability"),
    Setting::new("sampling.min_p", Takes::SHARE, SCRIPTS, "keep tokens of at least this share of the largest probability"),
    Setting::new("learning_rate", Takes::POSITIVE, LORA, "size of an update: the highest learning rate; the paper preset's is ten times the scripts' 1e-6, as LoRA needs").option("learning-rate").anew(),
    Setting::new("schedule", Takes::Word(&["constant", "linear", "cosine"]), SCRIPTS, "constant, linear or cosine").anew(),
    Setting::new("warmup_steps", ANY, SCRIPTS, "steps of linear warm-up").anew(),
    Setting::new("optimizer.beta1", Takes::SHARE_BELOW_ONE, SCRIPTS, "AdamW's decay of the first moment"),
    Setting::new("optimizer.beta2", Takes::SHARE_BELOW_ONE, SCRIPTS, "AdamW's decay of the second moment"),
    Setting::new("optimizer.eps", Takes::POSITIVE, SCRIPTS, "added to the root of the second moment"),
    Setting::new("optimizer.weight_decay", Takes::NON_NEGATIVE, SCRIPTS, "decoupled weight decay").anew(),
    Setting::new("optimizer.max_grad_norm", Takes::NON_NEGATIVE, SCRIPTS, "bound of the gradient norm; 0 is none").anew(),
    Setting::new("lora", Takes::Json, LORA, "a new adapter: rank, alpha, targets and so on, as one JSON object"),
    Setting::new("loss", Takes::Word(&["grpo", "dapo", "dr_grpo", "gspo", "cispo"]), PAPER_RL, "loss of the GRPO family; sets objective, advantage, aggregation and mask_truncated at once").option("loss").shorthand(),
    Setting::new("loss.objective", Takes::Json, PAPER_RL, "what a token contributes, as JSON"),
    Setting::new("loss.advantage", Takes::Json, PAPER_RL, "how rewards become advantages"),
    Setting::new("loss.aggregation", Takes::Json, SCRIPTS, "how tokens are averaged"),
    Setting::new("loss.kl", Takes::Json, PAPER_RL, "the pull towards the base as JSON {coef, estimator, bias_correction}, or null").nullable(),
    Setting::new("loss.kl.coef", Takes::NON_NEGATIVE, PAPER_RL, "weight of the pull towards the model without its adapter; 0 takes it out").option("kl-coef").shorthand(),
    Setting::new("loss.mask_truncated", Takes::Flag, SCRIPTS, "leave attempts out that ran into the token limit"),
    Setting::new("reward.correct", REWARD, SCRIPTS, "reward of a right answer, where the task gives no number"),
    Setting::new("reward.wrong", REWARD, SCRIPTS, "reward of a wrong answer, likewise"),
    Setting::new("reward.malformed", REWARD, SCRIPTS, "reward of a text without an answer; unverifiable answers have none"),
    Setting::new("reward.weights", Takes::Json, SCRIPTS, "weights of named rewards, as JSON or one by one as reward.weights.NAME=X: reward (the answer's own), format (1 for an answer in the task's notation), length (0, falling to -1 at the token limit), and those that the task names, which count 1 without a weight"),
    Setting::new("reward.length_from", Takes::SHARE_BELOW_ONE, "DAPO", "share of the longest attempt from which the reward length falls"),
    Setting::new("variants.enabled", Takes::Flag, PAPER_VARIANTS, "false is plain RL on the roots"),
    Setting::new("variants.per_node", LIMIT, SCRIPTS, "variants asked for when a node grows"),
    Setting::new("variants.per_completion", LIMIT, PAPER_VARIANTS, "variants that one completion is asked to list"),
    Setting::new("variants.initial_levels", LIMIT, PAPER_VARIANTS, "levels of the tree made before the first step"),
    Setting::new("variants.parents_per_level", LIMIT, SCRIPTS, "most nodes of a level that grow before the first step"),
    Setting::new("variants.limits.depth", LIMIT, PAPER_VARIANTS, "largest distance from a root"),
    Setting::new("variants.limits.children", LIMIT, SCRIPTS, "most children of a node"),
    Setting::new("variants.limits.nodes", LIMIT, PAPER_VARIANTS, "most nodes"),
    Setting::new("variants.limits.problem_bytes", LIMIT, CHOICE, "longest variant in bytes"),
    Setting::new("variants.mix.easier", Takes::SHARE, PAPER_VARIANTS, "share of requests for easier variants"),
    Setting::new("variants.mix.equivalent", Takes::SHARE, PAPER_VARIANTS, "share of requests for equivalent ones"),
    Setting::new("variants.mix.harder", Takes::SHARE, PAPER_VARIANTS, "share of requests for harder ones"),
    Setting::new("variants.transformations", Takes::Json, PAPER_VARIANTS, "fewest and most transformations that a prompt offers"),
    Setting::new("variants.temperatures", Takes::Json, PAPER_VARIANTS, "temperatures that requests cycle through"),
    Setting::new("variants.sampling.max_tokens", COUNT, SCRIPTS, "longest list of variants"),
    Setting::new("variants.sampling.temperature", Takes::NON_NEGATIVE, CHOICE, "not used: the cycle above is"),
    Setting::new("variants.sampling.top_k", LIMIT, SCRIPTS, "keep this many likely tokens; 0 is all"),
    Setting::new("variants.sampling.top_p", Takes::POSITIVE_SHARE, CHOICE, "keep likely tokens up to this probability"),
    Setting::new("variants.sampling.min_p", Takes::SHARE, CHOICE, "keep tokens of at least this share of the largest probability"),
    Setting::new("variants.personas", Takes::Json, PAPER_VARIANTS, "personas that prompts cycle through; [] is none"),
    Setting::new("variants.extend_library", LIMIT, PAPER_VARIANTS, "transformations of each kind that the model adds to the library; 0 is none"),
    Setting::new("variants.check_solvable", Takes::Flag, "LADDER 3.1.2 keeps them", "refuse variants that have no answer or none that could be confirmed"),
    Setting::new("curriculum.adaptive", Takes::Flag, "LADDER: static", "draw by p(1-p), grow unsolved nodes, rest solved ones; false is a static tree"),
    Setting::new("curriculum.sharpness", Takes::POSITIVE, OURS, "exponent on the expected p(1-p)"),
    Setting::new("curriculum.root_share", Takes::SHARE, OURS, "share of a batch from the roots and their children, half of it from the roots"),
    Setting::new("curriculum.probe_samples", LIMIT, OURS, "attempts that decide on a full group; 0 gives every problem one"),
    Setting::new("curriculum.probe_until", Takes::NON_NEGATIVE, OURS, "attempts after which a promising problem is not probed"),
    Setting::new("curriculum.probe_threshold", Takes::SHARE, OURS, "chance of a signal that makes a problem promising"),
    Setting::new("curriculum.refill_rounds", LIMIT, "DAPO", "rounds of further problems for groups without signal"),
    Setting::new("curriculum.prior_strength", Takes::POSITIVE, OURS, "attempts that a node's prior, taken from its relatives, is worth"),
    Setting::new("curriculum.memory", Takes::SHARE, OURS, "factor on older attempts at each visit"),
    Setting::new("curriculum.solved_rate", Takes::SHARE, OURS, "estimated pass rate from which a node rests"),
    Setting::new("curriculum.rest_steps", ANY, OURS, "steps that a solved node rests"),
    Setting::new("curriculum.grow_after", Takes::NON_NEGATIVE, OURS, "attempts without success after which a node grows variants"),
    Setting::new("curriculum.grow_per_step", LIMIT, OURS, "most nodes that grow after a step"),
    Setting::new("curriculum.promote_share", Takes::SHARE, OURS, "share of solved children that promotes a parent"),
    Setting::new("evaluation.every", ANY, SCRIPTS, "steps between evaluations; 0 is only before and after").anew(),
    Setting::new("evaluation.samples", COUNT, CHOICE, "attempts at each held-out problem"),
    Setting::new("evaluation.sampling.max_tokens", COUNT, SCRIPTS, "longest attempt"),
    Setting::new("evaluation.sampling.temperature", Takes::NON_NEGATIVE, SCRIPTS, "temperature"),
    Setting::new("evaluation.sampling.top_k", LIMIT, SCRIPTS, "keep this many likely tokens; 0 is all"),
    Setting::new("evaluation.sampling.top_p", Takes::POSITIVE_SHARE, SCRIPTS, "keep likely tokens up to this probability"),
    Setting::new("evaluation.sampling.min_p", Takes::SHARE, SCRIPTS, "keep tokens of at least this share of the largest probability"),
    Setting::new("checkpoint_every", SOME, CHOICE, "steps between checkpoints").anew(),
] };
