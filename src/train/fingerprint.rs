//! Hashes that tie a run to what it stands on: the base model's weights, and its data.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::model::config::{ModelConfig, Multipliers, Rope, RopeScaling};
use crate::model::family::{llama, mistral};
use crate::model::source::TensorSource;

/// Weights up to this size are hashed whole, which takes a second or two; of larger ones samples are, see [`weights`].
const WHOLE: u64 = 1 << 30;
/// Pieces of each tensor of a larger model.
const SAMPLES: usize = 16;
/// Bytes that are read at a time, and of each piece of a larger model.
const PIECE: usize = 1 << 18;

/// What the numbers of a run depend on besides its settings and its data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Hash of the base model's weights: see [`weights`].
    pub sha256: String,
    /// How the weights are stored on the GPU, where that is not as in their file.
    pub weights: Option<String>,
    /// Longest sequence, where one was asked for.
    pub context: Option<u32>,
    /// Products are computed in 16-bit floats.
    pub f16: bool,
    /// What else of the model's files counts, by name; see [`numbers`]. Runs of older versions lack it, or parts of it.
    #[serde(default)]
    pub model: Map<String, Value>,
}

/// What a model computes with its weights: all that `config` says and the shapes of the weights do not.
pub fn numbers(config: &ModelConfig) -> Map<String, Value> {
    let scaling = |rope: &Rope| match &rope.scaling {
        RopeScaling::Divisors(divisors) => json!({ "rope_freqs.weight": divisors }),
        other => other.config_json().unwrap_or_default(),
    };
    let local = config.local_rope.as_ref();
    let local_rope = local.and_then(|local| local.rope.as_ref());
    let Multipliers { embedding, residual, logits } = config.multipliers;
    // What every model had before there were others is not said, so that runs go on.
    let multipliers = config.family.multiplies.then_some([embedding, residual, logits]);
    // Mistral's had Llama's name, whose forward pass they have.
    let family = if *config.family == mistral::FAMILY { &llama::FAMILY } else { config.family };
    let numbers = [
        ("model_type", json!(family.name)),
        ("num_attention_heads", json!(config.num_heads)),
        ("num_key_value_heads", json!(config.num_kv_heads)),
        ("rms_norm_eps", json!(config.rms_norm_eps)),
        ("rope_theta", json!(config.rope.theta)),
        ("rope_scaling", scaling(&config.rope)),
        ("sliding_window", json!(config.sliding_window.as_ref().map(|window| window.size))),
        ("sliding_layers", json!(config.sliding_window.as_ref().map(|window| &window.layers))),
        ("attention_scale", json!(config.attention_scale)),
        ("multipliers", json!(multipliers)),
        ("partial_rope", json!((config.turned != config.head_dim).then_some(config.turned))),
        ("rope_local_base_freq", json!(local_rope.map(|rope| rope.theta))),
        ("local_rope_scaling", local_rope.map_or(Value::Null, scaling)),
        ("local_rope_layers", json!(local.map(|local| &local.layers))),
        ("attention_bias", json!(config.attention_bias())),
        ("qk_norm", json!(config.qk_norm())),
        ("tie_word_embeddings", json!(config.tie_word_embeddings)),
    ];
    numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// SHA-256 of all that `file` still holds, in hexadecimal.
///
/// # Errors
/// Those of reading.
pub fn sha256_of(mut file: impl Read) -> std::io::Result<String> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(hash.finalize().as_slice())),
            count => hash.update(&piece[..count]),
        }
    }
}

/// A hash of a model's weights: of name, type and shape of every tensor, and of its contents. Of models beyond 1 GiB, where
/// reading everything twice would take minutes, the contents are those of 16 pieces of each tensor, spread from its first row
/// to its last: another checkpoint or another fine-tune differs there, a single changed number may not.
///
/// # Errors
/// Those of reading.
pub fn weights(source: &mut dyn TensorSource) -> Result<String> {
    let tensors = source.tensors().to_vec();
    let bytes = |rows: usize, row: usize| (rows as u64).saturating_mul(row as u64);
    let total = tensors.iter().fold(0u64, |sum, t| sum.saturating_add(bytes(t.rows(), t.row_bytes())));
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        hash.update(format!("{}\0{:?}\0{:?}\0", tensor.name, tensor.dtype, tensor.shape));
        let rows = tensor.rows();
        let step = (PIECE / tensor.row_bytes().max(1)).max(1);
        let pieces = rows.div_ceil(step);
        let taken = if total <= WHOLE { pieces } else { pieces.min(SAMPLES) };
        for piece in 0..taken {
            // The first piece, the last, and the rest evenly between.
            let place = if taken > 1 { piece * (pieces - 1) / (taken - 1) } else { 0 };
            let start = place * step;
            source.read(index, start, step.min(rows - start), &mut buffer)?;
            hash.update(&buffer);
        }
    }
    Ok(hex(hash.finalize().as_slice()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::source::bytes::Memory;
    use crate::model::source::safetensors::SafeTensors;
    use crate::train::tensor_file;

    fn of(name: &str, numbers: &[f32]) -> String {
        let file = [(name.to_owned(), vec![2, numbers.len() / 2], numbers)];
        let bytes = tensor_file::to_bytes(file, ("format", "pt")).unwrap();
        weights(&mut SafeTensors::open(Memory::new("model.safetensors", bytes)).unwrap()).unwrap()
    }

    #[test]
    fn every_number_and_name_counts() {
        let numbers = vec![1.0; 300_000];
        let whole = of("a", &numbers);
        assert_eq!(whole, of("a", &numbers));
        assert_ne!(whole, of("b", &numbers));
        for place in [0, 150_001, 299_999] {
            let mut other = numbers.clone();
            other[place] = 2.0;
            assert_ne!(whole, of("a", &other), "{place}");
        }
        assert_eq!(sha256(b"abc")[..8], *"ba7816bf");
        let long = vec![7; 3 * PIECE / 2];
        assert_eq!(sha256_of(&long[..]).unwrap(), sha256(&long));
    }
}
