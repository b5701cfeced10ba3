//! Sliding-window attention in a `config.json`: attention here sees every position, so that a model may have one only where
//! it changes nothing.

use super::Fields;
use crate::Result;

/// Rejects a sliding window that some layer uses and that is shorter than the longest sequence. `absent` is the window that
/// transformers takes where the file does not say.
pub fn reject(fields: &Fields<'_>, absent: Option<usize>) -> Result<()> {
    let given = fields.count("sliding_window")?;
    let window = if fields.has("sliding_window") { given } else { absent };
    let longest = fields.count("max_position_embeddings")?.unwrap_or(usize::MAX);
    match window {
        Some(window) if window < longest => Err(fields.error(
            "sliding_window",
            format!("sliding-window attention of {window} positions is not supported"),
            format!(
                "use another model, or set max_position_embeddings to {window} to stay inside the window"
            ),
        )),
        _ => Ok(()),
    }
}

/// The same for Qwen, where `use_sliding_window` switches it on for the layers from `max_window_layers` on, unless
/// `layer_types` says it of each layer.
pub fn reject_switched(fields: &Fields<'_>) -> Result<()> {
    // Every Qwen config has these; they mean nothing while the switch is off.
    let first = fields.count("max_window_layers")?.unwrap_or(28);
    let layers = fields.count("num_hidden_layers")?.unwrap_or(usize::MAX);
    fields.count("sliding_window")?;
    let (on, typed) = (fields.flag("use_sliding_window")?, full_attention(fields)?);
    if on && !typed && first < layers { reject(fields, Some(4096)) } else { Ok(()) }
}

/// Whether `layer_types` says that all layers see every position; an error if it says otherwise.
pub fn full_attention(fields: &Fields<'_>) -> Result<bool> {
    let Some(types) = fields.get("layer_types").and_then(serde_json::Value::as_array) else {
        return Ok(false);
    };
    match types.iter().find(|kind| kind.as_str() != Some("full_attention")) {
        None => Ok(true),
        Some(other) => {
            let problem = format!("layers of type {other} are not supported");
            Err(fields.error("layer_types", problem, "use a model with full_attention only"))
        }
    }
}
