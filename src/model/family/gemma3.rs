//! Gemma 3, the text part: norms on both sides of either half, GeGLU, q/k norms, and windows with a RoPE of their own.

use serde_json::json;

use super::tensors::{
    ATTENTION_NORM, DOWN, EMBEDDING, FINAL_NORM, GATE, HEAD, K, K_NORM, MLP_NORM, O, POST_ATTENTION_NORM,
    POST_MLP_NORM, Q, Q_NORM, Tensor, UP, V,
};
use super::{Activation, Family, Fields, PLAIN, window};
use crate::Result;
use crate::model::config::fields::is_off;

/// Norms before and after attention and MLP, q/k norms, no biases.
pub const FAMILY: Family = Family {
    name: "gemma3_text",
    architectures: &["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"],
    gguf_architecture: "gemma3",
    tensors: TENSORS,
    // What the models that see have besides; text alone goes past it.
    skipped: &[
        "vision_tower.",
        "model.vision_tower.",
        "multi_modal_projector.",
        "model.multi_modal_projector.",
    ],
    activation: Activation::GeluTanh,
    norm_offset: 1.0,
    scales_embedding: true,
    scale_key: Some("query_pre_attn_scalar"),
    // llama.cpp knows the 27B by its layers.
    gguf_wide_heads: Some(62),
    window: |fields| window::alternating(fields, &FAMILY, 4096),
    full_every: Some(6),
    rope_theta: 1e6,
    local_theta: Some(("rope_local_base_freq", 1e4)),
    // transformers' `Gemma3TextConfig`.
    defaults: || {
        json!({
            "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "query_pre_attn_scalar": 256,
            "max_position_embeddings": 131_072, "tie_word_embeddings": true, "bos_token_id": 2, "eos_token_id": 1,
        })
    },
    check,
    ..PLAIN
};

const TENSORS: &[Tensor] = &[
    EMBEDDING,
    ATTENTION_NORM,
    Q,
    K,
    V,
    Q_NORM,
    K_NORM,
    O,
    POST_ATTENTION_NORM,
    Tensor { hf: "pre_feedforward_layernorm", ..MLP_NORM },
    GATE,
    UP,
    DOWN,
    POST_MLP_NORM,
    FINAL_NORM,
    HEAD,
];

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")?;
    if fields.get("use_bidirectional_attention").is_some_and(|value| !is_off(value)) {
        let problem = "attention to later tokens is not supported";
        return Err(fields.error("use_bidirectional_attention", problem, "use a model that writes text"));
    }
    // transformers looks at `hidden_activation`; what `hidden_act` says in these files counts for nothing.
    fields.get("hidden_act");
    match fields.text("hidden_activation")? {
        None | Some("gelu_pytorch_tanh") => Ok(()),
        Some(other) => {
            let problem = format!("activation {other:?} is not supported");
            Err(fields.error("hidden_activation", problem, "use a model with gelu_pytorch_tanh"))
        }
    }
}
