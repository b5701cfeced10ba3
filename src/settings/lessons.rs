//! The settings of a library of lessons.

use super::sft::{ADAMW, CHOICE, LORA, MODULES};
use super::takes::{ANY, SOME};
use super::{Setting, Table, Takes};

/// The model's size asks for it; `src/lessons/settings.rs` says how, and where the numbers come from.
const SIZE: &str = "model";

/// Every setting of a library, in the order of the help. A library keeps what it was made with.
#[rustfmt::skip] // A row is a line, so that the table can be read as one.
pub const LESSONS: Table = Table { rows: &[
    Setting::new("lora.rank", SOME, SIZE, "rank of the adapter of a new library; alpha follows it, if it is not set too").option("rank").fitted(),
    Setting::new("learning_rate", Takes::POSITIVE, SIZE, "size of an update in a new library").option("learning-rate").fitted(),
    Setting::new("epochs", SOME, SIZE, "most times that every record is seen, in a new library").option("epochs").fitted(),
    Setting::new("seed", ANY, CHOICE, "seed of a new library").option("seed"),
    Setting::new("warmup", Takes::SHARE_BELOW_ONE, CHOICE, "share of the updates in which their size grows"),
    Setting::new("batch_size", SOME, CHOICE, "records of an update, replay included"),
    Setting::new("earlier_share", Takes::SHARE_BELOW_ONE, CHOICE, "share of an update's learnt tokens that earlier lessons get, from the second lesson on"),
    Setting::new("base_share", Takes::SHARE_BELOW_ONE, SIZE, "share of the base's own answers; with earlier_share at most 0.9").fitted(),
    Setting::new("recall", Takes::SHARE, CHOICE, "share of the facts that must be recalled, two epochs in a row, for learning to stop"),
    Setting::new("max_answer_tokens", SOME, CHOICE, "most tokens of an answer in exams"),
    Setting::new("max_length", Takes::Whole(2, u64::MAX), CHOICE, "tokens of the longest record"),
    Setting::new("optimizer.beta1", Takes::SHARE_BELOW_ONE, ADAMW, "decay of the first moment"),
    Setting::new("optimizer.beta2", Takes::SHARE_BELOW_ONE, ADAMW, "decay of the second moment"),
    Setting::new("optimizer.eps", Takes::POSITIVE, ADAMW, "added to the root of the second moment"),
    Setting::new("optimizer.weight_decay", Takes::NON_NEGATIVE, CHOICE, "pull of the adapter towards zero"),
    Setting::new("optimizer.max_grad_norm", Takes::NON_NEGATIVE, CHOICE, "largest norm of the gradient; 0 for no bound"),
    Setting::new("lora.alpha", Takes::POSITIVE, SIZE, "scale of the adapter: its output is multiplied by alpha/rank").fitted(),
    Setting::new("lora.rslora", Takes::Flag, CHOICE, "scale the adapter by alpha/sqrt(rank) instead (rsLoRA)"),
    Setting::new("lora.targets", MODULES, LORA, "linear layers that the adapter is put on"),
] };
