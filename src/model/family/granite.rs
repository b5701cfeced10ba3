//! Granite 3, and Granite 4 without experts and state space layers as GGUF files: Llama with multipliers.

use super::{Family, Fields, PLAIN, llama};
use crate::Result;

/// No biases, no q/k norms; embeddings, scores, what either half adds, and logits are multiplied.
pub const FAMILY: Family = Family {
    name: "granite",
    architectures: &["GraniteForCausalLM"],
    gguf_architecture: "granite",
    tensors: llama::TENSORS,
    gguf_interleaves_qk: true,
    multiplies: true,
    check,
    ..PLAIN
};

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")?;
    fields.reject_flag("mlp_bias", "a bias in the MLP")
}
