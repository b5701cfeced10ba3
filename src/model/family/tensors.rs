//! The tensors of a model as data: what each is for, its names in Hugging Face checkpoints and in GGUF files, and its shape.
//!
//! A family lists its tensors in [`Family::tensors`](super::Family::tensors), in the order of the forward pass. All else follows
//! from that list: which names and shapes a file must have, how those of a GGUF file are understood, what the loader puts where, which modules an
//! adapter may have, the names in an exported adapter, and the number of weights. A family that names one otherwise has a row of
//! its own, such as `Tensor { hf: "pre_feedforward_layernorm", ..MLP_NORM }`.

use crate::model::module::{BLOCKS, Module};

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Rows that tokens become.
    Embedding,
    /// RMSNorm before attention.
    AttentionNorm,
    /// The matrix of a linear module, which an adapter may have a part for.
    Weight(Module),
    /// What a linear module adds.
    Bias(Module),
    /// RMSNorm of each query head, or of all together, before RoPE.
    QueryNorm,
    /// RMSNorm of each key head, or of all together, before RoPE.
    KeyNorm,
    /// RMSNorm of what attention adds to the residual stream.
    PostAttentionNorm,
    /// RMSNorm before the MLP.
    MlpNorm,
    /// RMSNorm of what the MLP adds to the residual stream.
    PostMlpNorm,
    /// RMSNorm before the head.
    FinalNorm,
    /// The output head, where it is not the embedding.
    Head,
}

impl Role {
    /// Whether every block has one; the whole model has one of the others.
    pub const fn is_of_block(self) -> bool {
        !matches!(self, Self::Embedding | Self::FinalNorm | Self::Head)
    }

    /// Whether it is a norm's weight.
    pub const fn is_norm(self) -> bool {
        match self {
            Self::AttentionNorm | Self::QueryNorm | Self::KeyNorm | Self::PostAttentionNorm => true,
            Self::MlpNorm | Self::PostMlpNorm | Self::FinalNorm => true,
            Self::Embedding | Self::Weight(_) | Self::Bias(_) | Self::Head => false,
        }
    }

    /// The module of a matrix or bias.
    pub const fn module(self) -> Option<Module> {
        match self {
            Self::Weight(module) | Self::Bias(module) => Some(module),
            _ => None,
        }
    }

    /// How its names end.
    const fn ending(self) -> &'static str {
        if matches!(self, Self::Bias(_)) { ".bias" } else { ".weight" }
    }
}

/// A size of a model, as [`ModelConfig::size`](crate::model::config::ModelConfig::size) gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Rows of the embedding.
    Vocabulary,
    /// Width of the residual stream.
    Hidden,
    /// Width of the MLP.
    Intermediate,
    /// All query heads.
    Queries,
    /// All key heads; all value heads.
    Keys,
    /// One head.
    Head,
    /// All query, key and value heads.
    QueriesKeysValues,
    /// The MLP's gate and what it is multiplied with.
    GateUp,
}

/// One tensor of a model, or one of each of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor {
    /// What it is for.
    pub role: Role,
    /// Its name in Hugging Face checkpoints, without `model.layers.N.` and `.weight` or `.bias`.
    pub hf: &'static str,
    /// Its name in GGUF files, without `blk.N.` and the same endings.
    pub gguf: &'static str,
    /// `[outputs, inputs]` of a matrix, `[n]` of a vector.
    pub shape: &'static [Dim],
}

impl Tensor {
    /// The whole name in Hugging Face checkpoints; `layer` counts only for tensors of blocks.
    pub fn hf_name(&self, layer: usize) -> String {
        let ending = self.role.ending();
        match self.role.is_of_block() {
            true => format!("{BLOCKS}{layer}.{}{ending}", self.hf),
            false => format!("{}{ending}", self.hf),
        }
    }

    /// The whole name in GGUF files; `layer` counts only for tensors of blocks.
    pub fn gguf_name(&self, layer: usize) -> String {
        let ending = self.role.ending();
        match self.role.is_of_block() {
            true => format!("{GGUF_BLOCKS}{layer}.{}{ending}", self.gguf),
            false => format!("{}{ending}", self.gguf),
        }
    }

    /// Whether `name` is its whole name in Hugging Face checkpoints, for a tensor of the whole model.
    pub fn is(&self, name: &str) -> bool {
        !self.role.is_of_block() && name.strip_suffix(self.role.ending()) == Some(self.hf)
    }

    /// The block of this tensor that has `name` in GGUF files, 0 for a tensor of the whole model; `None` if it is another's.
    pub fn gguf_layer(&self, name: &str) -> Option<usize> {
        let stem = name.strip_suffix(self.role.ending())?;
        if !self.role.is_of_block() {
            return (stem == self.gguf).then_some(0);
        }
        let (layer, stem) = stem.strip_prefix(GGUF_BLOCKS)?.split_once('.')?;
        let layer: u32 = layer.parse().ok().filter(|_| stem == self.gguf)?;
        usize::try_from(layer).ok()
    }

    /// The matrix of a module.
    pub(super) const fn weight(module: Module, gguf: &'static str, shape: &'static [Dim; 2]) -> Self {
        Self { role: Role::Weight(module), hf: module.stem(), gguf, shape }
    }

    /// What the module of `weight` adds; `shape` are the matrix's rows.
    const fn bias(weight: Self, shape: &'static [Dim; 1]) -> Self {
        match weight.role.module() {
            Some(module) => Self { role: Role::Bias(module), shape, ..weight },
            None => weight,
        }
    }

    /// A norm over `shape`.
    const fn norm(role: Role, hf: &'static str, gguf: &'static str, shape: &'static [Dim; 1]) -> Self {
        Self { role, hf, gguf, shape }
    }
}

/// What GGUF names of tensors of blocks begin with.
const GGUF_BLOCKS: &str = "blk.";

/// The token embedding.
pub const EMBEDDING: Tensor = Tensor {
    role: Role::Embedding,
    hf: "model.embed_tokens",
    gguf: "token_embd",
    shape: &[Dim::Vocabulary, Dim::Hidden],
};
/// Norm of the attention half's input.
pub const ATTENTION_NORM: Tensor =
    Tensor::norm(Role::AttentionNorm, "input_layernorm", "attn_norm", &[Dim::Hidden]);
/// Query projection.
pub const Q: Tensor = Tensor::weight(Module::Q, "attn_q", &[Dim::Queries, Dim::Hidden]);
/// Bias of the query projection.
pub const Q_BIAS: Tensor = Tensor::bias(Q, &[Dim::Queries]);
/// Key projection.
pub const K: Tensor = Tensor::weight(Module::K, "attn_k", &[Dim::Keys, Dim::Hidden]);
/// Bias of the key projection.
pub const K_BIAS: Tensor = Tensor::bias(K, &[Dim::Keys]);
/// Value projection.
pub const V: Tensor = Tensor::weight(Module::V, "attn_v", &[Dim::Keys, Dim::Hidden]);
/// Bias of the value projection.
pub const V_BIAS: Tensor = Tensor::bias(V, &[Dim::Keys]);
/// Queries, keys and values as one matrix.
pub const QKV: Tensor = Tensor::weight(Module::Qkv, "attn_qkv", &[Dim::QueriesKeysValues, Dim::Hidden]);
/// Norm of query heads.
pub const Q_NORM: Tensor = Tensor::norm(Role::QueryNorm, "self_attn.q_norm", "attn_q_norm", &[Dim::Head]);
/// Norm of key heads.
pub const K_NORM: Tensor = Tensor::norm(Role::KeyNorm, "self_attn.k_norm", "attn_k_norm", &[Dim::Head]);
/// Attention's output projection.
pub const O: Tensor = Tensor::weight(Module::O, "attn_output", &[Dim::Hidden, Dim::Queries]);
/// Norm of the attention half's output.
pub const POST_ATTENTION_NORM: Tensor =
    Tensor::norm(Role::PostAttentionNorm, "post_attention_layernorm", "post_attention_norm", &[Dim::Hidden]);
/// Norm of the MLP half's output.
pub const POST_MLP_NORM: Tensor =
    Tensor::norm(Role::PostMlpNorm, "post_feedforward_layernorm", "post_ffw_norm", &[Dim::Hidden]);
/// Norm of the MLP half's input; in a family with [`POST_ATTENTION_NORM`] it has another name.
pub const MLP_NORM: Tensor =
    Tensor::norm(Role::MlpNorm, "post_attention_layernorm", "ffn_norm", &[Dim::Hidden]);
/// The MLP's gate.
pub const GATE: Tensor = Tensor::weight(Module::Gate, "ffn_gate", &[Dim::Intermediate, Dim::Hidden]);
/// What the gate is multiplied with.
pub const UP: Tensor = Tensor::weight(Module::Up, "ffn_up", &[Dim::Intermediate, Dim::Hidden]);
/// The MLP's gate and what it is multiplied with as one matrix.
pub const GATE_UP: Tensor = Tensor::weight(Module::GateUp, "ffn_up", &[Dim::GateUp, Dim::Hidden]);
/// The MLP's output projection.
pub const DOWN: Tensor = Tensor::weight(Module::Down, "ffn_down", &[Dim::Hidden, Dim::Intermediate]);
/// Norm of the head's input.
pub const FINAL_NORM: Tensor = Tensor::norm(Role::FinalNorm, "model.norm", "output_norm", &[Dim::Hidden]);
/// The output head.
pub const HEAD: Tensor =
    Tensor { role: Role::Head, hf: "lm_head", gguf: "output", shape: &[Dim::Vocabulary, Dim::Hidden] };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::family::FAMILIES;

    #[test]
    fn every_family_has_each_role_and_name_once_and_in_order() {
        for family in FAMILIES {
            let tensors = family.tensors;
            for (index, tensor) in tensors.iter().enumerate() {
                for other in &tensors[..index] {
                    assert_ne!(tensor.role, other.role, "{}", family.name);
                    assert_ne!(tensor.hf_name(1), other.hf_name(1), "{}", family.name);
                    assert_ne!(tensor.gguf_name(1), other.gguf_name(1), "{}", family.name);
                }
            }
            // What the whole model has stands around what each block has.
            let changes =
                tensors.windows(2).filter(|pair| pair[0].role.is_of_block() != pair[1].role.is_of_block());
            assert_eq!(changes.count(), 2, "{}", family.name);
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for tensor in FAMILIES.iter().flat_map(|family| family.tensors) {
            let layer = if tensor.role.is_of_block() { 12 } else { 0 };
            assert_eq!(tensor.gguf_layer(&tensor.gguf_name(layer)), Some(layer), "{tensor:?}");
            assert_eq!(tensor.gguf_layer(&format!("x{}", tensor.gguf_name(layer))), None);
            assert_eq!(tensor.is(&tensor.hf_name(layer)), !tensor.role.is_of_block());
        }
        assert_eq!(Q_BIAS.hf_name(3), "model.layers.3.self_attn.q_proj.bias");
        assert_eq!(Q_BIAS.gguf_name(3), "blk.3.attn_q.bias");
        assert_eq!((Q.gguf_layer("blk.3.attn_q.bias"), HEAD.gguf_layer("output_norm.weight")), (None, None));
    }
}
