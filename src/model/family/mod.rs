//! Model families: what distinguishes the checkpoints of one architecture from another's.
//!
//! A family is data. To add one, write its file with a [`Family`] and add it to [`FAMILIES`]. A new kind of tensor is a
//! [`Role`] more, which the loader and the passes over a block must know.

pub mod gemma3;
pub mod granite;
pub mod llama;
pub mod mistral;
pub mod olmo;
pub mod phi3;
pub mod qwen2;
pub mod qwen3;
pub mod smollm3;
pub mod tensors;
pub mod window;

use std::path::Path;

use serde_json::{Value, json};

pub use super::config::fields::Fields;
use super::module::Module;
pub use crate::kernel::swiglu::Activation;
use crate::{Error, Result};
use tensors::{Role, Tensor};
use window::SlidingWindow;

/// Every family that can be loaded.
pub const FAMILIES: &[&Family] = &[
    &llama::FAMILY,
    &mistral::FAMILY,
    &mistral::MINISTRAL3,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &gemma3::FAMILY,
    &smollm3::FAMILY,
    &granite::FAMILY,
    &granite::GRANITE4,
    &olmo::OLMO2,
    &olmo::OLMO3,
    &phi3::FAMILY,
];

/// What is particular to one architecture; sizes are in [`ModelConfig`](super::config::ModelConfig).
#[derive(Debug)]
pub struct Family {
    /// Short name for messages.
    pub name: &'static str,
    /// Values of `architectures` in a Hugging Face `config.json`.
    pub architectures: &'static [&'static str],
    /// Value of `general.architecture` in a GGUF file; the prefix of its keys. Empty if GGUF files have another family's tensors.
    pub gguf_architecture: &'static str,
    /// Its tensors in the order of the forward pass: what each block has stands once, between what the whole model has.
    pub tensors: &'static [Tensor],
    /// The key of a `config.json` with the width of the MLP.
    pub width_key: &'static str,
    /// Beginnings of names of tensors that other parts of a model have in the same files, and text does not need.
    pub skipped: &'static [&'static str],
    /// The GGUF converter interleaves the two RoPE halves of each head's q and k rows.
    pub gguf_interleaves_qk: bool,
    /// What the MLP's gate goes through.
    pub activation: Activation,
    /// What Hugging Face checkpoints leave out of the weights of norms and GGUF files have.
    pub norm_offset: f32,
    /// Embeddings are multiplied with the root of the hidden size; the head that is tied to them is not.
    pub scales_embedding: bool,
    /// The key of a `config.json` with the number whose root divides attention's scores, where that need not be the head's size.
    pub scale_key: Option<&'static str>,
    /// Configs have what embeddings, scores, what either half adds, and logits are multiplied with, see
    /// [`Multipliers`](super::config::Multipliers); scores are then not divided by the root of the head's size.
    pub multiplies: bool,
    /// In GGUF files, which do not say it, attention's scores of models of so many layers are divided by the root of hidden size by
    /// heads.
    pub gguf_wide_heads: Option<usize>,
    /// transformers' base of RoPE where a `config.json` does not say.
    pub rope_theta: f64,
    /// RoPE may turn a part of each head, and LongRoPE is what the files call `su` and `yarn`.
    pub partial_rope: bool,
    /// transformers' base of RoPE of layers with a sliding window, where they have a RoPE of their own, and the key of a `config.json` that says it in the
    /// form of transformers 4.
    pub local_theta: Option<(&'static str, f64)>,
    /// Each so many-th layer has no RoPE, unless a `config.json` says which layers have it.
    pub unrotated_every: Option<usize>,
    /// transformers' values of keys that a `config.json` does not have, where they are not those of [`json`](super::config::json).
    pub defaults: fn() -> Value,
    /// The layers of a `config.json` that see only the last positions.
    pub window: fn(&Fields<'_>) -> Result<Option<SlidingWindow>>,
    /// Each so many-th layer sees everything where a GGUF file does not say which, if GGUF files of the family have windows.
    pub full_every: Option<usize>,
    /// Rejects a `config.json` that asks for something this family's forward pass does not do.
    pub check: fn(&Fields<'_>) -> Result<()>,
}

/// What a family is unless it says otherwise: Llama's forward pass, and no window.
const PLAIN: Family = Family {
    name: "",
    architectures: &[],
    gguf_architecture: "",
    tensors: &[],
    width_key: "intermediate_size",
    skipped: &[],
    gguf_interleaves_qk: false,
    activation: Activation::Silu,
    norm_offset: 0.0,
    scales_embedding: false,
    scale_key: None,
    multiplies: false,
    gguf_wide_heads: None,
    rope_theta: 1e4,
    partial_rope: false,
    local_theta: None,
    unrotated_every: None,
    defaults: || json!({}),
    window: window::none,
    full_every: None,
    check: |_| Ok(()),
};

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Family {
    /// The tensor for `role`, if this family has one.
    pub fn tensor(&self, role: Role) -> Option<&'static Tensor> {
        self.tensors.iter().find(|tensor| tensor.role == role)
    }

    /// Whether this family has a tensor for `role`.
    pub fn has(&self, role: Role) -> bool {
        self.tensor(role).is_some()
    }

    /// Errors if GGUF files have other tensors than those of this family; `what` is to be written.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check_gguf(&self, what: &str) -> Result<()> {
        if self.gguf_architecture.is_empty() {
            let problem =
                format!("{} is not written as GGUF, which has other matrices for its models", self.name);
            let hint = "export to a Hugging Face folder, which llama.cpp's converter takes";
            return Err(Error::usage(what, problem, hint));
        }
        Ok(())
    }

    /// The module of this family that `part` is, or is among whose [parts](Module::parts) it is.
    pub fn holder(&self, part: Module) -> Module {
        let mut modules = self.tensors.iter().filter_map(|tensor| tensor.role.module());
        modules.find(|module| module.parts().contains(&part)).unwrap_or(part)
    }

    /// The tensor that has `name` in GGUF files, and its block. What only other families have is found too, so that it can be
    /// said which tensor is too much.
    pub fn gguf_tensor(&self, name: &str) -> Option<(usize, &'static Tensor)> {
        let others = FAMILIES.iter().flat_map(|family| family.tensors);
        let mut all = self.tensors.iter().chain(others);
        all.find_map(|tensor| tensor.gguf_layer(name).map(|layer| (layer, tensor)))
    }

    /// The heads of `module`'s rows if GGUF files have the RoPE halves of each interleaved, where q has `heads` and k has `kv_heads`.
    pub fn interleaved_heads(&self, module: Module, [heads, kv_heads]: [usize; 2]) -> Option<usize> {
        match module {
            Module::Q if self.gguf_interleaves_qk => Some(heads),
            Module::K if self.gguf_interleaves_qk => Some(kv_heads),
            _ => None,
        }
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

/// The family of a GGUF file's `general.architecture`; where two share one, that with windows if the file `has_window`.
///
/// # Errors
/// `Input` with the list of known names.
pub fn by_gguf_architecture(file: &Path, architecture: &str, has_window: bool) -> Result<&'static Family> {
    let mut all = FAMILIES
        .iter()
        .copied()
        .filter(|family| !architecture.is_empty() && family.gguf_architecture == architecture);
    let first = all.next().ok_or_else(|| {
        let named = FAMILIES.iter().map(|family| family.gguf_architecture);
        let mut known: Vec<&str> = named.filter(|name| !name.is_empty()).collect();
        known.dedup();
        unknown(file, "general.architecture", architecture, &known)
    })?;
    Ok(all.find(|family| has_window && family.full_every.is_some()).unwrap_or(first))
}

fn unknown(file: &Path, field: &str, architecture: &str, known: &[&str]) -> Error {
    let alike = |name: &str| name.chars().zip(architecture.chars()).take_while(|(a, b)| a == b).count();
    let nearest =
        known.iter().copied().rev().max_by_key(|name| alike(name)).filter(|name| alike(name) >= NEAR);
    let nearest = nearest.map_or_else(String::new, |name| format!("; the nearest that is known is {name}"));
    Error::input(
        file,
        field,
        format!("unknown architecture {architecture:?}{nearest}"),
        format!("use a model of one of {}", known.join(", ")),
    )
}

/// Names of architectures that begin with so many letters alike are near each other.
const NEAR: usize = 3;
