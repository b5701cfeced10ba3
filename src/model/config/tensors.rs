//! The tensors that a configuration calls for: those of its family, in its sizes.

use super::ModelConfig;
use crate::model::family::tensors::{Dim, Role, Tensor};
use crate::model::module::Module;

impl ModelConfig {
    /// A size by its name.
    pub fn size(&self, dim: Dim) -> usize {
        match dim {
            Dim::Vocabulary => self.vocab_size,
            Dim::Hidden => self.hidden_size,
            Dim::Intermediate => self.intermediate_size,
            Dim::Queries => self.num_heads * self.head_dim,
            Dim::Keys => self.num_kv_heads * self.head_dim,
            Dim::Head => self.head_dim,
            Dim::QueriesKeysValues => self.q_size() + 2 * self.kv_size(),
            Dim::GateUp => 2 * self.intermediate_size,
        }
    }

    /// Rows of the q projection: `num_heads * head_dim`.
    pub fn q_size(&self) -> usize {
        self.size(Dim::Queries)
    }

    /// Rows of the k and of the v projection: `num_kv_heads * head_dim`.
    pub fn kv_size(&self) -> usize {
        self.size(Dim::Keys)
    }

    /// The shape of a tensor of this model.
    pub fn shape(&self, tensor: &Tensor) -> Vec<usize> {
        tensor.shape.iter().map(|&dim| self.size(dim)).collect()
    }

    /// `[outputs, inputs]` of a module's matrix; `None` if the family does not have the module.
    pub fn module_shape(&self, module: Module) -> Option<[usize; 2]> {
        let tensor = self.family.tensor(Role::Weight(module))?;
        self.shape(tensor).try_into().ok()
    }

    /// Rows of the matrix of a module, which may be a part of one that the family has.
    pub fn part_rows(&self, part: Module) -> usize {
        self.size(match part {
            Module::Q => Dim::Queries,
            Module::K | Module::V => Dim::Keys,
            Module::Qkv => Dim::QueriesKeysValues,
            Module::Gate | Module::Up => Dim::Intermediate,
            Module::GateUp | Module::Input => Dim::GateUp,
            Module::O | Module::Down | Module::Output => Dim::Hidden,
        })
    }

    /// Whether q, k and v have biases.
    pub fn attention_bias(&self) -> bool {
        self.family.has(Role::Bias(Module::Q))
    }

    /// Whether q and k heads are normalised before RoPE.
    pub fn qk_norm(&self) -> bool {
        self.family.has(Role::QueryNorm)
    }
}

/// Every tensor of the model with its shape, in the order of the forward pass.
pub fn expected(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let of_block = |tensor: &&Tensor| tensor.role.is_of_block();
    let left_out = |tensor: &&Tensor| config.tie_word_embeddings && tensor.role == Role::Head;
    let named = |layer: usize| move |tensor: &Tensor| (tensor.hf_name(layer), config.shape(tensor));
    let all = || config.family.tensors.iter().filter(|tensor| !left_out(tensor));
    let before = all().take_while(|tensor| !of_block(tensor)).map(named(0));
    let blocks = (0..config.num_layers).flat_map(|layer| all().filter(of_block).map(named(layer)));
    let after = all().skip_while(|tensor| !of_block(tensor)).filter(|tensor| !of_block(tensor)).map(named(0));
    before.chain(blocks).chain(after).collect()
}
