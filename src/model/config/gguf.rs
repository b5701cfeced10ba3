//! A model's configuration from GGUF metadata.

use super::fields::Harmless;
use super::scaling::{FREQS, LONG, RopeTensors, SHORT};
use super::{LocalRope, LongRope, ModelConfig, Multipliers, Rope, RopeScaling, Yarn, rope};
use crate::Result;
use crate::model::family::tensors::Role;
use crate::model::family::{Family, window};
use crate::model::source::TensorInfo;
use crate::model::source::gguf_metadata::{Metadata, Value};

/// Reads the configuration of a model of `family`; `tensors` are those of the file under their GGUF names,
/// `of_rope` the contents of those that are not weights.
///
/// # Errors
/// `Input` for anything missing, contradictory or unsupported.
pub fn parse<'a>(
    family: &'static Family,
    metadata: &Metadata,
    tensors: impl Iterator<Item = &'a TensorInfo>,
    of_rope: &RopeTensors,
) -> Result<ModelConfig> {
    let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
    let required = |name: &str| {
        let count = metadata.uniform_count(&key(name))?;
        count.ok_or_else(|| {
            metadata.error(&key(name), "is missing", "download the file again, or convert the model again")
        })
    };
    let (mut vocab_size, mut has_head) = (None, false);
    for tensor in tensors {
        match family.gguf_tensor(&tensor.name).map(|(_, known)| known.role) {
            Some(Role::Embedding) => vocab_size = Some(tensor.rows()),
            Some(Role::Head) => has_head = true,
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
    let turned = metadata.count(&key("rope.dimension_count"))?.unwrap_or(head_dim);
    for (name, size) in [
        ("rope.dimension_count", Some(turned).filter(|_| !family.partial_rope)),
        ("attention.value_length", metadata.count(&key("attention.value_length"))?),
    ] {
        if size.is_some_and(|size| size != head_dim) {
            let problem = format!("differs from the head size {head_dim}, which is not supported");
            return Err(metadata.error(&key(name), problem, "use another model"));
        }
    }
    let mut eos_token_ids: Vec<u32> = Vec::new();
    for name in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
        if let Some(token) = metadata.token_id(name)?
            && !eos_token_ids.contains(&token)
        {
            eos_token_ids.push(token);
        }
    }
    let (num_layers, longest) = (required("block_count")?, required("context_length")?);
    let wide_heads = family.gguf_wide_heads == Some(num_layers);
    let local_rope = local_rope(family, metadata, num_layers)?;
    let scale = match family.multiplies {
        true => metadata.number(&key("attention.scale"))?.filter(|&scale| scale != 0.0),
        false => None,
    };
    let rope = base_rope(family, metadata, of_rope, longest)?;
    let tempered = evenly_tempered(family, metadata, &rope)?;
    let config = ModelConfig {
        family,
        vocab_size,
        hidden_size,
        intermediate_size: required("feed_forward_length")?,
        num_layers,
        num_heads,
        num_kv_heads: metadata.uniform_count(&key("attention.head_count_kv"))?.unwrap_or(num_heads),
        head_dim,
        attention_scale: scale
            .map(|scale| scale as f32)
            .or_else(|| wide_heads.then(|| (num_heads as f32 / hidden_size as f32).sqrt())),
        multipliers: multipliers(family, metadata, hidden_size)?,
        sliding_window: window::of_gguf(family, metadata, num_layers, longest)?,
        rms_norm_eps: epsilon(metadata, &key("attention.layer_norm_rms_epsilon"))?,
        turned,
        max_position_embeddings: longest.min(tempered.or(rope.reach()).unwrap_or(longest)),
        tie_word_embeddings: !has_head,
        rope,
        local_rope,
        bos_token_id: metadata.token_id("tokenizer.ggml.bos_token_id")?,
        eos_token_ids,
    };
    reject_scale(&config, metadata)?;
    reject_other_values(family, metadata)?;
    metadata.finish(&key(""), HARMLESS_KEYS)?;
    config.validate(&metadata.file)?;
    Ok(config)
}

/// RoPE of layers with a window, in families where it is another. llama.cpp has it only where a file says how wide the window is,
/// and does not scale it. Which layers have no RoPE no file says: llama.cpp knows it of the family.
fn local_rope(family: &Family, metadata: &Metadata, layers: usize) -> Result<Option<LocalRope>> {
    let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
    let Some((local_key, absent)) = family.local_theta else {
        // What says of others that they were trained with scaling says of Granite whether there is RoPE at all.
        let rotates = match family.multiplies {
            true => metadata.flag(&key("rope.scaling.finetuned"))?.unwrap_or(true),
            false => true,
        };
        let every = if rotates { family.unrotated_every } else { Some(1) };
        return Ok(every.and_then(|every| rope::none_in(rope::each(every, layers))));
    };
    // Where both kinds have one base in a config.json, they have one in a GGUF file that does not say.
    let shared = if local_key == "rope_theta" { metadata.number(&key("rope.freq_base"))? } else { None };
    let theta = metadata.number(&key("rope.freq_base_swa"))?.or(shared).unwrap_or(absent);
    if metadata.count(&key("attention.sliding_window"))?.unwrap_or(0) == 0 {
        return Ok(None);
    }
    let layers = window::alternate_of_gguf(family, metadata, layers)?;
    Ok(Some(LocalRope { rope: Some(Rope { theta, scaling: RopeScaling::None }), layers }))
}

/// What is multiplied, as llama.cpp reads it: 0 is 1, and logits are divided by what must be there.
fn multipliers(family: &Family, metadata: &Metadata, hidden_size: usize) -> Result<Multipliers> {
    let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
    let absent = Multipliers::of(family, hidden_size);
    if !family.multiplies {
        return Ok(absent);
    }
    let scale = |name: &str| Ok(metadata.number(&key(name))?.filter(|&scale| scale != 0.0));
    let missing = || metadata.error(&key("logit_scale"), "is missing", "convert the model again");
    Ok(Multipliers {
        embedding: scale("embedding_scale")?.unwrap_or(absent.embedding),
        residual: scale("residual_scale")?.unwrap_or(absent.residual),
        logits: scale("logit_scale")?.ok_or_else(missing)?,
    })
}

/// RMSNorm's epsilon, for which llama.cpp knows no default either.
fn epsilon(metadata: &Metadata, key: &str) -> Result<f32> {
    let missing = || metadata.error(key, "is missing", "download the file again, or convert the model again");
    Ok(metadata.number(key)?.ok_or_else(missing)? as f32)
}

/// Keys of the architecture that change no log-probability here.
const HARMLESS_KEYS: &[Harmless] = &[
    Harmless {
        reason: "what the tensors say themselves, or how the file was made",
        names: &[
            "vocab_size",
            "tensor_data_layout",
            "rope.scaling.finetuned",
            "rope.scaling.original_context_length",
        ],
    },
    Harmless {
        reason: "of layers that no family here has, or of what else than text the model can give",
        names: &["attention.layer_norm_epsilon", "pooling_type", "classifier.output_labels"],
    },
];

/// Keys under `tokenizer.` that change nothing where the tokenizer does not read them. What else a file has under `general.`
/// and the names of other programs, llama.cpp does not look at either.
pub const HARMLESS_TOKENIZER_KEYS: &[Harmless] = &[
    Harmless {
        reason: "tokens for what is not done here: padding, masks, filling in the middle",
        names: &[
            "ggml.padding_token_id",
            "ggml.unknown_token_id",
            "ggml.seperator_token_id",
            "ggml.separator_token_id",
            "ggml.mask_token_id",
            "ggml.cls_token_id",
            "ggml.eom_token_id",
            "ggml.fim_*",
            "ggml.prefix_token_id",
            "ggml.suffix_token_id",
            "ggml.middle_token_id",
            "ggml.token_type_count",
        ],
    },
    Harmless {
        reason: "of other kinds of tokenizers than the one that the file has",
        names: &[
            "ggml.scores",
            "ggml.merges",
            "ggml.remove_extra_whitespaces",
            "ggml.precompiled_charsmap",
            "rwkv.*",
        ],
    },
    Harmless {
        reason: "a second form of what the file says already, or templates for other uses",
        names: &["huggingface.json", "chat_templates", "chat_template.*"],
    },
];

/// Keys that other models and forks have, with the number at which they change nothing; 0 and false are off in any case.
const NEUTRAL: &[(&str, f64)] = &[
    ("attention.causal", 1.0),
    ("rope.scaling.attn_factor", 1.0),
    ("logit_scale", 1.0),
    ("residual_scale", 1.0),
    ("embedding_scale", 1.0),
];

fn reject_other_values(family: &Family, metadata: &Metadata) -> Result<()> {
    for (name, neutral) in NEUTRAL {
        let key = format!("{}.{name}", family.gguf_architecture);
        if metadata.was_read(&key) {
            continue;
        }
        let value = match metadata.get(&key) {
            Some(Value::Bool(flag)) => Some(f64::from(*flag)),
            _ => metadata.number(&key)?,
        };
        if value.is_some_and(|value| value != *neutral && (value != 0.0 || *name == "attention.causal")) {
            let problem = format!("only {neutral} is supported");
            return Err(metadata.error(&key, problem, "use another model"));
        }
    }
    Ok(())
}

/// Attention's scores are divided by the root of the head's size, which a file may say; 0 stands for the same.
fn reject_scale(config: &ModelConfig, metadata: &Metadata) -> Result<()> {
    let key = format!("{}.attention.scale", config.family.gguf_architecture);
    if config.family.multiplies {
        return Ok(());
    }
    let usual = 1.0 / (config.head_dim as f64).sqrt();
    match metadata.number(&key)? {
        Some(scale) if scale != 0.0 && (scale - usual).abs() > 1e-6 * usual => {
            let problem = format!("is {scale}; only {usual} is supported");
            Err(metadata.error(&key, problem, "use another model"))
        }
        _ => Ok(()),
    }
}

fn reject_unsupported(family: &Family, metadata: &Metadata) -> Result<()> {
    let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
    if metadata.count(&key("expert_count"))?.is_some_and(|experts| experts > 0) {
        let problem = "mixtures of experts are not supported";
        return Err(metadata.error(&key("expert_count"), problem, "use a dense model"));
    }
    Ok(())
}

/// Base and scaling as llama.cpp reads them (`llama_model_base::load_hparams`): a factor without a type is linear, a factor of
/// 0 is none, `rope.scale_linear` is its older name, and divisors of frequencies multiply with it.
fn base_rope(family: &Family, metadata: &Metadata, of_rope: &RopeTensors, longest: usize) -> Result<Rope> {
    let key = |name: &str| format!("{}.rope.{name}", family.gguf_architecture);
    let divisors = of_rope.get(FREQS);
    let theta = metadata.number(&key("freq_base"))?.unwrap_or(10_000.0);
    let (factor, old) = (metadata.number(&key("scaling.factor"))?, metadata.number(&key("scale_linear"))?);
    let kind = metadata.text(&key("scaling.type"))?.unwrap_or("linear");
    if of_rope.contains_key(SHORT) || of_rope.contains_key(LONG) || kind == "longrope" {
        let scaling = RopeScaling::LongRope(longrope(family, metadata, of_rope, longest)?);
        if divisors.is_none() && factor.or(old).is_none_or(|factor| factor == 0.0 || factor == 1.0) {
            return Ok(Rope { theta, scaling });
        }
        let problem = "another scaling beside the factors of LongRoPE is not supported";
        return Err(metadata.error(&key("scaling.factor"), problem, "use another model"));
    }
    let factor = match kind {
        "none" => 1.0,
        "linear" => factor.or(old).filter(|&factor| factor != 0.0).unwrap_or(1.0),
        "yarn" if divisors.is_none() => {
            let factor = factor.or(old).filter(|&factor| factor != 0.0).unwrap_or(1.0);
            let scaling = RopeScaling::Yarn(yarn(family, metadata, factor, longest)?);
            return Ok(Rope { theta, scaling });
        }
        other => {
            let problem = format!("RoPE scaling {other:?} is not supported");
            let hint = "use a model with none, linear, longrope, or yarn without rope_freqs";
            return Err(metadata.error(&key("scaling.type"), problem, hint));
        }
    };
    let scaling = match divisors {
        Some(divisors) => RopeScaling::Divisors(
            divisors.iter().map(|&divisor| (f64::from(divisor) * factor) as f32).collect(),
        ),
        None if factor == 1.0 => RopeScaling::None,
        None => RopeScaling::Linear { factor },
    };
    Ok(Rope { theta, scaling })
}

/// LongRoPE as llama.cpp reads it, which takes the long list where the room for a sequence, and not its length, is more than the
/// original context.
fn longrope(family: &Family, metadata: &Metadata, of_rope: &RopeTensors, longest: usize) -> Result<LongRope> {
    let key = |name: &str| format!("{}.rope.scaling.{name}", family.gguf_architecture);
    let list = |name: &str| {
        let missing = || metadata.error(name, "the tensor is missing", "convert the model again");
        of_rope.get(name).cloned().ok_or_else(missing)
    };
    Ok(LongRope {
        short: list(SHORT)?,
        long: list(LONG)?,
        original: metadata.count(&key("original_context_length"))?.unwrap_or(longest),
        longest,
        attention_factor: metadata.number(&key("attn_factor"))?.unwrap_or(1.0),
    })
}

/// YaRN as llama.cpp reads it: what the file says of the factor of queries and keys multiplies the paper's, unless it is that one, which
/// converters wrote into files of OLMo 3 in 2025.
fn yarn(family: &Family, metadata: &Metadata, factor: f64, longest: usize) -> Result<Yarn> {
    let key = |name: &str| format!("{}.rope.scaling.{name}", family.gguf_architecture);
    let given = |name: &str| Ok(metadata.number(&key(name))?.filter(|&number| number != 0.0));
    if metadata.number(&key("yarn_ext_factor"))?.is_some_and(|blend| blend != 1.0) {
        let problem = "only 1 is supported";
        return Err(metadata.error(&key("yarn_ext_factor"), problem, "use another model"));
    }
    let all = given("yarn_log_multiplier")?.map_or(1.0, |scale| Yarn::magnitude(factor, scale));
    let own = Yarn::magnitude(factor, 1.0);
    let more = given("attn_factor")?.filter(|more: &f64| (more - own).abs() > 1e-6).unwrap_or(1.0);
    Ok(Yarn {
        factor,
        original: metadata.count(&key("original_context_length"))?.unwrap_or(longest),
        beta_fast: given("yarn_beta_fast")?.unwrap_or(32.0),
        beta_slow: given("yarn_beta_slow")?.unwrap_or(1.0),
        truncate: true,
        attention_factor: own / all * more,
    })
}

/// [`rope::evenly_tempered`] of a GGUF file.
fn evenly_tempered(family: &Family, metadata: &Metadata, rope: &Rope) -> Result<Option<usize>> {
    let key = format!("{}.attention.temperature_scale", family.gguf_architecture);
    match (metadata.number(&key)?, &rope.scaling) {
        (None | Some(0.0), _) => Ok(None),
        (Some(_), RopeScaling::Yarn(yarn)) => Ok(Some(yarn.original)),
        (Some(_), _) => Err(metadata.error(&key, "is only supported with yarn", "use another model")),
    }
}
