//! OLMo 2 and 3: norms behind both halves and none before them, and norms of all query heads together and of all key heads.

use serde_json::{Value, json};

use super::tensors::{
    DOWN, Dim, EMBEDDING, FINAL_NORM, GATE, HEAD, K, K_NORM, O, POST_ATTENTION_NORM, POST_MLP_NORM, Q,
    Q_NORM, Tensor, UP, V,
};
use super::{Family, Fields, PLAIN, window};
use crate::Result;

/// OLMo 2: every layer sees everything.
pub const OLMO2: Family = Family {
    name: "olmo2",
    architectures: &["Olmo2ForCausalLM"],
    gguf_architecture: "olmo2",
    tensors: TENSORS,
    defaults,
    check,
    ..PLAIN
};

/// OLMo 3: windows with plain RoPE, and each fourth layer without one, of which alone RoPE may be scaled. GGUF files have the name of OLMo 2.
pub const OLMO3: Family = Family {
    name: "olmo3",
    architectures: &["Olmo3ForCausalLM"],
    rope_theta: 5e5,
    local_theta: Some(("rope_theta", 5e5)),
    window: |fields| window::alternating(fields, &OLMO3, 4096),
    full_every: Some(4),
    ..OLMO2
};

const TENSORS: &[Tensor] = &[
    EMBEDDING,
    Q,
    K,
    V,
    Tensor { shape: &[Dim::Queries], ..Q_NORM },
    Tensor { shape: &[Dim::Keys], ..K_NORM },
    O,
    POST_ATTENTION_NORM,
    GATE,
    UP,
    DOWN,
    POST_MLP_NORM,
    FINAL_NORM,
    HEAD,
];

/// transformers' `Olmo2Config` and `Olmo3Config`.
fn defaults() -> Value {
    json!({"rms_norm_eps": 1e-5, "max_position_embeddings": 2048})
}

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")
}
