//! Qwen3 (dense): RMSNorm on every q and k head, `head_dim` apart from `hidden_size`, no biases.

use serde_json::json;

use super::tensors::{
    ATTENTION_NORM, DOWN, EMBEDDING, FINAL_NORM, GATE, HEAD, K, K_NORM, MLP_NORM, O, Q, Q_NORM, Tensor, UP, V,
};
use super::{Family, Fields, PLAIN, window};
use crate::Result;

/// q/k norms, no biases.
pub const FAMILY: Family = Family {
    name: "qwen3",
    architectures: &["Qwen3ForCausalLM"],
    gguf_architecture: "qwen3",
    tensors: TENSORS,
    defaults: || json!({"num_key_value_heads": 32, "head_dim": 128}),
    window: window::switched,
    check,
    ..PLAIN
};

const TENSORS: &[Tensor] =
    &[EMBEDDING, ATTENTION_NORM, Q, K, V, Q_NORM, K_NORM, O, MLP_NORM, GATE, UP, DOWN, FINAL_NORM, HEAD];

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")
}
