//! Granite 3, and Granite 4 without experts and state space layers: Llama with multipliers. GGUF files of the latter have the
//! tensors of the former; in safetensors gate and up are one matrix, and what is left of its mixture of experts is named for
//! that.

use serde_json::{Value, json};

use super::tensors::{ATTENTION_NORM, Dim, EMBEDDING, FINAL_NORM, HEAD, K, MLP_NORM, O, Q, Tensor, V};
use super::{Family, Fields, PLAIN, llama};
use crate::Result;
use crate::model::module::Module;

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

/// The same with `shared_mlp.input_linear` and `shared_mlp.output_linear` (transformers' `GraniteMoeHybridForCausalLM`).
pub const GRANITE4: Family = Family {
    name: "granitemoehybrid",
    architectures: &["GraniteMoeHybridForCausalLM"],
    gguf_architecture: "",
    tensors: &[
        EMBEDDING,
        ATTENTION_NORM,
        Q,
        K,
        V,
        O,
        MLP_NORM,
        Tensor::weight(Module::Input, "ffn_up", &[Dim::GateUp, Dim::Hidden]),
        Tensor::weight(Module::Output, "ffn_down", &[Dim::Hidden, Dim::Intermediate]),
        FINAL_NORM,
        HEAD,
    ],
    width_key: "shared_intermediate_size",
    check: check_dense,
    ..FAMILY
};

/// Keys of layers and experts that the model does not have.
const OF_OTHER_LAYERS: &[&str] = &[
    "intermediate_size",
    "num_experts_per_tok",
    "router_aux_loss_coef",
    "mamba_chunk_size",
    "mamba_conv_bias",
    "mamba_d_conv",
    "mamba_d_head",
    "mamba_d_state",
    "mamba_expand",
    "mamba_n_groups",
    "mamba_n_heads",
    "mamba_proj_bias",
    "time_step_floor",
    "time_step_limit",
    "time_step_max",
    "time_step_min",
    "init_method",
];

/// Refuses state space layers, experts, and layers without RoPE, which transformers takes where the file does not say.
fn check_dense(fields: &Fields<'_>) -> Result<()> {
    check(fields)?;
    let hint = "use a Granite 4 without \"h\" in its name";
    let is_attention = |kind: &Value| matches!(kind.as_str(), Some("attention" | "full_attention"));
    let types = fields.get("layer_types").and_then(Value::as_array);
    if !types.is_some_and(|types| {
        types.len() == fields.count("num_hidden_layers").ok().flatten().unwrap_or(0)
            && types.iter().all(is_attention)
    }) {
        return Err(fields.error(
            "layer_types",
            "is not a list of \"attention\" for each layer; state space layers are not supported",
            hint,
        ));
    }
    for (name, wanted) in [
        ("num_local_experts", json!(0)),
        ("position_embedding_type", json!("rope")),
        ("normalization_function", json!("rmsnorm")),
    ] {
        let value = fields.get(name);
        // The norm is the only one of them that is so where the file does not say.
        if value != Some(&wanted) && !(value.is_none() && name == "normalization_function") {
            let value = value.map_or_else(|| "missing".to_owned(), Value::to_string);
            return Err(fields.error(name, format!("is {value}; only {wanted} is supported"), hint));
        }
    }
    for name in OF_OTHER_LAYERS {
        fields.get(name);
    }
    Ok(())
}
