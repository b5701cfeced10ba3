//! What a `config.json` says of weights that are not stored as floats of 16 bits or more. Which matrices are stored so, in how many
//! bits and how wide groups are, their tensors say.

use serde_json::Value;

use super::fields::{Fields, Harmless, is_off};
use crate::Result;
use crate::error::either;

/// Where files say it; MLX writes both.
pub const KEYS: [&str; 2] = ["quantization", "quantization_config"];

/// Rows and columns of a block of 8-bit floats.
pub const BLOCK: usize = 128;

/// What to do about a model in a form that is not read.
pub const UNQUANTISED: &str = "use the model in F16 or BF16, or a GGUF file of it";

/// How weights are stored, as far as the tensors do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stored {
    /// As floats, or in a way that the tensors say.
    #[default]
    Plain,
    /// By AWQ.
    Awq,
    /// By GPTQ.
    Gptq {
        /// What is added to the zeros that are stored.
        add: u8,
        /// Whether all of them are in the middle.
        symmetric: bool,
    },
    /// By compressed-tensors.
    Compressed,
}

/// What checks the settings of a way.
type Check = fn(&Fields<'_>) -> Result<Stored>;

/// The ways that are read, by `quant_method`.
const WAYS: &[(&str, Check)] = &[
    ("fp8", check_fp8),
    ("bitsandbytes", check_bitsandbytes),
    ("awq", check_awq),
    ("gptq", check_gptq),
    ("compressed-tensors", check_compressed),
];

/// How the weights are stored. Refuses ways that are not read.
///
/// # Errors
/// `Input` naming the way, or the setting of one that is not read.
pub fn check(fields: &Fields<'_>) -> Result<Stored> {
    let mut stored = Stored::Plain;
    for key in KEYS {
        let Some(value) = fields.get(key).filter(|value| !is_off(value)) else { continue };
        let text = |name: &str| value[name].as_str();
        let is_mlx = text("quant_method").is_none() && text("mode").is_none_or(|mode| mode == "affine");
        if is_mlx && matches!(value["bits"].as_u64(), Some(4 | 8)) && value["group_size"].is_u64() {
            continue;
        }
        let way = WAYS.iter().find(|(name, _)| text("quant_method") == Some(name));
        if let (Some((_, check)), Value::Object(map)) = (way, value) {
            stored = check(&Fields::new(fields.file, &format!("{}{key}.", fields.prefix), map))?;
            continue;
        }
        let names: Vec<&str> = WAYS.iter().map(|(name, _)| *name).collect();
        let way = text("quant_method").or(text("mode")).unwrap_or("an unknown way");
        let bits = value["bits"].as_u64().map(|bits| format!(" in {bits} bits")).unwrap_or_default();
        return Err(fields.error(
            key,
            format!(
                "safetensors quantised by {way}{bits} are not supported, only MLX's groups in 4 or 8 bits, {}",
                names.join(", ")
            ),
            UNQUANTISED,
        ));
    }
    Ok(stored)
}

/// Errors unless the text `key`, where it is there, is one of `wanted`.
fn one_of(fields: &Fields<'_>, key: &str, wanted: &[&str]) -> Result<()> {
    match fields.text(key)? {
        Some(text) if !wanted.contains(&text) => {
            let wanted = wanted.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>();
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let problem = format!("is {text:?}, where {} is read", either(&wanted));
            Err(fields.error(key, problem, UNQUANTISED))
        }
        _ => Ok(()),
    }
}

/// Why settings of which inputs are rounded, and which matrices are, are harmless.
const INPUTS: &str = "inputs of matrices are not rounded here";
const TENSORS: &str = "the tensors say which are stored so, and how";

/// What changes no value of 8-bit floats.
const FP8_HARMLESS: &[Harmless] = &[
    Harmless { reason: INPUTS, names: &["activation_scheme"] },
    Harmless { reason: TENSORS, names: &["modules_to_not_convert", "ignored_layers"] },
    Harmless { reason: "programs may decode them when they load", names: &["dequantize"] },
];

/// Refuses what is not F8_E4M3 with scales that are numbers (transformers' `FineGrainedFP8Config`).
fn check_fp8(fields: &Fields<'_>) -> Result<Stored> {
    one_of(fields, "quant_method", &["fp8"])?;
    one_of(fields, "fmt", &["e4m3"])?;
    // Powers of two, whatever type they are stored in, are numbers too.
    one_of(fields, "scale_fmt", &["float", "ue8m0"])?;
    if let Some(block) =
        fields.get("weight_block_size").filter(|block| **block != serde_json::json!([BLOCK, BLOCK]))
    {
        let problem = format!("is {block}, where blocks of {BLOCK} x {BLOCK} are read");
        return Err(fields.error("weight_block_size", problem, UNQUANTISED));
    }
    fields.finish(FP8_HARMLESS)?;
    Ok(Stored::Plain)
}

/// What changes no value of bitsandbytes' weights.
const BITSANDBYTES_HARMLESS: &[Harmless] = &[
    Harmless {
        reason: TENSORS,
        names: &[
            "load_in_4bit",
            "_load_in_4bit",
            "load_in_8bit",
            "_load_in_8bit",
            "bnb_4bit_quant_type",
            "bnb_4bit_use_double_quant",
            "bnb_4bit_quant_storage",
            "llm_int8_skip_modules",
        ],
    },
    Harmless { reason: "products are computed in f32 here", names: &["bnb_4bit_compute_dtype"] },
    Harmless { reason: INPUTS, names: &["llm_int8_threshold"] },
    Harmless {
        reason: "of where a program keeps weights",
        names: &["llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight"],
    },
];

/// All of it is in the tensors (transformers' `BitsAndBytesConfig`).
fn check_bitsandbytes(fields: &Fields<'_>) -> Result<Stored> {
    one_of(fields, "quant_method", &["bitsandbytes"])?;
    fields.finish(BITSANDBYTES_HARMLESS)?;
    Ok(Stored::Plain)
}

/// Why other settings of AWQ and GPTQ are harmless.
const KERNELS: &str = "of how programs compute with the weights, or how they were found";

/// What changes no value of AWQ's weights.
const AWQ_HARMLESS: &[Harmless] = &[
    Harmless { reason: TENSORS, names: &["bits", "group_size", "modules_to_not_convert", "zero_point"] },
    Harmless {
        reason: KERNELS,
        names: &["backend", "do_fuse", "fuse_max_seq_len", "modules_to_fuse", "exllama_config"],
    },
];

/// Refuses layouts other than `gemm` (AutoAWQ's `WQLinear_GEMM`).
fn check_awq(fields: &Fields<'_>) -> Result<Stored> {
    one_of(fields, "quant_method", &["awq"])?;
    one_of(fields, "version", &["gemm", "GEMM"])?;
    fields.finish(AWQ_HARMLESS)?;
    Ok(Stored::Awq)
}

/// What changes no value of GPTQ's weights.
const GPTQ_HARMLESS: &[Harmless] = &[
    Harmless {
        reason: TENSORS,
        names: &["bits", "group_size", "desc_act", "dynamic", "lm_head", "modules_in_block_to_quantize"],
    },
    Harmless {
        reason: KERNELS,
        names: &[
            "act_group_aware",
            "backend",
            "batch_size",
            "block_name_to_quantize",
            "cache_block_outputs",
            "damp_auto_increment",
            "damp_percent",
            "dataset",
            "disable_exllama",
            "exllama_config",
            "hyb_act",
            "max_input_length",
            "meta",
            "model_file_base_name",
            "model_name_or_path",
            "model_seqlen",
            "module_name_preceding_first_block",
            "mse",
            "offload_to_disk",
            "pad_token_id",
            "static_groups",
            "tokenizer",
            "true_sequential",
            "use_cuda_fp16",
            "use_exllama",
        ],
    },
];

/// Refuses layouts other than those of AutoGPTQ (`gptq`, zeros less one) and GPTQModel (`gptq_v2`, zeros).
fn check_gptq(fields: &Fields<'_>) -> Result<Stored> {
    one_of(fields, "quant_method", &["gptq"])?;
    for format in ["checkpoint_format", "format"] {
        one_of(fields, format, &["gptq", "gptq_v2"])?;
    }
    one_of(fields, "pack_dtype", &["int32"])?;
    fields.reject_flag("is_marlin_format", "Marlin's layout")?;
    let format = fields.text("checkpoint_format")?.or(fields.text("format")?);
    let symmetric = fields.flag("sym")?;
    fields.finish(GPTQ_HARMLESS)?;
    Ok(Stored::Gptq { add: u8::from(format != Some("gptq_v2")), symmetric })
}

/// What changes no value of weights of compressed-tensors.
const COMPRESSED_HARMLESS: &[Harmless] = &[
    Harmless { reason: TENSORS, names: &["config_groups", "ignore"] },
    Harmless { reason: "keys and values are not rounded here", names: &["kv_cache_scheme"] },
    Harmless {
        reason: "of who wrote it",
        names: &["version", "quantization_status", "global_compression_ratio"],
    },
];

/// Refuses what is more than integers or 8-bit floats with scales.
fn check_compressed(fields: &Fields<'_>) -> Result<Stored> {
    let formats = ["pack-quantized", "int-quantized", "float-quantized", "naive-quantized"];
    one_of(fields, "quant_method", &["compressed-tensors"])?;
    one_of(fields, "format", &formats)?;
    if let Some(sparsity) = fields.object("sparsity_config")? {
        one_of(
            &Fields::new(fields.file, "quantization_config.sparsity_config.", sparsity),
            "format",
            &["dense"],
        )?;
    }
    for (name, group) in fields.object("config_groups")?.into_iter().flatten() {
        let Some(group) = group.as_object() else { continue };
        let prefix = format!("{}config_groups.{name}.", fields.prefix);
        one_of(&Fields::new(fields.file, &prefix, group), "format", &formats)?;
    }
    fields.finish(COMPRESSED_HARMLESS)?;
    Ok(Stored::Compressed)
}
