//! Reading a Hugging Face `config.json`, as transformers 4 and 5 write it.

use std::path::Path;

use serde_json::{Map, Value};

use super::advice::SamplingAdvice;
use super::fields::Fields;
use super::quantised::Stored;
use super::{ModelConfig, Multipliers, known, nested, quantised, rope};
use crate::model::family::{self, Activation, Family};
use crate::{Error, Result, json};

/// Reads and checks the text of a `config.json`; `file` is for messages.
///
/// Takes `rope_theta` with `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5).
///
/// # Errors
/// `Input` for anything missing, contradictory or unsupported.
pub fn parse(file: &Path, text: &str) -> Result<ModelConfig> {
    Ok(parse_stored(file, text)?.0)
}

/// The same, and how the weights are stored.
///
/// # Errors
/// As above.
pub fn parse_stored(file: &Path, text: &str) -> Result<(ModelConfig, Stored)> {
    let map: Map<String, Value> = json::from_str(text).map_err(|error| {
        Error::input(
            file,
            format!("line {}", error.line()),
            error.to_string(),
            "take the original config.json",
        )
    })?;
    let family = family::by_architecture(file, architecture(&Fields::new(file, "", &map))?)?;
    let mut map = nested::text_part(file, map)?;
    if let Value::Object(defaults) = (family.defaults)() {
        // A key that is null is not one that is missing: then sizes follow from others.
        let is_scaled = map.get("rope_scaling").is_some_and(|value| !value.is_null());
        for (name, value) in defaults.into_iter().filter(|(name, _)| name != rope::PARAMETERS || !is_scaled) {
            map.entry(name).or_insert(value);
        }
    }
    let fields = Fields::new(file, "", &map);
    // Read above, before the text's part was taken out.
    fields.get("architectures");
    (family.check)(&fields)?;
    reject_unsupported(family, &fields)?;
    let stored = quantised::check(&fields)?;

    let hidden_size = fields.required_count("hidden_size")?;
    let num_heads = fields.required_count("num_attention_heads")?;
    let head_dim = match fields.count("head_dim")? {
        Some(head_dim) => head_dim,
        None if num_heads > 0 && hidden_size.is_multiple_of(num_heads) => hidden_size / num_heads,
        None => {
            let problem =
                format!("{num_heads} does not divide hidden_size {hidden_size} and there is no head_dim");
            return Err(fields.error("num_attention_heads", problem, "take the original config.json"));
        }
    };
    let sliding_window = (family.window)(&fields)?;
    let rope::Ropes { rope, local: local_rope } = rope::ropes(&fields, family)?;
    let longest = fields.required_count("max_position_embeddings")?;
    let tempered = rope::evenly_tempered(&fields, &rope)?;
    let config = ModelConfig {
        family,
        vocab_size: fields.required_count("vocab_size")?,
        hidden_size,
        intermediate_size: fields.required_count(family.width_key)?,
        num_layers: fields.required_count("num_hidden_layers")?,
        num_heads,
        num_kv_heads: fields.count("num_key_value_heads")?.unwrap_or(num_heads),
        head_dim,
        attention_scale: attention_scale(family, &fields, head_dim)?,
        multipliers: multipliers(family, &fields, hidden_size)?,
        sliding_window,
        rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        turned: rope::turned(&fields, family, head_dim)?,
        max_position_embeddings: longest.min(tempered.or(rope.reach()).unwrap_or(longest)),
        tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        rope,
        local_rope,
        bos_token_id: fields.token_ids("bos_token_id")?.first().copied(),
        eos_token_ids: fields.token_ids("eos_token_id")?,
    };
    known::reject_other_values(&fields)?;
    fields.finish(known::HARMLESS)?;
    config.validate(file)?;
    Ok((config, stored))
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

/// What attention's scores are multiplied with, where that is not by the head's size.
fn attention_scale(family: &Family, fields: &Fields<'_>, head_dim: usize) -> Result<Option<f32>> {
    if family.multiplies {
        return match fields.number("attention_multiplier")?.unwrap_or(1.0) {
            scale if scale > 0.0 => Ok(Some(scale as f32)),
            _ => {
                Err(fields.error("attention_multiplier", "must be above 0", "take the original config.json"))
            }
        };
    }
    let Some(key) = family.scale_key else { return Ok(None) };
    match fields.number(key)? {
        Some(size) if size <= 0.0 => {
            Err(fields.error(key, "must be above 0", "take the original config.json"))
        }
        Some(size) if size != head_dim as f64 => Ok(Some(size.powf(-0.5) as f32)),
        _ => Ok(None),
    }
}

/// What else is multiplied; absent is 1.
fn multipliers(family: &Family, fields: &Fields<'_>, hidden_size: usize) -> Result<Multipliers> {
    let mut multipliers = Multipliers::of(family, hidden_size);
    if family.multiplies {
        for (name, place) in [
            ("embedding_multiplier", &mut multipliers.embedding),
            ("residual_multiplier", &mut multipliers.residual),
            ("logits_scaling", &mut multipliers.logits),
        ] {
            *place = fields.number(name)?.unwrap_or(*place);
        }
    }
    Ok(multipliers)
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
fn reject_unsupported(family: &Family, fields: &Fields<'_>) -> Result<()> {
    if family.activation == Activation::Silu
        && let Some(activation) = fields.text("hidden_act")?
        && activation != "silu"
        && activation != "swish"
    {
        let problem = format!("activation {activation:?} is not supported");
        return Err(fields.error("hidden_act", problem, "use a model with silu"));
    }
    Ok(())
}
