//! What a `config.json` says of weights that are stored in blocks. MLX's groups and 8-bit floats with scales are
//! read; which matrices are stored so, and how wide groups are, their tensors say.

use super::fields::{Fields, Harmless, is_off};
use crate::Result;
use crate::model::source::scaled::BLOCK;

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
        if text("quant_method") == Some("fp8")
            && let Some(map) = value.as_object()
        {
            let prefix = format!("{}{key}.", fields.prefix);
            check_fp8(&Fields::new(fields.file, &prefix, map))?;
            continue;
        }
        let way = text("quant_method").or(text("mode")).unwrap_or("an unknown way");
        let bits = value["bits"].as_u64().map(|bits| format!(" in {bits} bits")).unwrap_or_default();
        return Err(fields.error(
            key,
            format!(
                "safetensors quantised by {way}{bits} are not supported, only MLX's groups in 4 or 8 bits and fp8"
            ),
            "use the unquantised model, or a GGUF file of it",
        ));
    }
    Ok(())
}

/// What changes no value of 8-bit floats.
const FP8_HARMLESS: &[Harmless] = &[
    Harmless { reason: "inputs of matrices are not rounded here", names: &["activation_scheme"] },
    Harmless {
        reason: "the tensors say which are stored so, and programs may decode them when they load",
        names: &["modules_to_not_convert", "ignored_layers", "dequantize"],
    },
];

/// Refuses what is not F8_E4M3 with scales that are numbers (transformers' `FineGrainedFP8Config`).
fn check_fp8(fields: &Fields<'_>) -> Result<()> {
    let hint = "use the model in F16 or BF16, or a GGUF file of it";
    for (key, wanted) in [("quant_method", "fp8"), ("fmt", "e4m3"), ("scale_fmt", "float")] {
        if let Some(text) = fields.text(key)?
            && text != wanted
        {
            return Err(fields.error(key, format!("is {text:?}, where {wanted:?} is read"), hint));
        }
    }
    if let Some(block) =
        fields.get("weight_block_size").filter(|block| **block != serde_json::json!([BLOCK, BLOCK]))
    {
        let problem = format!("is {block}, where blocks of {BLOCK} x {BLOCK} are read");
        return Err(fields.error("weight_block_size", problem, hint));
    }
    fields.finish(FP8_HARMLESS)
}
