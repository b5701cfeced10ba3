//! SmolLM3: Llama with layers that have no position embedding.

use serde_json::json;

use super::window::{self, SlidingWindow};
use super::{Family, Fields, PLAIN, llama};
use crate::Result;

/// No biases, no q/k norms; each fourth layer without RoPE.
pub const FAMILY: Family = Family {
    name: "smollm3",
    architectures: &["SmolLM3ForCausalLM"],
    gguf_architecture: "smollm3",
    tensors: llama::TENSORS,
    // In layers without RoPE too, where it changes nothing.
    gguf_interleaves_qk: true,
    rope_theta: 2e6,
    unrotated_every: Some(4),
    // transformers' `SmolLM3Config`.
    defaults: || {
        json!({
            "num_key_value_heads": 4, "tie_word_embeddings": true, "max_position_embeddings": 32_768,
        })
    },
    window: of_config,
    check,
    ..PLAIN
};

fn check(fields: &Fields<'_>) -> Result<()> {
    fields.reject_flag("attention_bias", "a bias on the attention's projections")?;
    fields.reject_flag("mlp_bias", "a bias in the MLP")
}

/// transformers gives the layers without RoPE a window where the switch is on, which no published model has.
fn of_config(fields: &Fields<'_>) -> Result<Option<SlidingWindow>> {
    fields.reject_flag("use_sliding_window", "a window in the layers without RoPE")?;
    window::switched(fields)
}
