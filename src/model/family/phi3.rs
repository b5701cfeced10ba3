//! Phi-3, Phi-3.5-mini, Phi-4 and Phi-4-mini: Llama with queries, keys and values as one matrix, gate and up as another.

use serde_json::json;

use super::tensors::{ATTENTION_NORM, DOWN, EMBEDDING, FINAL_NORM, GATE_UP, HEAD, MLP_NORM, O, QKV};
use super::{Family, Fields, PLAIN, window};
use crate::Result;

/// No biases, no q/k norms; RoPE of a part of each head, LongRoPE, and a window in all layers where a file says so.
pub const FAMILY: Family = Family {
    name: "phi3",
    architectures: &["Phi3ForCausalLM"],
    gguf_architecture: "phi3",
    tensors: &[EMBEDDING, ATTENTION_NORM, QKV, O, MLP_NORM, GATE_UP, DOWN, FINAL_NORM, HEAD],
    partial_rope: true,
    // transformers' `Phi3Config`.
    defaults: || {
        json!({
            "rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "original_max_position_embeddings": 4096,
            "eos_token_id": 32_000,
        })
    },
    window: |fields| window::in_all(fields, None),
    // In all layers; llama.cpp computes none for these models, and transformers does.
    full_every: Some(0),
    check,
    ..PLAIN
};

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")?;
    fields.reject_flag("mlp_bias", "a bias in the MLP")
}
