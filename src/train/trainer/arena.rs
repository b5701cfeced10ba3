//! The GPU memory of training passes: made once, seen in part by the plans of smaller buckets.

use crate::Result;
use crate::gpu::{Buffer, Gpu};
use crate::model::Model;
use crate::model::activations::Activations;
use crate::model::config::ModelConfig;
use crate::model::packed::{Intermediates, PackedBuffers, bucket};
use crate::train::backward::GradientBuffers;

/// The memory that plans of every bucket share.
pub(super) struct Arena {
    pub(super) buffers: PackedBuffers,
    pub(super) act: Intermediates,
    /// The input of every block, and the final state.
    pub(super) hidden: Vec<Buffer>,
    pub(super) coefficient: Buffer,
    pub(super) d: GradientBuffers,
}

impl Arena {
    pub(super) fn new(gpu: &Gpu, model: &Model, tokens: usize, rows: usize, rank: usize) -> Result<Self> {
        let config = model.config();
        let hidden = (0..=config.num_layers).map(|_| gpu.buffer("hidden", &[tokens, config.hidden_size]));
        Ok(Self {
            buffers: PackedBuffers::new(gpu, model, tokens, rows)?,
            act: Intermediates::new(gpu, config, tokens, rank, keeps(gpu, config, tokens, rank))?,
            hidden: hidden.collect::<Result<_>>()?,
            coefficient: gpu.buffer("coefficient", &[rows])?,
            d: GradientBuffers::new(gpu, model, tokens, rows, rank)?,
        })
    }

    pub(super) fn tokens(&self) -> usize {
        self.buffers.token.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.buffers.index.len()
    }

    pub(super) fn first(&self, tokens: usize, rows: usize) -> Result<Self> {
        let width = |buffer: &Buffer| buffer.shape()[1];
        Ok(Self {
            buffers: self.buffers.first(tokens, rows)?,
            act: self.act.first(tokens)?,
            hidden: self.hidden.iter().map(|h| h.view(0, &[tokens, width(h)])).collect::<Result<_>>()?,
            coefficient: self.coefficient.view(0, &[rows])?,
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
    let hidden = (config.num_layers + 1) * config.hidden_size;
    PackedBuffers::bytes(config, tokens, tokens)
        + Activations::bytes(config, tokens, rank)
        + GradientBuffers::bytes(config, tokens, tokens, rank)
        + 4 * tokens as u64 * (hidden + 1) as u64
}

/// The largest buffer among these, in bytes.
pub(in crate::train) fn largest_buffer(config: &ModelConfig, tokens: usize) -> u64 {
    4 * bucket(tokens) as u64 * config.hidden_size.max(config.intermediate_size).max(config.q_size()) as u64
}
