//! Qwen2 and Qwen2.5: biases on q, k and v.

use serde_json::json;

use super::tensors::{
    ATTENTION_NORM, DOWN, EMBEDDING, FINAL_NORM, GATE, HEAD, K, K_BIAS, MLP_NORM, O, Q, Q_BIAS, Tensor, UP,
    V, V_BIAS,
};
use super::{Family, Fields, PLAIN, window};
use crate::Result;

/// q, k and v have biases; no q/k norms.
pub const FAMILY: Family = Family {
    name: "qwen2",
    architectures: &["Qwen2ForCausalLM"],
    gguf_architecture: "qwen2",
    tensors: TENSORS,
    defaults: || json!({"num_key_value_heads": 32}),
    window: window::switched,
    check,
    ..PLAIN
};

const TENSORS: &[Tensor] = &[
    EMBEDDING,
    ATTENTION_NORM,
    Q,
    Q_BIAS,
    K,
    K_BIAS,
    V,
    V_BIAS,
    O,
    MLP_NORM,
    GATE,
    UP,
    DOWN,
    FINAL_NORM,
    HEAD,
];

fn check(fields: &Fields<'_>) -> Result<()> {
    // The biases are always there, whatever this says.
    fields.flag("attention_bias")?;
    Ok(())
}
