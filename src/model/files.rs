//! The text files that belong to a model's weights in a Hugging Face folder. Native only.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::chat::ChatTemplate;
use super::config::nested::{TEXT, text_part};
use super::config::quantised;
use super::config::rope::PARAMETERS;
use super::config::{ModelConfig, Multipliers};
use super::family::{Activation, Family};
use super::open::{ADDITIONAL_TEMPLATES, MAX_TEXT};
use super::source::bytes::{read_bytes, read_text};
use super::tokenizer::Tokenizer;
use crate::{Error, Result, json};

/// Files that are copied as they are, where a model has them.
const COPIED: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];

/// The names of all files that [`copied`] and [`made`] give, and of the folder that some are in.
pub fn names() -> impl Iterator<Item = &'static str> {
    ["config.json", ADDITIONAL_TEMPLATES].into_iter().chain(COPIED)
}

/// Names and texts of the templates in a model's folder that go by names, `additional_chat_templates/NAME.jinja`.
pub(super) fn additional_templates(folder: &Path) -> Result<Vec<(String, String)>> {
    let folder = folder.join(ADDITIONAL_TEMPLATES);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| Some(file.strip_suffix(".jinja")?.to_string()))
        .collect();
    names.sort_unstable();
    let text = |name: &String| read_text(&folder.join(format!("{name}.jinja")), MAX_TEXT);
    names.into_iter().map(|name| text(&name).map(|text| (name, text))).collect()
}

/// The files of the model of `family` in `folder` as (name, contents), for weights that are F32 and have a head of their own unless `tied`.
///
/// # Errors
/// [`Error::Io`], and [`Error::Input`] if `config.json` is not JSON.
pub fn copied(folder: &Path, family: &Family, tied: bool) -> Result<Vec<(String, Vec<u8>)>> {
    let path = folder.join("config.json");
    let text = read_text(&path, MAX_TEXT)?;
    let config: Map<String, Value> = json::from_str(&text).map_err(|error| {
        let field = format!("line {}", error.line());
        Error::input(&path, field, error.to_string(), "take the model's original file")
    })?;
    let nested = config.contains_key(TEXT);
    let mut config = text_part(&path, config)?;
    if nested {
        // What is written has the text's tensors only, under the names that they have without the other parts.
        config.insert("architectures".into(), json!(&family.architectures[..1]));
        config.insert("model_type".into(), json!(family.name));
    }
    for name in ["torch_dtype", "dtype"] {
        if config.contains_key(name) {
            config.insert(name.into(), json!("float32"));
        }
    }
    config.retain(|key, _| !quantised::KEYS.contains(&key.as_str()));
    config.insert("tie_word_embeddings".into(), json!(tied));
    let mut files = vec![("config.json".to_owned(), pretty(&config.into()))];
    for name in COPIED {
        let path = folder.join(name);
        if path.exists() {
            files.push((name.to_owned(), read_bytes(&path, MAX_TEXT)?));
        }
    }
    for (name, text) in additional_templates(folder)? {
        files.push((format!("{ADDITIONAL_TEMPLATES}/{name}.jinja"), text.into_bytes()));
    }
    Ok(files)
}

/// The same for a model that did not come as such a folder.
///
/// # Errors
/// [`Error::Usage`] if its position embedding has no form in `config.json`, [`Error::Input`] if its tokenizer has none.
pub fn made(
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    chat: Option<&ChatTemplate>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let ends = match config.eos_token_ids.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token(config.bos_token_id),
        "eos_token": token(config.eos_token_ids.first().copied()),
        "chat_template": chat.and_then(ChatTemplate::text),
        "clean_up_tokenization_spaces": false,
        "model_max_length": config.stated_length(),
    });
    let files = [
        ("config.json", pretty(&config_json(config, &ends)?)),
        ("generation_config.json", pretty(&json!({ "eos_token_id": ends }))),
        ("tokenizer.json", tokenizer.to_json()?.into_bytes()),
        ("tokenizer_config.json", pretty(&tokenizer_config)),
    ];
    let mut files: Vec<(String, Vec<u8>)> = files.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    for (name, text) in chat.into_iter().flat_map(ChatTemplate::named_texts) {
        let plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::usage(
                "model",
                format!("its chat template {name:?} has a name that is none of a file"),
                "export from the Hugging Face folder of the same model",
            ));
        }
        files.push((format!("{ADDITIONAL_TEMPLATES}/{name}.jinja"), text.as_bytes().to_vec()));
    }
    Ok(files)
}

fn config_json(config: &ModelConfig, ends: &Value) -> Result<Value> {
    let scaling = config.rope.scaling.config_json().ok_or_else(|| {
        Error::usage(
            "model",
            "its rope_freqs have no form in a config.json",
            "export from the Hugging Face folder of the same model",
        )
    })?;
    let has_default = (config.family.defaults)().get(PARAMETERS).is_some();
    let scaling = if scaling.is_null() && has_default { json!({ "rope_type": "default" }) } else { scaling };
    let windows = config.sliding_window.as_ref();
    let types = |layers: &[bool]| {
        let kind = |&sliding: &bool| if sliding { "sliding_attention" } else { "full_attention" };
        json!(layers.iter().map(kind).collect::<Vec<_>>())
    };
    let mut value = json!({
        "architectures": &config.family.architectures[..1],
        "model_type": config.family.name,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": f64::from(config.rms_norm_eps),
        "rope_theta": config.rope.theta,
        "rope_scaling": scaling,
        "max_position_embeddings": config.stated_length(),
        "tie_word_embeddings": config.tie_word_embeddings,
        "sliding_window": windows.map(|window| window.size),
        "layer_types": windows.map(|window| types(&window.layers)),
        "attention_bias": config.attention_bias(),
        "mlp_bias": false,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": ends,
        "torch_dtype": "float32",
        "use_cache": true,
    });
    if config.family.activation == Activation::GeluTanh {
        value["hidden_act"] = json!("gelu_pytorch_tanh");
        value["hidden_activation"] = json!("gelu_pytorch_tanh");
    }
    if let Some(key) = config.family.scale_key {
        // The number is a whole one, which the scale in f32 may not give back to the last digit.
        let size = config.attention_scale.map(|scale| f64::from(scale).powi(-2).round() as usize);
        value[key] = json!(size.unwrap_or(config.head_dim));
    }
    if let Some((key, _)) = config.family.local_theta {
        // A window that holds every sequence is none here, but its layers have a RoPE of their own.
        let local = config.local_rope.as_ref();
        let layers = local.map_or_else(|| vec![false; config.num_layers], |local| local.layers.clone());
        value["layer_types"] = types(&layers);
        value["sliding_window"] = json!(config.whole_length());
        if let Some(rope) = local.and_then(|local| local.rope.as_ref()) {
            value[key] = json!(rope.theta);
        }
    }
    if config.family.multiplies {
        let Multipliers { embedding, residual, logits } = config.multipliers;
        let scale = config.attention_scale.unwrap_or_else(|| 1.0 / (config.head_dim as f32).sqrt());
        for (name, number) in [
            ("embedding_multiplier", embedding),
            ("residual_multiplier", residual),
            ("logits_scaling", logits),
            ("attention_multiplier", f64::from(scale)),
        ] {
            value[name] = json!(number);
        }
    }
    if config.family.partial_rope {
        value["partial_rotary_factor"] = json!(config.turned as f64 / config.head_dim as f64);
        value["original_max_position_embeddings"] =
            json!(config.rope.reach().unwrap_or(config.stated_length()));
    }
    if config.family.unrotated_every.is_some() {
        let rotates = |layer| u8::from(!config.is_local(layer));
        value["no_rope_layers"] = json!((0..config.num_layers).map(rotates).collect::<Vec<_>>());
    }
    Ok(value)
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}
