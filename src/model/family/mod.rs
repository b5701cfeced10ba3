//! Model families: what distinguishes the checkpoints of one architecture from another's.
//!
//! A family is data. To add one, write its file with a [`Family`] and add it to [`FAMILIES`].

pub mod llama;
pub mod qwen2;
pub mod qwen3;
pub mod window;

use std::path::Path;

pub use super::config::fields::Fields;
use crate::{Error, Result};

/// Every family that can be loaded.
pub const FAMILIES: &[&Family] = &[&llama::FAMILY, &qwen2::FAMILY, &qwen3::FAMILY];

/// What is particular to one architecture; sizes are in [`ModelConfig`](super::config::ModelConfig).
#[derive(Debug)]
pub struct Family {
    /// Short name for messages.
    pub name: &'static str,
    /// Values of `architectures` in a Hugging Face `config.json`.
    pub architectures: &'static [&'static str],
    /// Value of `general.architecture` in a GGUF file; the prefix of its keys.
    pub gguf_architecture: &'static str,
    /// The q, k and v projections have biases.
    pub attention_bias: bool,
    /// q and k go through an RMSNorm over `head_dim` before RoPE.
    pub qk_norm: bool,
    /// The GGUF converter interleaves the two RoPE halves of each head's q and k rows.
    pub gguf_interleaves_qk: bool,
    /// transformers' `num_key_value_heads` where a `config.json` has no such key, if that is not the number of heads.
    pub num_kv_heads: Option<usize>,
    /// transformers' `head_dim` where a `config.json` has no such key, if that is not the hidden size by the heads.
    pub head_dim: Option<usize>,
    /// Rejects a `config.json` that asks for something this family's forward pass does not do.
    pub check: fn(&Fields<'_>) -> Result<()>,
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The family of a `config.json`'s architecture name.
///
/// # Errors
/// `Input` with the list of known names.
pub fn by_architecture(file: &Path, architecture: &str) -> Result<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.architectures.contains(&architecture)).ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.architectures).copied().collect();
        unknown(file, "architectures", architecture, &known)
    })
}

/// The family of a GGUF file's `general.architecture`.
///
/// # Errors
/// `Input` with the list of known names.
pub fn by_gguf_architecture(file: &Path, architecture: &str) -> Result<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.gguf_architecture == architecture).ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.gguf_architecture).collect();
        unknown(file, "general.architecture", architecture, &known)
    })
}

fn unknown(file: &Path, field: &str, architecture: &str, known: &[&str]) -> Error {
    Error::input(
        file,
        field,
        format!("unknown architecture {architecture:?}"),
        format!("use a model of one of {}", known.join(", ")),
    )
}
