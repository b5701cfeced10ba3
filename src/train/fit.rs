//! What a run will take of the GPU's memory, before anything is loaded.

use serde::Serialize;

use super::trainer;
use crate::kernel::weight::Format;
use crate::model::config::ModelConfig;
use crate::model::generate::{Lengths, Sizes};
use crate::model::lora::Layout;
use crate::model::score;
use crate::model::source::TensorSource;
use crate::model::weights::resident_bytes;
use crate::{Error, Result};

/// What is to be done with a model.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// The adapter, if there is one.
    pub adapter: Option<Layout>,
    /// What is sampled together, if anything is.
    pub sampling: Option<Sizes>,
    /// Tokens of the largest training pass, if there is training.
    pub training: Option<usize>,
    /// Tokens of the text that is scored, if one is.
    pub scoring: Option<usize>,
}

impl Workload {
    /// Training an adapter of `layout` on `batch` sequences of `length` tokens at a time, with at most `pack_tokens` of them in
    /// one pass of the model, and sampling as many: half of each is prompt.
    pub fn of_batch(layout: Layout, batch: usize, length: usize, pack_tokens: usize, context: usize) -> Self {
        let row = Lengths { prompt: length.div_ceil(2), samples: 1, max_tokens: length / 2 };
        Self {
            adapter: Some(layout),
            sampling: Some(Sizes::new(&vec![row; batch], batch, context, 0)),
            training: Some((batch * length).min(pack_tokens.max(length))),
            scoring: None,
        }
    }
}

/// Bytes of GPU memory by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Fit {
    /// Base weights and the rotation table.
    pub weights: u64,
    /// Keys and values of the sequences that are sampled together.
    pub kv: u64,
    /// Intermediate results of decoding, prefill and training; these are kept side by side.
    pub activations: u64,
    /// The adapter's values.
    pub adapter: u64,
    /// Gradients and both moments of AdamW.
    pub optimizer: u64,
    /// The largest buffer that cannot be split, which the device bounds apart; weights, and what several modules write, can be.
    pub largest_buffer: u64,
}

impl Fit {
    /// The memory that `workload` takes on the model of `source`.
    pub fn new(
        config: &ModelConfig,
        source: &dyn TensorSource,
        format: Option<Format>,
        context: usize,
        workload: &Workload,
    ) -> Self {
        let rank = workload.adapter.as_ref().map_or(0, Layout::max_rank);
        let flat = workload.adapter.as_ref().map_or(0, |layout| layout.len() as u64 * 4);
        let mut fit = Self {
            weights: resident_bytes(config, source, format, context),
            adapter: flat,
            largest_buffer: flat,
            ..Self::default()
        };
        if let Some(sizes) = &workload.sampling {
            fit.kv = sizes.kv_bytes(config);
            fit.activations += sizes.activation_bytes(config, rank);
            fit.largest_buffer = fit.largest_buffer.max(sizes.largest_buffer(config, rank));
        }
        if let Some(tokens) = workload.scoring {
            fit.activations += score::bytes(config, tokens, rank);
            fit.largest_buffer = fit.largest_buffer.max(trainer::largest_buffer(config, tokens, rank));
        }
        if let Some(tokens) = workload.training {
            fit.optimizer = 3 * flat;
            fit.activations += trainer::arena_bytes(config, tokens, rank);
            fit.largest_buffer = fit.largest_buffer.max(trainer::largest_buffer(config, tokens, rank));
        }
        fit
    }

    /// The memory of both, on the same model.
    pub fn beside(self, other: Self) -> Self {
        Self {
            weights: self.weights,
            kv: self.kv + other.kv,
            activations: self.activations + other.activations,
            adapter: self.adapter + other.adapter,
            optimizer: self.optimizer + other.optimizer,
            largest_buffer: self.largest_buffer.max(other.largest_buffer),
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.kv + self.activations + self.adapter + self.optimizer
    }

    /// Whether it fits into `available` bytes (`None` if no limit is known) with buffers of at most `largest` bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] that says how much is needed and which option lowers it.
    pub fn check(&self, what: &str, available: Option<u64>, largest: u64) -> Result<()> {
        let hint = self.hint();
        if let Some(available) = available.filter(|&available| self.total() > available) {
            return Err(Error::OutOfMemory { what: what.into(), needed: self.total(), available, hint });
        }
        if self.largest_buffer > largest {
            let what = format!("the largest buffer of {what}");
            return Err(Error::OutOfMemory { what, needed: self.largest_buffer, available: largest, hint });
        }
        Ok(())
    }

    /// The options that lower the largest part.
    fn hint(&self) -> String {
        let weights =
            format!("the weights: <weights> {}, or a smaller model", Format::choice(Format::has_scales));
        let parts = [
            (self.weights, weights.as_str()),
            (self.kv, "the KV cache: <context|max_tokens|group_size|batch_size>"),
            (self.activations, "the activations: <max_length|max_tokens|context|batch_size>"),
            (self.adapter + self.optimizer, "the adapter: <lora.rank|lora.targets>"),
        ];
        let (bytes, option) = parts.into_iter().max_by_key(|(bytes, _)| *bytes).unwrap_or_default();
        format!("raise <memory_limit>, or lower the largest part ({bytes} bytes), {option}")
    }
}
