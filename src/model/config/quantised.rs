//! What a `config.json` says of weights that are stored in blocks. MLX's groups are read; how wide they are, their tensors say.

use super::fields::{Fields, is_off};
use crate::Result;

/// Where files say it; MLX writes both.
pub const KEYS: [&str; 2] = ["quantization", "quantization_config"];

/// Refuses ways of storing that are not read.
///
/// # Errors
/// `Input` naming the way.
pub fn check(fields: &Fields<'_>) -> Result<()> {
    for key in KEYS {
        let Some(value) = fields.get(key).filter(|value| !is_off(value)) else { continue };
        let text = |name: &str| value[name].as_str();
        let is_mlx = text("quant_method").is_none() && text("mode").is_none_or(|mode| mode == "affine");
        if is_mlx && matches!(value["bits"].as_u64(), Some(4 | 8)) && value["group_size"].is_u64() {
            continue;
        }
        let way = text("quant_method").or(text("mode")).unwrap_or("an unknown way");
        let bits = value["bits"].as_u64().map(|bits| format!(" in {bits} bits")).unwrap_or_default();
        return Err(fields.error(
            key,
            format!(
                "safetensors quantised by {way}{bits} are not supported, only MLX's groups in 4 or 8 bits"
            ),
            "use the unquantised model, or a GGUF file of it",
        ));
    }
    Ok(())
}
