//! The tensors that a configuration calls for, and the check of a source against them.

use std::collections::HashMap;
use std::path::Path;

use super::names::{EMBEDDING, HEAD};
use super::{TensorInfo, TensorSource, quant};
use crate::model::config::ModelConfig;
use crate::{Error, Result};

/// Errors if `bytes`, which were read from tensor `index` of `source`, hold a number that is not finite or absurdly large: it would
/// make the model's every answer one of chance.
///
/// # Errors
/// `Input` naming the tensor.
pub fn check_finite(source: &dyn TensorSource, index: usize, bytes: &[u8]) -> Result<()> {
    let info = &source.tensors()[index];
    match quant::all_usable(info.dtype, bytes) {
        true => Ok(()),
        false => Err(Error::input(
            source.name(),
            &info.name,
            "holds a number that is not finite, or so large that its square is not",
            "the training or merge that made it overflowed or diverged; use an earlier or the original model",
        )),
    }
}

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

/// Checks that `source` holds exactly the tensors that `config` calls for, each with its shape.
///
/// A stored copy of a tied head is no contradiction.
///
/// # Errors
/// `Input` naming the tensor that is missing, has another shape or is not called for.
pub fn check(config: &ModelConfig, source: &dyn TensorSource) -> Result<()> {
    let file = source.name();
    let file = Path::new(&file);
    let found: HashMap<&str, &TensorInfo> =
        source.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let expected = expected(config);
    for (name, shape) in &expected {
        let Some(tensor) = found.get(name.as_str()) else {
            let hint = if name == HEAD {
                "set tie_word_embeddings to true if the head is the embedding, or take the complete model"
            } else {
                "take the complete model, with the config.json that belongs to it"
            };
            return Err(Error::input(file, name, "the tensor is missing", hint));
        };
        if tensor.shape != *shape {
            let problem = format!("has shape {:?} where the configuration calls for {shape:?}", tensor.shape);
            return Err(Error::input(
                file,
                name,
                problem,
                "take config.json and weights from the same model",
            ));
        }
    }
    let known: std::collections::HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    for tensor in source.tensors() {
        let name = tensor.name.as_str();
        if name != HEAD && !known.contains(name) {
            return Err(Error::input(
                file,
                name,
                "the configuration does not call for this tensor",
                "take config.json and weights from the same model; adapters go to --adapter",
            ));
        }
    }
    Ok(())
}
