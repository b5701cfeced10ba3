//! The part of a `config.json` that says how the text is modelled, in models that also see: there it is below `text_config`.

use std::path::Path;

use serde_json::{Map, Value};

use super::fields::{Fields, Harmless};
use super::known;
use crate::Result;

/// The key of that part.
pub const TEXT: &str = "text_config";

/// What counts outside of it too, where it does not say.
const SHARED: &[&str] = &[
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "torch_dtype",
    "dtype",
    "quantization",
    "quantization_config",
];

/// What else stands outside of it.
const OTHER_PARTS: &[Harmless] = &[Harmless {
    reason: "of what is not text: how images become tokens, and which tokens these are",
    names: &[
        "vision_config",
        "mm_tokens_per_image",
        "image_token_index",
        "image_token_id",
        "boi_token_index",
        "boi_token_id",
        "eoi_token_index",
        "eoi_token_id",
        "vision_feature_layer",
        "projector_hidden_act",
        "multimodal_projector_bias",
        "spatial_merge_size",
    ],
}];

/// The fields of a text model: those of `text_config` with what counts outside of it, or all of `map` where there is none.
///
/// # Errors
/// `Input` naming a field outside of it that may change the result and is not known here.
pub fn text_part(file: &Path, map: Map<String, Value>) -> Result<Map<String, Value>> {
    let Some(Value::Object(inner)) = map.get(TEXT) else { return Ok(map) };
    let mut text = inner.clone();
    let outer = Fields::new(file, "", &map);
    for name in ["architectures", TEXT].iter().chain(SHARED) {
        outer.get(name);
    }
    outer.finish(&[known::HARMLESS, OTHER_PARTS].concat())?;
    for &name in SHARED {
        if let (Some(value), None | Some(Value::Null)) = (map.get(name), text.get(name)) {
            text.insert(name.into(), value.clone());
        }
    }
    if let Some(names) = map.get("architectures") {
        text.insert("architectures".into(), names.clone());
    }
    Ok(text)
}
