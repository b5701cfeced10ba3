//! What a GGUF file says of a model's sizes and constants. What has no form there is refused: the keys are read back and compared.

use std::path::Path;

use super::layout::{Entries, Entry};
use crate::model::config::scaling::{FREQS, RopeTensors};
use crate::model::config::{self, LocalRope, LongRope, ModelConfig, Multipliers, Rope, RopeScaling, Yarn};
use crate::model::family::tensors::{EMBEDDING, HEAD, Role};
use crate::model::family::window::alternate_of_gguf;
use crate::model::source::gguf_metadata::{Metadata, Value};
use crate::model::source::{Dtype, TensorInfo};
use crate::{Error, Result};

/// A model's description.
#[derive(Debug)]
pub struct Description {
    /// The keys below the architecture's name, and that name.
    pub entries: Entries,
    /// What is said of RoPE as tensors.
    pub of_rope: RopeTensors,
    /// What weights of the norms of query heads are multiplied with: the files have no key for the scale of attention's scores.
    pub query_factor: f32,
}

impl Description {
    /// Describes the model of `config`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what GGUF files of the family have no form for.
    pub fn of(config: &ModelConfig) -> Result<Self> {
        let family = config.family;
        family.check_gguf("model")?;
        let key = |name: &str| format!("{}.{name}", family.gguf_architecture);
        let mut entries: Entries =
            vec![("general.architecture".into(), Entry::from(family.gguf_architecture))];
        for (name, count) in [
            ("block_count", config.num_layers),
            ("context_length", config.stated_length()),
            ("embedding_length", config.hidden_size),
            ("feed_forward_length", config.intermediate_size),
            ("attention.head_count", config.num_heads),
            ("attention.head_count_kv", config.num_kv_heads),
            ("attention.key_length", config.head_dim),
            ("attention.value_length", config.head_dim),
            ("rope.dimension_count", config.turned),
            ("vocab_size", config.vocab_size),
        ] {
            entries.push((key(name), Entry::Value(Value::Int(count as i128))));
        }
        entries.push((key("attention.layer_norm_rms_epsilon"), config.rms_norm_eps.into()));
        entries.push((key("rope.freq_base"), (config.rope.theta as f32).into()));
        let of_rope = rope(config, &key, &mut entries);
        multipliers(config, &key, &mut entries);
        window(config, &key, &mut entries)?;
        let own = if family.gguf_wide_heads == Some(config.num_layers) {
            config.num_heads as f32 / config.hidden_size as f32
        } else {
            1.0 / config.head_dim as f32
        };
        let scale = config.attention_scale.unwrap_or((1.0 / config.head_dim as f32).sqrt());
        // Files of families with multipliers say it.
        let query_factor = if family.multiplies { 1.0 } else { scale / own.sqrt() };
        let query_factor = if (query_factor - 1.0).abs() < 1e-6 { 1.0 } else { query_factor };
        if query_factor != 1.0 && !family.has(Role::QueryNorm) {
            return Err(refused(config, "scale of attention's scores"));
        }
        let described = Self { entries, of_rope, query_factor };
        described.check(config)?;
        Ok(described)
    }

    /// Reads the keys as a file's are read, and compares.
    fn check(&self, config: &ModelConfig) -> Result<()> {
        let rows = |name: String| TensorInfo {
            name,
            dtype: Dtype::F32,
            shape: vec![config.vocab_size, config.hidden_size],
        };
        let mut tensors = vec![rows(EMBEDDING.gguf_name(0))];
        if !config.tie_word_embeddings {
            tensors.push(rows(HEAD.gguf_name(0)));
        }
        let metadata = metadata(Path::new("GGUF"), &self.entries);
        let read = config::gguf::parse(config.family, &metadata, tensors.iter(), &self.of_rope)?;
        let single = |rope: &Rope| Rope {
            theta: f64::from(rope.theta as f32),
            scaling: match &rope.scaling {
                RopeScaling::Linear { factor } => RopeScaling::Linear { factor: f64::from(*factor as f32) },
                RopeScaling::Llama3 { .. } => {
                    self.of_rope.get(FREQS).cloned().map_or(RopeScaling::None, RopeScaling::Divisors)
                }
                RopeScaling::Yarn(yarn) => match &read.rope.scaling {
                    RopeScaling::Yarn(written) if written.is_about(yarn) => RopeScaling::Yarn(*written),
                    _ => RopeScaling::Yarn(*yarn),
                },
                RopeScaling::LongRope(long) => RopeScaling::LongRope(LongRope {
                    attention_factor: f64::from(long.attention_factor as f32),
                    ..long.clone()
                }),
                // Within the longest context it changes nothing.
                RopeScaling::Dynamic { .. } => RopeScaling::None,
                other => other.clone(),
            },
        };
        let local = |local: &LocalRope| LocalRope {
            rope: local.rope.as_ref().map(single),
            layers: local.layers.clone(),
        };
        let rounded = |number: f64| if config.family.multiplies { f64::from(number as f32) } else { number };
        let Multipliers { embedding, residual, logits } = config.multipliers;
        let expected = ModelConfig {
            rope: single(&config.rope),
            local_rope: config.local_rope.as_ref().map(local),
            multipliers: Multipliers {
                embedding: rounded(embedding),
                residual: rounded(residual),
                logits: rounded(logits),
            },
            // What these become is seen to elsewhere.
            attention_scale: read.attention_scale,
            bos_token_id: read.bos_token_id,
            eos_token_ids: read.eos_token_ids.clone(),
            ..config.clone()
        };
        for (what, equal) in [
            ("RoPE", read.rope == expected.rope),
            ("RoPE of the layers with a window", read.local_rope == expected.local_rope),
            ("sliding window", read.sliding_window == expected.sliding_window),
            ("configuration", read == expected),
        ] {
            if !equal {
                return Err(refused(config, what));
            }
        }
        Ok(())
    }
}

/// What is written, as a file that has been read.
pub fn metadata(file: &Path, entries: &[(String, Entry)]) -> Metadata {
    let value = |entry: &Entry| match entry {
        Entry::Value(value) => value.clone(),
        Entry::Flags(flags) => Value::Ints(flags.iter().map(|&flag| flag.into()).collect()),
        Entry::Raw(_) => Value::Skipped,
    };
    Metadata::new(file, entries.iter().map(|(key, entry)| (key.clone(), value(entry))))
}

fn refused(config: &ModelConfig, what: &str) -> Error {
    Error::usage(
        "model",
        format!("GGUF files of {} have no form for its {what}", config.family.name),
        "export it as safetensors",
    )
}

/// Adds what is multiplied, where the family's files say it.
fn multipliers(config: &ModelConfig, key: &impl Fn(&str) -> String, entries: &mut Entries) {
    let Multipliers { embedding, residual, logits } = config.multipliers;
    let scale = f64::from(config.attention_scale.unwrap_or((1.0 / config.head_dim as f32).sqrt()));
    let numbers = [
        ("embedding_scale", embedding),
        ("residual_scale", residual),
        ("logit_scale", logits),
        ("attention.scale", scale),
    ];
    for (name, number) in numbers.into_iter().filter(|_| config.family.multiplies) {
        entries.push((key(name), (number as f32).into()));
    }
}

/// Adds the scaling of RoPE; what files have as tensors in its place.
fn rope(config: &ModelConfig, key: &impl Fn(&str) -> String, entries: &mut Entries) -> RopeTensors {
    match &config.rope.scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } | RopeScaling::Divisors(_) => {}
        RopeScaling::Linear { factor } => {
            entries.push((key("rope.scaling.type"), "linear".into()));
            entries.push((key("rope.scaling.factor"), (*factor as f32).into()));
        }
        RopeScaling::Yarn(yarn) => {
            entries.push((key("rope.scaling.type"), "yarn".into()));
            for (name, number) in [
                ("factor", yarn.factor),
                ("yarn_beta_fast", yarn.beta_fast),
                ("yarn_beta_slow", yarn.beta_slow),
                ("attn_factor", yarn.attention_factor / Yarn::magnitude(yarn.factor, 1.0)),
            ] {
                entries.push((key(&format!("rope.scaling.{name}")), (number as f32).into()));
            }
            let original = Entry::Value(Value::Int(yarn.original as i128));
            entries.push((key("rope.scaling.original_context_length"), original));
        }
        RopeScaling::LongRope(long) => {
            // The converter names no type.
            let original = Entry::Value(Value::Int(long.original as i128));
            entries.push((key("rope.scaling.original_context_length"), original));
            entries.push((key("rope.scaling.attn_factor"), (long.attention_factor as f32).into()));
        }
        RopeScaling::Llama3 { .. } => {
            let plain = Rope { theta: config.rope.theta, scaling: RopeScaling::None };
            let [plain, scaled] = [&plain, &config.rope].map(|rope| rope.inv_freq(config.turned));
            let divisors = plain.iter().zip(&scaled).map(|(plain, scaled)| plain / scaled);
            return [(FREQS, divisors.collect())].into();
        }
    }
    config.rope.scaling.tensors()
}

/// Adds the window and the RoPE of its layers.
fn window(config: &ModelConfig, key: &impl Fn(&str) -> String, entries: &mut Entries) -> Result<()> {
    let (family, window, local) = (config.family, &config.sliding_window, &config.local_rope);
    let layers = local.as_ref().map(|local| &local.layers).or(window.as_ref().map(|window| &window.layers));
    let (Some(layers), Some(_)) = (layers, family.full_every) else { return Ok(()) };
    let size = config.whole_length() as i128;
    entries.push((key("attention.sliding_window"), Entry::Value(Value::Int(size))));
    if let Some(rope) = local.as_ref().and_then(|local| local.rope.as_ref()) {
        entries.push((key("rope.freq_base_swa"), (rope.theta as f32).into()));
    }
    // Files say it only where it is not the family's own.
    if *layers != alternate_of_gguf(family, &Metadata::new(Path::new("GGUF"), []), config.num_layers)? {
        entries.push((key("attention.sliding_window_pattern"), Entry::Flags(layers.clone())));
    }
    Ok(())
}
