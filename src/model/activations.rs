//! The intermediate results of a transformer block, as buffers that products of several modules write and read at once.

use super::config::ModelConfig;
use super::module::Module;
use crate::gpu::{Buffer, Gpu, VIEW_ALIGNMENT, region_elements};
use crate::kernel::attention::full::Saved;
use crate::{Error, Result};

/// The intermediate results of one block for some tokens.
#[derive(Debug, Clone)]
pub struct Activations {
    /// Normalised input of the attention half `[tokens, hidden]`. Decoding a few rows on a GPU leaves it alone, and with it
    /// `x_mlp`, `gate` and `up`: their kernels hand over nothing but `act`.
    pub x_attention: Buffer,
    /// Projections before their per-head norm, where the family has one: `[tokens, heads·head_dim]`, `[tokens, kv…]`.
    pub raw_qk: Option<[Buffer; 2]>,
    /// Rotated queries `[tokens, heads·head_dim]`.
    pub q: Buffer,
    /// Rotated keys `[tokens, kv_heads·head_dim]`; while decoding, keys in either state: the rotated ones are in the cache.
    pub k: Buffer,
    /// Values `[tokens, kv_heads·head_dim]`.
    pub v: Buffer,
    /// Output of attention `[tokens, heads·head_dim]`.
    pub o: Buffer,
    /// Softmax statistics `[tokens, heads, 2]`; unused while decoding.
    pub stats: Buffer,
    /// Normalised input of the MLP half `[tokens, hidden]`.
    pub x_mlp: Buffer,
    /// Gate projection `[tokens, intermediate]`.
    pub gate: Buffer,
    /// Up projection `[tokens, intermediate]`.
    pub up: Buffer,
    /// silu(gate)·up `[tokens, intermediate]`.
    pub act: Buffer,
    /// A·x of each module, by `Module as usize`: `[7, elements]`, of which a module has the first tokens·rank.
    pub low: Option<Buffer>,
}

impl Activations {
    /// Buffers for up to `tokens` tokens and adapters of up to `rank`.
    pub fn new(gpu: &Gpu, config: &ModelConfig, tokens: usize, rank: usize) -> Result<Self> {
        let (q, kv) = (config.q_size(), config.kv_size());
        let buffer = |label: &str, cols: usize| gpu.buffer(label, &[tokens, cols]);
        let [raw_q, raw_k, v] = regions(gpu, "qkv", tokens, [q, kv, kv])?;
        let [gate, up] = regions(gpu, "gate_up", tokens, [config.intermediate_size; 2])?;
        let (raw_qk, q, k) = match config.qk_norm() {
            true => (Some([raw_q, raw_k]), buffer("q", q)?, buffer("k", kv)?),
            false => (None, raw_q, raw_k),
        };
        Ok(Self {
            x_attention: buffer("x_attention", config.hidden_size)?,
            raw_qk,
            q,
            k,
            v,
            o: buffer("o", config.q_size())?,
            stats: gpu.buffer("stats", &[tokens, config.num_heads, 2])?,
            x_mlp: buffer("x_mlp", config.hidden_size)?,
            gate,
            up,
            act: buffer("act", config.intermediate_size)?,
            low: match rank {
                0 => None,
                _ => Some(gpu.buffer("low", &[Module::ALL.len(), low_elements(tokens, rank)])?),
            },
        })
    }

    /// Bytes that [`Activations::new`] takes; a few less where its regions exceed a binding.
    pub fn bytes(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
        let (q, kv) = (config.q_size(), config.kv_size());
        let normed = if config.qk_norm() { q + kv } else { 0 };
        let row = 2 * config.hidden_size + normed + q + 2 * config.num_heads + config.intermediate_size;
        let regions =
            region_elements(tokens, &[q, kv, kv]) + region_elements(tokens, &[config.intermediate_size; 2]);
        let low = Module::ALL.len() * low_elements(tokens, rank);
        4 * (tokens as u64 * row as u64 + regions as u64 + low as u64)
    }

    /// The same memory for fewer tokens.
    pub fn first(&self, tokens: usize) -> Result<Self> {
        let view = |buffer: &Buffer| {
            let mut shape = buffer.shape().to_vec();
            shape[0] = tokens;
            buffer.view(0, &shape)
        };
        Ok(Self {
            x_attention: view(&self.x_attention)?,
            raw_qk: match &self.raw_qk {
                Some([q, k]) => Some([view(q)?, view(k)?]),
                None => None,
            },
            q: view(&self.q)?,
            k: view(&self.k)?,
            v: view(&self.v)?,
            o: view(&self.o)?,
            stats: view(&self.stats)?,
            x_mlp: view(&self.x_mlp)?,
            gate: view(&self.gate)?,
            up: view(&self.up)?,
            act: view(&self.act)?,
            low: self.low.clone(),
        })
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
        Saved { q: &self.q, k: &self.k, v: &self.v, o: &self.o, stats: &self.stats }
    }
}

/// [`Gpu::regions`] as an array.
pub fn regions<const N: usize>(gpu: &Gpu, label: &str, rows: usize, cols: [usize; N]) -> Result<[Buffer; N]> {
    gpu.regions(label, rows, &cols)?.try_into().map_err(|regions: Vec<_>| Error::Shape {
        kernel: "regions",
        arg: "cols",
        expected: vec![N],
        got: vec![regions.len()],
    })
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
