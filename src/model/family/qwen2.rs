//! Qwen2 and Qwen2.5: biases on q, k and v.

use super::{Family, Fields, window};
use crate::Result;

/// q, k and v have biases; no q/k norms.
pub const FAMILY: Family = Family {
    name: "qwen2",
    architectures: &["Qwen2ForCausalLM"],
    gguf_architecture: "qwen2",
    attention_bias: true,
    qk_norm: false,
    gguf_interleaves_qk: false,
    num_kv_heads: Some(32),
    head_dim: None,
    check,
};

fn check(fields: &Fields<'_>) -> Result<()> {
    // The biases are always there, whatever this says.
    fields.flag("attention_bias")?;
    window::reject_switched(fields)
}
