//! The GPU memory of training passes: made once, seen in part by the plans of smaller buckets.

use crate::Result;
use crate::gpu::buffer_set::{Each, buffer_set};
use crate::gpu::{Buffer, Gpu};
use crate::model::Model;
use crate::model::activations::Activations;
use crate::model::config::ModelConfig;
use crate::model::packed::{Intermediates, PackedBuffers, bucket};
use crate::train::backward::GradientBuffers;

buffer_set! {
    /// What the forward pass leaves for the backward pass besides, and what the loss says in between.
    pub(super) struct PassState[tokens, rows](config: &ModelConfig) {
        /// The input of every block, and the final state.
        pub(super) hidden[tokens]: Vec<Buffer> = Each(config.num_layers + 1, [tokens, config.hidden_size]);
        /// dLoss/dlogprob of each scored row.
        pub(super) coefficient[rows]: Buffer = [rows];
    }
}

/// The memory that plans of every bucket share.
pub(super) struct Arena {
    pub(super) buffers: PackedBuffers,
    pub(super) act: Intermediates,
    pub(super) pass: PassState,
    pub(super) d: GradientBuffers,
}

impl Arena {
    pub(super) fn new(gpu: &Gpu, model: &Model, tokens: usize, rows: usize, rank: usize) -> Result<Self> {
        let config = model.config();
        Ok(Self {
            buffers: PackedBuffers::for_model(model, tokens, rows)?,
            act: Intermediates::new(gpu, config, tokens, rank, keeps(gpu, config, tokens, rank))?,
            pass: PassState::new(gpu, tokens, rows, config)?,
            d: GradientBuffers::new(gpu, tokens, rows, config, rank)?,
        })
    }

    pub(super) fn tokens(&self) -> usize {
        self.buffers.token.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.buffers.index.len()
    }

    pub(super) fn first(&self, tokens: usize, rows: usize) -> Result<Self> {
        Ok(Self {
            buffers: self.buffers.first(tokens, rows)?,
            act: self.act.first(tokens)?,
            pass: self.pass.first(tokens, rows)?,
            d: self.d.first(tokens, rows)?,
        })
    }
}

/// The most that is kept of intermediate results where nobody said how much memory there is; in a browser a page should be modest.
const KEPT_BYTES: u64 = if cfg!(target_arch = "wasm32") { 128 << 20 } else { 512 << 20 };

/// Whether there is room for the intermediate results of every block. They save computing every block once more, a third of
/// a step; without them a step takes what [`arena_bytes`] says.
fn keeps(gpu: &Gpu, config: &ModelConfig, tokens: usize, rank: usize) -> bool {
    let more = Intermediates::kept_bytes(config, tokens, rank);
    match gpu.available_bytes() {
        Some(available) => more + arena_bytes(config, tokens, rank) <= available / 4 * 3,
        None => more <= KEPT_BYTES,
    }
}

/// Bytes of everything but the adapter that training needs on the GPU for passes of up to `tokens` tokens. Where there is room it
/// takes more, see [`keeps`].
pub(in crate::train) fn arena_bytes(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
    let tokens = bucket(tokens);
    PackedBuffers::bytes(tokens, tokens, config, PackedBuffers::least_chunk(config, tokens))
        + Activations::bytes(tokens, config, rank)
        + PassState::bytes(tokens, tokens, config)
        + GradientBuffers::bytes(tokens, tokens, config, rank)
}

/// The largest buffer among these that cannot be split, in bytes.
pub(in crate::train) fn largest_buffer(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
    let tokens = bucket(tokens);
    let each = [
        PackedBuffers::largest(tokens, tokens, config, PackedBuffers::least_chunk(config, tokens)),
        Activations::largest(tokens, config, rank),
        PassState::largest(tokens, tokens, config),
        GradientBuffers::largest(tokens, tokens, config, rank),
    ];
    each.into_iter().max().unwrap_or(0)
}
