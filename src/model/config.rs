//! The sizes and constants of a model, whatever file they came from.

pub mod advice;
pub mod fields;
pub mod gguf;
pub mod json;
pub mod known;
pub mod nested;
pub mod quantised;
pub mod rope;
pub mod scaling;
pub mod tensors;

use std::path::Path;

use super::family::Family;
use super::family::window::SlidingWindow;
use crate::kernel::sample::MAX_STOPS;
use crate::kernel::weight::Format;
use crate::{Error, Result};
pub use scaling::{LongRope, Rope, RopeScaling, Yarn};

/// The largest vocabulary; twice the largest known.
const MAX_VOCABULARY: usize = 1 << 19;
/// Matrices on the GPU have whole groups of so many columns.
const COLUMN_MULTIPLE: usize = Format::F32.column_multiple();
/// Attention takes so many values of a head at a time.
const HEAD_MULTIPLE: usize = 4;

/// The RoPE of layers that are not like the others.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalRope {
    /// Position embedding of these layers; `None` if they have none.
    pub rope: Option<Rope>,
    /// Whether each layer has it.
    pub layers: Vec<bool>,
}

/// What parts of the forward pass are multiplied with (Granite); 1 where a family does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Multipliers {
    /// Embeddings; the head that is tied to them is not. The root of the hidden size where the family takes that, in f32 as llama.cpp
    /// has it: transformers rounds it to the type of the weights, in bf16 25.3 of Gemma 3 270M becomes 25.25.
    pub embedding: f64,
    /// What attention and MLP add to the residual stream.
    pub residual: f64,
    /// Logits are divided by this.
    pub logits: f64,
}

impl Multipliers {
    /// Those of a model of `family` with this hidden size whose files do not say.
    pub fn of(family: &Family, hidden_size: usize) -> Self {
        let embedding = if family.scales_embedding { (hidden_size as f64).sqrt() } else { 1.0 };
        Self { embedding, residual: 1.0, logits: 1.0 }
    }
}

/// The sizes and constants of a decoder-only transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: &'static Family,
    /// Rows of the embedding; at least the tokenizer's size.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Transformer blocks.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Values of a head that RoPE turns, its first ones; a multiple of 4 where that is not all of it.
    pub turned: usize,
    /// Scale of attention's scores where it is not 1/√head_dim.
    pub attention_scale: Option<f32>,
    /// What else is multiplied.
    pub multipliers: Multipliers,
    /// The layers that see only the last positions, if some do.
    pub sliding_window: Option<SlidingWindow>,
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f32,
    /// The longest sequence.
    pub max_position_embeddings: usize,
    /// The output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Position embedding.
    pub rope: Rope,
    /// Position embedding of those layers that have another.
    pub local_rope: Option<LocalRope>,
    /// Beginning-of-text token.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a completion.
    pub eos_token_ids: Vec<u32>,
}

impl ModelConfig {
    /// Reads a Hugging Face `config.json`; `file` is for messages.
    ///
    /// # Errors
    /// `Input` for anything missing, contradictory or unsupported.
    pub fn from_json(file: &Path, text: &str) -> Result<Self> {
        json::parse(file, text)
    }

    /// Positions that a token sees in `layer`, its own among them, where it does not see all before it.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.as_ref().filter(|window| window.layers[layer]).map(|window| window.size)
    }

    /// Positions that a token sees in the layers that do not see everything, if there are some.
    pub fn window_size(&self) -> Option<usize> {
        self.sliding_window.as_ref().map(|window| window.size)
    }

    /// In sequences up to this length each token sees all before it, in every layer.
    pub fn whole_length(&self) -> usize {
        self.window_size().unwrap_or(self.max_position_embeddings)
    }

    /// Number of weights, each counted once where embedding and head are tied.
    pub fn parameters(&self) -> u64 {
        let count = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        tensors::expected(self).iter().map(|(_, shape)| count(shape)).sum()
    }

    /// Adds end tokens that another file (`generation_config.json`) names; those known are kept.
    ///
    /// # Errors
    /// `Input` if one is outside the vocabulary.
    pub fn add_eos(&mut self, file: &Path, ids: &[u32]) -> Result<()> {
        for &id in ids {
            check_token(file, "eos_token_id", id, self.vocab_size)?;
            if !self.eos_token_ids.contains(&id) {
                self.eos_token_ids.push(id);
            }
        }
        self.check_stops(file)
    }

    /// Puts `id` before the other end tokens: it is the one that is learnt. Says whether it was none of them.
    ///
    /// # Errors
    /// `Input` naming `file` if there are too many.
    pub fn lead_eos(&mut self, file: &Path, id: u32) -> Result<bool> {
        let count = self.eos_token_ids.len();
        self.eos_token_ids.retain(|&other| other != id);
        let is_new = self.eos_token_ids.len() == count;
        self.eos_token_ids.insert(0, id);
        self.check_stops(file)?;
        Ok(is_new)
    }

    /// RoPE's angular frequencies per position, `[turned / 2]`, of layers without another.
    pub fn inv_freq(&self) -> Vec<f32> {
        self.rope.inv_freq(self.turned)
    }

    /// The longest sequence that the model's files allow; here it is no longer than RoPE's frequencies reach.
    pub fn stated_length(&self) -> usize {
        match &self.rope.scaling {
            RopeScaling::LongRope(long) => long.longest,
            _ => self.max_position_embeddings,
        }
    }

    /// Whether a layer has [`ModelConfig::local_rope`].
    pub fn is_local(&self, layer: usize) -> bool {
        self.local_rope.as_ref().is_some_and(|local| local.layers[layer])
    }

    /// What embeddings are multiplied with to begin the residual stream, which is kept divided by [`Multipliers::residual`]: the halves
    /// add to it as they are, and its norms, which do not see its scale, have [`ModelConfig::stream_eps`].
    pub fn embedding_scale(&self) -> f32 {
        (self.multipliers.embedding / self.multipliers.residual) as f32
    }

    /// Epsilon of norms of the residual stream, see [`ModelConfig::embedding_scale`]: N(r·g; eps) = N(g; eps/r²).
    pub fn stream_eps(&self) -> f32 {
        (f64::from(self.rms_norm_eps) / self.multipliers.residual.powi(2)) as f32
    }

    /// Checks what holds for every family, so that later code need not.
    ///
    /// # Errors
    /// `Input` naming the field and the contradiction.
    pub fn validate(&self, file: &Path) -> Result<()> {
        let wrong = |field: &str, problem: String| {
            Err(Error::input(file, field, problem, "take the model's original files"))
        };
        for (field, value, most) in [
            ("vocab_size", self.vocab_size, MAX_VOCABULARY),
            ("hidden_size", self.hidden_size, 1 << 20),
            ("intermediate_size", self.intermediate_size, 1 << 22),
            ("num_hidden_layers", self.num_layers, 1 << 12),
            ("num_attention_heads", self.num_heads, 1 << 12),
            ("num_key_value_heads", self.num_kv_heads, 1 << 12),
            ("head_dim", self.head_dim, 1 << 12),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 30),
        ] {
            if value == 0 || value > most {
                return wrong(field, format!("is {value}; it must be from 1 to {most}"));
            }
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            let (heads, kv) = (self.num_heads, self.num_kv_heads);
            return wrong("num_key_value_heads", format!("{kv} does not divide num_attention_heads {heads}"));
        }
        for (field, size, multiple) in [
            ("hidden_size", self.hidden_size, COLUMN_MULTIPLE),
            ("intermediate_size", self.intermediate_size, COLUMN_MULTIPLE),
            ("head_dim", self.head_dim, HEAD_MULTIPLE),
            ("num_attention_heads", self.q_size(), COLUMN_MULTIPLE),
        ] {
            if !size.is_multiple_of(multiple) {
                let what = if field == "num_attention_heads" { "times head_dim " } else { "" };
                let problem = format!("{what}is {size}; only multiples of {multiple} are supported");
                let next = size.next_multiple_of(multiple);
                let hint = format!("use a model with another size: the next that works is {next}");
                return Err(Error::input(file, field, problem, hint));
            }
        }
        if self.turned != self.head_dim
            && (self.turned == 0 || self.turned > self.head_dim || !self.turned.is_multiple_of(HEAD_MULTIPLE))
        {
            let (turned, head_dim) = (self.turned, self.head_dim);
            let problem = format!("RoPE turns {turned} values of heads of {head_dim}");
            let hint = format!("only multiples of {HEAD_MULTIPLE} are supported; use another model");
            return Err(Error::input(file, "partial_rotary_factor", problem, hint));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return wrong("rms_norm_eps", format!("{} is not between 0 and 1", self.rms_norm_eps));
        }
        let Multipliers { embedding, residual, logits } = self.multipliers;
        for (field, value) in [
            ("embedding_multiplier", embedding),
            ("residual_multiplier", residual),
            ("logits_scaling", logits),
        ] {
            if !(value > 1e-6 && value < 1e6) {
                return wrong(field, format!("{value} is not between 0.000001 and 1000000"));
            }
        }
        self.rope.validate(file, self.turned)?;
        if let Some(LocalRope { rope: Some(rope), .. }) = &self.local_rope {
            rope.validate(file, self.turned)?;
        }
        for (field, ids) in
            [("bos_token_id", self.bos_token_id.as_slice()), ("eos_token_id", &self.eos_token_ids)]
        {
            for &id in ids {
                check_token(file, field, id, self.vocab_size)?;
            }
        }
        self.check_stops(file)
    }

    /// All end tokens have a place in the sampler.
    fn check_stops(&self, file: &Path) -> Result<()> {
        if self.eos_token_ids.len() > MAX_STOPS {
            let problem =
                format!("there are {} end tokens; {MAX_STOPS} are supported", self.eos_token_ids.len());
            return Err(Error::input(
                file,
                "eos_token_id",
                problem,
                "leave those out that the model never ends with",
            ));
        }
        Ok(())
    }
}

fn check_token(file: &Path, field: &str, id: u32, vocab_size: usize) -> Result<()> {
    if id as usize >= vocab_size {
        return Err(Error::input(
            file,
            field,
            format!("token {id} is outside the vocabulary of {vocab_size}"),
            "take config.json and weights from the same model",
        ));
    }
    Ok(())
}
