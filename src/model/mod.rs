//! Models: configuration, families, weights, tokenizer and chat template; the forward pass.

pub mod activations;
pub mod block;
pub mod chat;
pub mod config;
pub mod family;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod forest;
pub mod generate;
mod guarded;
#[cfg(not(target_arch = "wasm32"))]
pub mod guide;
#[cfg(not(target_arch = "wasm32"))]
pub mod hub;
pub mod lora;
pub mod module;
pub mod open;
pub mod pack;
pub mod packed;
pub mod score;
pub mod source;
#[cfg(not(target_arch = "wasm32"))]
pub mod tiny;
#[cfg(not(target_arch = "wasm32"))]
pub mod to_gguf;
pub mod tokenizer;
pub mod weights;

use std::sync::Arc;

use block::{Block, Positions};
use config::{ModelConfig, Rope};
use lora::Lora;
use source::TensorSource;
use weights::Weights;

use crate::gpu::{Buffer, Gpu};
use crate::kernel::weight::Format;
use crate::{Error, Result};

/// A model on the GPU: configuration, base weights and rotation table. It has no state; adapters and caches live apart.
#[derive(Debug)]
pub struct Model {
    gpu: Arc<Gpu>,
    config: ModelConfig,
    weights: Weights,
    rope_table: Buffer,
    local_rope_table: Option<Buffer>,
    context: usize,
}

impl Model {
    /// Streams the weights of `source` to `gpu`. `context` is the longest sequence it will see (at most the
    /// configuration's own).
    ///
    /// # Errors
    /// What [`Weights::load`] says.
    pub fn load(
        gpu: Arc<Gpu>,
        config: ModelConfig,
        source: &mut dyn TensorSource,
        format: Option<Format>,
        context: usize,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        let context = context.min(config.max_position_embeddings).max(1);
        if context >= gpu.most_turns() {
            return Err(Error::usage(
                "context_length",
                format!("sequences of {context} tokens are too long for a software adapter's loops"),
                format!("set <context_length> to {} or less, or use a GPU", gpu.most_turns() - 1),
            ));
        }
        let weights = Weights::load(&gpu, &config, source, format, progress)?;
        let upload = |rope: Option<&Rope>| {
            let head_dim = config.head_dim;
            let frequencies = rope.map_or_else(Vec::new, |rope| rope.inv_freq(config.turned));
            let factor = rope.map_or(1.0, Rope::attention_factor);
            gpu.upload(
                "rope",
                &[context, head_dim],
                &rope_table(&frequencies, factor, [context, head_dim / 2]),
            )
        };
        let rope_table = upload(Some(&config.rope))?;
        let local = config.local_rope.as_ref();
        let local_rope_table = local.map(|local| upload(local.rope.as_ref())).transpose()?;
        Ok(Self { gpu, config, weights, rope_table, local_rope_table, context })
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Sizes and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Base weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Longest sequence.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How rows at `position` `[rows]` turn in the layer of this number.
    pub fn positions<'a>(&'a self, layer: usize, position: &'a Buffer) -> Positions<'a> {
        let table = match &self.local_rope_table {
            Some(table) if self.config.is_local(layer) => table,
            _ => &self.rope_table,
        };
        Positions { position, table, turned: self.config.turned }
    }

    /// One block with the adapter that is live.
    pub fn block<'a>(&'a self, layer: usize, lora: Option<&'a Lora>) -> Block<'a> {
        Block { config: &self.config, layer, weights: &self.weights.layers[layer], lora }
    }
}

/// cos and sin of position · frequency times `factor`, one pair each: angles as PyTorch rounds them, functions in f64. Of `pairs` a
/// position those without a frequency do not turn.
///
/// A table, because shaders promise an accuracy of only 2⁻¹¹ for sin and cos, and none for large angles.
fn rope_table(frequencies: &[f32], factor: f64, [context, pairs]: [usize; 2]) -> Vec<[f32; 2]> {
    let mut table = Vec::with_capacity(context * pairs);
    for position in 0..context {
        for frequency in frequencies {
            let angle = f64::from(position as f32 * frequency);
            table.push([(angle.cos() * factor) as f32, (angle.sin() * factor) as f32]);
        }
        table.resize((position + 1) * pairs, [1.0, 0.0]);
    }
    table
}

/// A size as the GPU counts it. Buffers hold fewer than 2³² elements, so nothing is lost.
pub(crate) fn index32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
