//! The settings of supervised training.

use super::takes::{ANY, SOME};
use super::{Setting, Table, Takes};

/// What the model and the data ask for; `src/train/sft/settings.rs` says how, and where the numbers come from.
const FITS: &str = "model and data";
pub(super) const LORA: &str = "LoRA Without Regret";
/// Its defaults in PyTorch, which are those of Adam (arXiv 1412.6980).
pub(super) const ADAMW: &str = "AdamW";
pub(super) const CHOICE: &str = "our choice";

/// The linear layers of a transformer block, by their names in checkpoints and in PEFT.
pub(super) const MODULES: Takes = Takes::Words(&[
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "qkv_proj",
    "gate_up_proj",
    "input_linear",
    "output_linear",
]);

/// Every setting of supervised training, in the order of the help.
#[rustfmt::skip] // A row is a line, so that the table can be read as one.
pub const SFT: Table = Table { rows: &[
    Setting::new("steps", SOME, CHOICE, "number of updates, instead of epochs").option("steps").nullable().instead_of("epochs").anew(),
    Setting::new("epochs", SOME, FITS, "times that every example is seen").option("epochs").fitted().nullable().anew(),
    Setting::new("batch_size", SOME, FITS, "examples an update; what does not fit into one pass is accumulated").option("batch-size").fitted().nullable(),
    Setting::new("learning_rate", Takes::POSITIVE, FITS, "size of an update").option("learning-rate").fitted().nullable().anew(),
    Setting::new("schedule", Takes::Word(&["constant", "linear", "cosine"]), CHOICE, "course of the size of updates after warm-up").option("schedule").anew(),
    Setting::new("warmup_steps", ANY, FITS, "updates in which their size grows to its full value").option("warmup-steps").fitted().nullable().anew(),
    Setting::new("held_out", Takes::SHARE_BELOW_ONE, CHOICE, "share of the examples that is not learnt, but whose loss is measured after each epoch; 0 for none. Examples with the same prompt stay together").option("held-out").unit("SHARE"),
    Setting::new("patience", ANY, FITS, "stop when the loss of what is held out has not fallen for so many epochs, and keep the adapter of the best one; 0 for all epochs").option("patience").unit("EPOCHS").fitted().nullable(),
    Setting::new("optimizer.beta1", Takes::SHARE_BELOW_ONE, ADAMW, "decay of the first moment"),
    Setting::new("optimizer.beta2", Takes::SHARE_BELOW_ONE, ADAMW, "decay of the second moment"),
    Setting::new("optimizer.eps", Takes::POSITIVE, ADAMW, "added to the root of the second moment"),
    Setting::new("optimizer.weight_decay", Takes::NON_NEGATIVE, CHOICE, "pull of the adapter towards zero").option("weight-decay").anew(),
    Setting::new("optimizer.max_grad_norm", Takes::NON_NEGATIVE, CHOICE, "largest norm of the gradient; 0 for no bound").option("max-grad-norm").anew(),
    Setting::new("lora.rank", SOME, "arXiv 2603.01097", "rank of a new adapter").option("rank"),
    Setting::new("lora.alpha", Takes::POSITIVE, LORA, "scale of a new adapter: its output is multiplied by alpha/rank").option("alpha"),
    Setting::new("lora.rslora", Takes::Flag, CHOICE, "scale a new adapter by alpha/sqrt(rank) instead (rsLoRA)").option("rslora").switch(true, "scale a new adapter by alpha/sqrt(rank) instead (rsLoRA)"),
    Setting::new("lora.targets", MODULES, LORA, "linear layers that a new adapter is put on").option("target-modules"),
    Setting::new("max_length", Takes::Whole(2, u64::MAX), CHOICE, "tokens of the longest example; longer ones are cut").option("max-length").unit("TOKENS"),
    Setting::new("shuffle", Takes::Flag, CHOICE, "another order of the examples in each epoch; false keeps that of the file").option("no-shuffle").switch(false, "keep the order of the file"),
    Setting::new("seed", ANY, CHOICE, "seed of the adapter's first values, of the order, and of what is held out").option("seed"),
    Setting::new("checkpoint_every", SOME, CHOICE, "updates between checkpoints, from which a stopped run goes on").option("checkpoint-every").anew(),
] };
