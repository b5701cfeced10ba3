//! Qwen2 and Qwen2.5: biases on q, k and v.

use super::{Family, Fields};
use crate::Result;

/// q, k and v have biases; no q/k norms.
pub const FAMILY: Family = Family {
    name: "qwen2",
    architectures: &["Qwen2ForCausalLM"],
    gguf_architecture: "qwen2",
    attention_bias: true,
    qk_norm: false,
    gguf_interleaves_qk: false,
    check,
};

fn check(fields: &Fields<'_>) -> Result<()> {
    // `sliding_window` is written in every Qwen2 config and means nothing while this flag is off.
    if fields.flag("use_sliding_window")? { fields.reject_sliding_window() } else { Ok(()) }
}
