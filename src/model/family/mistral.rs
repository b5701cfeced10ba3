//! Mistral: Llama with a window, and Ministral 3 with YaRN.

use serde_json::json;

use super::window::{self, SlidingWindow};
use super::{Family, Fields, PLAIN, llama};
use crate::Result;

/// Mistral 7B, Nemo, and Ministral 8B. What GGUF files call `llama` is [`llama::FAMILY`], without the window, as llama.cpp has it.
pub const FAMILY: Family = Family {
    name: "mistral",
    architectures: &["MistralForCausalLM", "MinistralForCausalLM"],
    gguf_architecture: "llama",
    tensors: llama::TENSORS,
    gguf_interleaves_qk: true,
    // transformers' `MistralConfig`.
    defaults: || json!({"num_key_value_heads": 8, "max_position_embeddings": 131_072}),
    window: of_mistral,
    check: llama::FAMILY.check,
    ..PLAIN
};

/// Ministral 3, of those that see the text part.
pub const MINISTRAL3: Family = Family {
    name: "ministral3",
    architectures: &["Ministral3ForCausalLM", "Mistral3ForConditionalGeneration"],
    gguf_architecture: "mistral3",
    skipped: &[
        "vision_tower.",
        "model.vision_tower.",
        "multi_modal_projector.",
        "model.multi_modal_projector.",
    ],
    // transformers' `Ministral3Config`.
    defaults: || {
        json!({
            "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262_144, "rms_norm_eps": 1e-5,
            "sliding_window": null,
            "rope_parameters": {
                "type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16_384,
                "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
            },
        })
    },
    check,
    ..FAMILY
};

fn of_mistral(fields: &Fields<'_>) -> Result<Option<SlidingWindow>> {
    window::in_all(fields, Some(4096))
}

fn check(fields: &Fields<'_>) -> Result<()> {
    match fields.text("model_type")? {
        // Mistral Small 3 is below the same class.
        Some(other) if other != "ministral3" => {
            let problem = format!("text models of type {other:?} are not supported in this class");
            Err(fields.error("model_type", problem, "use a model whose text_config has ministral3"))
        }
        _ => (FAMILY.check)(fields),
    }
}
