//! A model's configuration from GGUF metadata.

use super::{ModelConfig, Rope, RopeScaling};
use crate::Result;
use crate::model::family::Family;
use crate::model::source::TensorInfo;
use crate::model::source::gguf::{Metadata, Value};

/// Reads the configuration of a model of `family`; `tensors` are those of the file under their GGUF names, `divisors`
/// the contents of `rope_freqs.weight` if there is one.
///
/// # Errors
/// `Input` for anything missing, contradictory or unsupported.
pub fn parse<'a>(
    family: &'static Family,
    metadata: &Metadata,
    tensors: impl Iterator<Item = &'a TensorInfo>,
    divisors: Option<Vec<f32>>,
) -> Result<ModelConfig> {
    let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
    let required = |name: &str| metadata.required_count(&key(name));
    let (mut vocab_size, mut has_head) = (None, false);
    for tensor in tensors {
        match tensor.name.as_str() {
            "token_embd.weight" => vocab_size = Some(tensor.rows()),
            "output.weight" => has_head = true,
            _ => {}
        }
    }
    let Some(vocab_size) = vocab_size else {
        return Err(metadata.error("token_embd.weight", "the tensor is missing", "take the complete model"));
    };
    reject_unsupported(family, metadata)?;

    let hidden_size = required("embedding_length")?;
    let num_heads = required("attention.head_count")?;
    let head_dim = match metadata.count(&key("attention.key_length"))? {
        Some(head_dim) => head_dim,
        None if num_heads > 0 && hidden_size.is_multiple_of(num_heads) => hidden_size / num_heads,
        None => {
            let problem = format!("{num_heads} does not divide the embedding length {hidden_size}");
            return Err(metadata.error(&key("attention.head_count"), problem, "convert the model again"));
        }
    };
    for name in ["rope.dimension_count", "attention.value_length"] {
        if metadata.count(&key(name))?.is_some_and(|size| size != head_dim) {
            let problem = format!("differs from the head size {head_dim}, which is not supported");
            return Err(metadata.error(&key(name), problem, "use another model"));
        }
    }
    let id = |name: &str| Ok(metadata.count(name)?.and_then(|id| u32::try_from(id).ok()));
    let mut eos_token_ids: Vec<u32> = Vec::new();
    for name in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
        if let Some(token) = id(name)?
            && !eos_token_ids.contains(&token)
        {
            eos_token_ids.push(token);
        }
    }
    let config = ModelConfig {
        family,
        vocab_size,
        hidden_size,
        intermediate_size: required("feed_forward_length")?,
        num_layers: required("block_count")?,
        num_heads,
        num_kv_heads: kv_heads(metadata, &key("attention.head_count_kv"))?.unwrap_or(num_heads),
        head_dim,
        rms_norm_eps: metadata.number(&key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-6) as f32,
        max_position_embeddings: required("context_length")?,
        tie_word_embeddings: !has_head,
        rope: rope(family, metadata, divisors)?,
        attention_bias: family.attention_bias,
        qk_norm: family.qk_norm,
        bos_token_id: id("tokenizer.ggml.bos_token_id")?,
        eos_token_ids,
    };
    config.validate(&metadata.file)?;
    Ok(config)
}

fn reject_unsupported(family: &Family, metadata: &Metadata) -> Result<()> {
    let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
    if metadata.count(&key("expert_count"))?.is_some_and(|experts| experts > 0) {
        let problem = "mixtures of experts are not supported";
        return Err(metadata.error(&key("expert_count"), problem, "use a dense model"));
    }
    let window = metadata.count(&key("attention.sliding_window"))?.unwrap_or(0);
    if window > 0 && window < metadata.required_count(&key("context_length"))? {
        let problem = format!("sliding-window attention of {window} positions is not supported");
        return Err(metadata.error(&key("attention.sliding_window"), problem, "use another model"));
    }
    Ok(())
}

/// Key and value heads, one number or an array with the same number for every layer.
fn kv_heads(metadata: &Metadata, key: &str) -> Result<Option<usize>> {
    if !matches!(metadata.get(key), Some(Value::Ints(_))) {
        return metadata.count(key);
    }
    let heads = metadata.ints(key)?.unwrap_or_default();
    match heads.first() {
        Some(&first) if heads.iter().all(|&count| count == first) => Ok(usize::try_from(first).ok()),
        _ => Err(metadata.error(key, "differs between layers, which is not supported", "use another model")),
    }
}

fn rope(family: &Family, metadata: &Metadata, divisors: Option<Vec<f32>>) -> Result<Rope> {
    let key = |name: &str| format!("{}.rope.{name}", family.gguf_architecture);
    let theta = metadata.number(&key("freq_base"))?.unwrap_or(10_000.0);
    let scaling = match metadata.text(&key("scaling.type"))?.unwrap_or("none") {
        "none" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: metadata.number(&key("scaling.factor"))?.unwrap_or(1.0) },
        other => {
            let problem = format!("RoPE scaling {other:?} is not supported");
            return Err(metadata.error(&key("scaling.type"), problem, "use a model with none or linear"));
        }
    };
    let scaling = match (scaling, divisors) {
        (RopeScaling::None, Some(divisors)) => RopeScaling::Divisors(divisors),
        (scaling, None) => scaling,
        (_, Some(_)) => {
            let problem = "contradicts rope_freqs.weight, which scales RoPE already";
            return Err(metadata.error(&key("scaling.type"), problem, "convert the model again"));
        }
    };
    Ok(Rope { theta, scaling })
}
