//! The intermediate results of a transformer block, as buffers that products of several modules write and read at once.

use super::config::ModelConfig;
use super::family::tensors::Role;
use super::module::Module;
use crate::gpu::buffer_set::{Joined, buffer_set};
use crate::gpu::{Buffer, VIEW_ALIGNMENT};
use crate::kernel::attention::full::Saved;
use crate::{Error, Result};

buffer_set! {
    /// The intermediate results of one block for some tokens, with adapters of up to `rank`.
    pub struct Activations[tokens](config: &ModelConfig, rank: usize) {
        /// Normalised input of the attention half. Decoding a few rows on a GPU leaves it alone, and with it `x_mlp` and
        /// `gate_up`: their kernels hand over nothing but `act`.
        pub x_attention[tokens]: Buffer = [tokens, config.hidden_size];
        /// What the projections make: queries, keys and values.
        pub qkv[tokens]: [Buffer; 3] =
            Joined(tokens, [config.q_size(), config.kv_size(), config.kv_size()]);
        /// Queries after their per-head norm, where the family has one.
        pub normed_q[tokens]: Option<Buffer> = config.qk_norm().then(|| [tokens, config.q_size()]);
        /// Keys after their per-head norm, where the family has one.
        pub normed_k[tokens]: Option<Buffer> = config.qk_norm().then(|| [tokens, config.kv_size()]);
        /// Output of attention.
        pub o[tokens]: Buffer = [tokens, config.q_size()];
        /// Softmax statistics of each head; unused while decoding.
        pub stats[tokens]: Buffer = [tokens, config.num_heads, 2];
        /// Output of the attention half before its norm, where the family has one.
        pub attention_out[tokens]: Option<Buffer> =
            config.family.has(Role::PostAttentionNorm).then_some([tokens, config.hidden_size]);
        /// Normalised input of the MLP half.
        pub x_mlp[tokens]: Buffer = [tokens, config.hidden_size];
        /// Gate and up projection.
        pub gate_up[tokens]: [Buffer; 2] = Joined(tokens, [config.intermediate_size; 2]);
        /// act(gate)·up.
        pub act[tokens]: Buffer = [tokens, config.intermediate_size];
        /// Output of the MLP half before its norm, where the family has one.
        pub mlp_out[tokens]: Option<Buffer> =
            config.family.has(Role::PostMlpNorm).then_some([tokens, config.hidden_size]);
        /// A·x of each part of [`Module::PARTS`], by `Module as usize`; one has the first tokens·rank elements of its row.
        pub low[]: Option<Buffer> =
            (rank > 0).then(|| [Module::PARTS.len(), low_elements(tokens, rank)]);
    }
}

impl Activations {
    /// Rotated queries.
    pub fn q(&self) -> &Buffer {
        self.normed_q.as_ref().unwrap_or(&self.qkv[0])
    }

    /// Rotated keys; while decoding, keys in either state: the rotated ones are in the cache.
    pub fn k(&self) -> &Buffer {
        self.normed_k.as_ref().unwrap_or(&self.qkv[1])
    }

    /// Values.
    pub fn v(&self) -> &Buffer {
        &self.qkv[2]
    }

    /// Where A·x of a module begins in [`Activations::low`].
    pub fn low_start(&self, module: Module) -> usize {
        self.low.as_ref().map_or(0, |low| module as usize * low.shape()[1])
    }

    /// A·x of one module with its own rank `[tokens, rank]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the activations were made without a rank or for a lower one.
    pub fn low(&self, module: Module, rank: usize) -> Result<Buffer> {
        let tokens = self.x_attention.shape()[0];
        match &self.low {
            Some(low) => low_of(low, module, tokens, rank),
            None => Err(no_low(tokens, rank, &[])),
        }
    }

    /// What attention saves for its backward pass.
    pub fn saved(&self) -> Saved<'_> {
        Saved { q: self.q(), k: self.k(), v: self.v(), o: &self.o, stats: &self.stats }
    }
}

/// The part of a buffer like [`Activations::low`] that belongs to a module `[tokens, rank]`.
pub fn low_of(low: &Buffer, module: Module, tokens: usize, rank: usize) -> Result<Buffer> {
    let [_, elements] = low.matrix("activations", "low")?;
    if tokens * rank > elements {
        return Err(no_low(tokens, rank, low.shape()));
    }
    low.view(module as usize * elements, &[tokens, rank])
}

fn no_low(tokens: usize, rank: usize, shape: &[usize]) -> Error {
    Error::Shape { kernel: "activations", arg: "low", expected: vec![tokens, rank], got: shape.to_vec() }
}

/// Elements of each module in [`Activations::low`]: views begin at multiples of [`VIEW_ALIGNMENT`].
pub fn low_elements(tokens: usize, rank: usize) -> usize {
    (tokens * rank).next_multiple_of(VIEW_ALIGNMENT)
}
