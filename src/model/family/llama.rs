//! Llama: Llama 2 and 3.x, SmolLM2, TinyLlama, and Mistral without a sliding window.

use super::{Family, Fields};
use crate::Result;

/// No biases, no q/k norms.
pub const FAMILY: Family = Family {
    name: "llama",
    architectures: &["LlamaForCausalLM", "MistralForCausalLM"],
    gguf_architecture: "llama",
    attention_bias: false,
    qk_norm: false,
    gguf_interleaves_qk: true,
    check,
};

fn check(fields: &Fields<'_>) -> Result<()> {
    // With attention_bias the output projection has a bias too, which the forward pass does not add.
    fields.reject_flag("attention_bias", "a bias on the attention's output projection")?;
    fields.reject_flag("mlp_bias", "a bias in the MLP")?;
    fields.reject_flag("rope_interleaved", "RoPE on interleaved pairs")?;
    fields.reject_sliding_window()
}
