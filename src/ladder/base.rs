//! What ties a run, or a library of lessons, to its base model beside the weights.

use serde_json::{Map, Value, json};

use super::learner::Language;
use crate::Result;
use crate::model::config::ModelConfig;
use crate::task::PromptStyle;
use crate::train::fingerprint::sha256;
use crate::train::resume::differences;

/// What becomes of a text before the model reads it, in a context of so many tokens, and where its answers end. Texts that are
/// long are told by hashes.
///
/// # Errors
/// Those of the tokenizer.
pub fn wording(language: &Language, config: &ModelConfig, context: usize) -> Result<Map<String, Value>> {
    let mut wording = Map::new();
    let mut put = |name: &str, value: Value| wording.insert(name.into(), value);
    put("bos_token_id", json!(config.bos_token_id));
    put("eos_token_id", json!(config.eos_token_ids));
    put("context length", json!(context));
    put("tokenizer", sha256(language.tokenizer.to_json()?.as_bytes()).into());
    put("prompt style", json!(language.style()));
    if let (PromptStyle::Instruct, Some(chat)) = (language.style(), &language.chat) {
        put("chat_template", sha256(chat.text().unwrap_or_default().as_bytes()).into());
    }
    Ok(wording)
}

/// The first of the values in `new` that `old` has otherwise: its path, the old and the new one.
pub fn first_difference(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Option<(String, Value, Value)> {
    new.iter().find_map(|(name, new)| {
        let (path, old, new) = differences(old.get(name)?, new).into_iter().next()?;
        Some((if path.is_empty() { name.clone() } else { format!("{name}.{path}") }, old, new))
    })
}
