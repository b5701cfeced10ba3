//! Llama: Llama 2 and 3.x, SmolLM2, TinyLlama.

use super::tensors::{
    ATTENTION_NORM, DOWN, EMBEDDING, FINAL_NORM, GATE, HEAD, K, MLP_NORM, O, Q, Tensor, UP, V,
};
use super::{Family, Fields, PLAIN};
use crate::Result;

/// No biases, no q/k norms.
pub const FAMILY: Family = Family {
    name: "llama",
    architectures: &["LlamaForCausalLM"],
    gguf_architecture: "llama",
    tensors: TENSORS,
    gguf_interleaves_qk: true,
    check,
    ..PLAIN
};

pub(super) const TENSORS: &[Tensor] =
    &[EMBEDDING, ATTENTION_NORM, Q, K, V, O, MLP_NORM, GATE, UP, DOWN, FINAL_NORM, HEAD];

fn check(fields: &Fields<'_>) -> Result<()> {
    // With attention_bias the output projection has a bias too, which the forward pass does not add.
    fields.reject_flag("attention_bias", "a bias on the attention's output projection")?;
    fields.reject_flag("mlp_bias", "a bias in the MLP")?;
    fields.reject_flag("rope_interleaved", "RoPE on interleaved pairs")?;
    // What configs made from Qwen's keep; it means nothing without Qwen's switch.
    fields.count("max_window_layers")?;
    Ok(())
}
