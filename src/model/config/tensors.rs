//! The tensors that a configuration calls for.

use super::ModelConfig;
use crate::model::source::names::{EMBEDDING, HEAD};

/// Every tensor of the model with its shape, in the order of the forward pass.
pub fn expected(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let (hidden, mlp) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.q_size(), config.kv_size());
    let mut tensors = vec![(EMBEDDING.to_string(), vec![config.vocab_size, hidden])];
    for layer in 0..config.num_layers {
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        };
        add("input_layernorm.weight", &[hidden]);
        for (projection, rows) in [("q", q), ("k", kv), ("v", kv)] {
            add(&format!("self_attn.{projection}_proj.weight"), &[rows, hidden]);
            if config.attention_bias {
                add(&format!("self_attn.{projection}_proj.bias"), &[rows]);
            }
        }
        if config.qk_norm {
            add("self_attn.q_norm.weight", &[config.head_dim]);
            add("self_attn.k_norm.weight", &[config.head_dim]);
        }
        add("self_attn.o_proj.weight", &[hidden, q]);
        add("post_attention_layernorm.weight", &[hidden]);
        add("mlp.gate_proj.weight", &[mlp, hidden]);
        add("mlp.up_proj.weight", &[mlp, hidden]);
        add("mlp.down_proj.weight", &[hidden, mlp]);
    }
    tensors.push(("model.norm.weight".to_string(), vec![hidden]));
    if !config.tie_word_embeddings {
        tensors.push((HEAD.to_string(), vec![config.vocab_size, hidden]));
    }
    tensors
}
