//! Granite 3, and Granite 4 without experts and state space layers as GGUF files: Llama with multipliers.

use super::tensors::{
    ATTENTION_NORM, DOWN, EMBEDDING, FINAL_NORM, GATE, HEAD, K, MLP_NORM, O, Q, Tensor, UP, V,
};
use super::{Family, Fields, PLAIN};
use crate::Result;

/// No biases, no q/k norms; embeddings, scores, what either half adds, and logits are multiplied.
pub const FAMILY: Family = Family {
    name: "granite",
    architectures: &["GraniteForCausalLM"],
    gguf_architecture: "granite",
    tensors: TENSORS,
    gguf_interleaves_qk: true,
    multiplies: true,
    check,
    ..PLAIN
};

const TENSORS: &[Tensor] =
    &[EMBEDDING, ATTENTION_NORM, Q, K, V, O, MLP_NORM, GATE, UP, DOWN, FINAL_NORM, HEAD];

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")?;
    fields.reject_flag("mlp_bias", "a bias in the MLP")
}
