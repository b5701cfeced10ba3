//! Reading a Hugging Face `config.json`, as transformers 4 and 5 write it.

use std::path::Path;

use serde_json::{Map, Value};

use super::advice::SamplingAdvice;
use super::fields::{Fields, is_off};
use super::{ModelConfig, known, rope};
use crate::model::family;
use crate::{Error, Result, json};

/// Reads and checks the text of a `config.json`; `file` is for messages.
///
/// Takes `rope_theta` with `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5).
///
/// # Errors
/// `Input` for anything missing, contradictory or unsupported.
pub fn parse(file: &Path, text: &str) -> Result<ModelConfig> {
    let map: Map<String, Value> = json::from_str(text).map_err(|error| {
        Error::input(
            file,
            format!("line {}", error.line()),
            error.to_string(),
            "take the original config.json",
        )
    })?;
    let fields = Fields::new(file, "", &map);
    let family = family::by_architecture(file, architecture(&fields)?)?;
    (family.check)(&fields)?;
    reject_unsupported(&fields)?;

    let hidden_size = fields.required_count("hidden_size")?;
    let num_heads = fields.required_count("num_attention_heads")?;
    // A key that is null is not one that is missing: then the sizes follow from the others.
    let absent = |name: &str, default: Option<usize>| default.filter(|_| !map.contains_key(name));
    let head_dim = match fields.count("head_dim")?.or(absent("head_dim", family.head_dim)) {
        Some(head_dim) => head_dim,
        None if num_heads > 0 && hidden_size.is_multiple_of(num_heads) => hidden_size / num_heads,
        None => {
            let problem =
                format!("{num_heads} does not divide hidden_size {hidden_size} and there is no head_dim");
            return Err(fields.error("num_attention_heads", problem, "take the original config.json"));
        }
    };
    let sliding_window = (family.window)(&fields)?;
    let config = ModelConfig {
        family,
        vocab_size: fields.required_count("vocab_size")?,
        hidden_size,
        intermediate_size: fields.required_count("intermediate_size")?,
        num_layers: fields.required_count("num_hidden_layers")?,
        num_heads,
        num_kv_heads: fields
            .count("num_key_value_heads")?
            .or(absent("num_key_value_heads", family.num_kv_heads))
            .unwrap_or(num_heads),
        head_dim,
        attention_scale: None,
        sliding_window,
        rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        max_position_embeddings: fields.required_count("max_position_embeddings")?,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        rope: rope::rope(&fields)?,
        bos_token_id: fields.token_ids("bos_token_id")?.first().copied(),
        eos_token_ids: fields.token_ids("eos_token_id")?,
    };
    fields.finish(known::HARMLESS)?;
    config.validate(file)?;
    Ok(config)
}

/// What a `generation_config.json` says.
#[derive(Debug)]
pub struct Generation {
    /// End tokens, of which chat models name more there than in `config.json`.
    pub ends: Vec<u32>,
    /// How to draw tokens.
    pub advice: SamplingAdvice,
    /// Fields that have no effect here though they may have one elsewhere, or that mean nothing.
    pub unknown: Vec<String>,
}

/// Reads the text of a `generation_config.json`; `file` is for messages.
///
/// # Errors
/// `Input` if the text is not JSON or end tokens are not token ids.
pub fn generation(file: &Path, text: &str) -> Result<Generation> {
    let map: Map<String, Value> = json::from_str(text).map_err(|error| {
        Error::input(file, format!("line {}", error.line()), error.to_string(), "take the original file")
    })?;
    let fields = Fields::new(file, "", &map);
    let ends = fields.token_ids("eos_token_id")?;
    let (advice, mut unknown) = SamplingAdvice::read(&fields);
    let rest = fields.rest(&[known::HARMLESS, known::GENERATION].concat());
    unknown.extend(rest.into_iter().map(|(name, _)| name.to_owned()));
    Ok(Generation { ends, advice, unknown })
}

fn architecture<'a>(fields: &Fields<'a>) -> Result<&'a str> {
    let names = fields.get("architectures").and_then(Value::as_array);
    match names.map(Vec::as_slice) {
        Some([Value::String(name)]) => Ok(name),
        _ => Err(fields.error(
            "architectures",
            "must be a list of one name, such as [\"LlamaForCausalLM\"]",
            "take the original config.json",
        )),
    }
}

/// Rejects what no family here does; silently ignoring any of it would give wrong logits.
fn reject_unsupported(fields: &Fields<'_>) -> Result<()> {
    if let Some(activation) = fields.text("hidden_act")?
        && activation != "silu"
        && activation != "swish"
    {
        let problem = format!("activation {activation:?} is not supported");
        return Err(fields.error("hidden_act", problem, "use a model with silu"));
    }
    if fields.get("quantization_config").is_some_and(|value| !is_off(value)) {
        return Err(fields.error(
            "quantization_config",
            "pre-quantised safetensors (GPTQ, AWQ, bitsandbytes, FP8) are not supported",
            "use the unquantised model, or a GGUF file of it",
        ));
    }
    known::reject_other_values(fields)
}
