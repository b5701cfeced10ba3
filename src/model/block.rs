//! The forward pass of one transformer block, the same for training, prefill and decoding.
//!
//!   x  = norm(h)
//!   q, k, v = Wq·x, Wk·x, Wv·x          (+ bias; q and k normalised per head in Qwen3)
//!   h += Wo·attention(rope(q), rope(k), v)
//!   x  = norm(h)
//!   h += Wdown·(silu(Wgate·x) · Wup·x)
//!
//! Every W also adds scale·B·A·x where an adapter has one.

use super::config::ModelConfig;
use super::lora::{Lora, Pair};
use super::module::Module;
use super::weights::{LayerWeights, Linear};
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernel::attention::{Heads, Saved};
use crate::kernel::matmul::Adapter;
use crate::kernel::{add_bias, attention, decode_attention, kv_write, lora, matmul, rms_norm, rope, swiglu};
use crate::{Error, Result};

/// The intermediate results of one block for some tokens.
#[derive(Debug, Clone)]
pub struct Activations {
    /// Normalised input of the attention half `[tokens, hidden]`.
    pub x_attention: Buffer,
    /// Projections before their per-head norm, where the family has one: `[tokens, heads·head_dim]`, `[tokens, kv…]`.
    pub raw_qk: Option<[Buffer; 2]>,
    /// Rotated queries `[tokens, heads·head_dim]`.
    pub q: Buffer,
    /// Rotated keys `[tokens, kv_heads·head_dim]`.
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
        Ok(Self {
            x_attention: buffer("x_attention", config.hidden_size)?,
            raw_qk: if config.qk_norm { Some([buffer("raw_q", q)?, buffer("raw_k", kv)?]) } else { None },
            q: buffer("q", q)?,
            k: buffer("k", kv)?,
            v: buffer("v", kv)?,
            o: buffer("o", q)?,
            stats: gpu.buffer("stats", &[tokens, config.num_heads, 2])?,
            x_mlp: buffer("x_mlp", config.hidden_size)?,
            gate: buffer("gate", config.intermediate_size)?,
            up: buffer("up", config.intermediate_size)?,
            act: buffer("act", config.intermediate_size)?,
            low: match rank {
                0 => None,
                _ => Some(gpu.buffer("low", &[Module::ALL.len(), low_elements(tokens, rank)])?),
            },
        })
    }

    /// Bytes that [`Activations::new`] takes.
    pub fn bytes(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
        let (q, kv) = (config.q_size(), config.kv_size());
        let raw = if config.qk_norm { q + kv } else { 0 };
        let row = 2 * config.hidden_size + raw + 2 * (q + kv) + 2 * config.num_heads;
        let low = Module::ALL.len() * low_elements(tokens, rank);
        4 * (tokens as u64 * (row + 3 * config.intermediate_size) as u64 + low as u64)
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
    fn low_start(&self, module: Module) -> usize {
        self.low.as_ref().map_or(0, |low| module as usize * low.shape()[1])
    }

    /// A·x of one module with its own rank `[tokens, rank]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the activations were made without a rank or for a lower one.
    pub fn low(&self, module: Module, rank: usize) -> Result<Buffer> {
        let tokens = self.x_attention.shape()[0];
        match &self.low {
            Some(low) if tokens * rank <= low.shape()[1] => low.view(self.low_start(module), &[tokens, rank]),
            low => Err(Error::Shape {
                kernel: "activations",
                arg: "low",
                expected: vec![tokens, rank],
                got: low.iter().flat_map(|low| low.shape()).copied().collect(),
            }),
        }
    }

    /// What attention saves for its backward pass.
    pub fn saved(&self) -> Saved<'_> {
        Saved { q: &self.q, k: &self.k, v: &self.v, o: &self.o, stats: &self.stats }
    }
}

/// Elements between two modules' A·x: views begin at multiples of 64.
fn low_elements(tokens: usize, rank: usize) -> usize {
    (tokens * rank).next_multiple_of(64)
}

/// The sizes of a model's attention.
pub fn heads(config: &ModelConfig) -> Heads {
    Heads { heads: config.num_heads, kv_heads: config.num_kv_heads, head_dim: config.head_dim }
}

/// Keys and values of one layer in pages.
#[derive(Debug, Clone)]
pub struct LayerCache {
    /// `[places, kv_heads·head_dim]`
    pub k: Buffer,
    /// `[places, kv_heads·head_dim]`
    pub v: Buffer,
}

/// Which tokens attend to which.
#[derive(Debug, Clone, Copy)]
pub enum Attend<'a> {
    /// Each token to those before it in its own sequence; span is `[tokens, 2]`.
    Packed {
        /// First token and end of each token's sequence.
        span: &'a Buffer,
    },
    /// The same, and keys and values go into the cache as `pair` says.
    Prefill {
        /// First token and end of each token's sequence.
        span: &'a Buffer,
        /// `[pairs, 2]` of (token, place).
        pair: &'a Buffer,
        /// The layer's pages.
        cache: &'a LayerCache,
    },
    /// One new token a row to the cache of its sequence. Rows may be tokens of one sequence: all keys and values are
    /// written before any row reads, and a row reads up to its own position.
    Cached {
        /// The rows.
        rows: decode_attention::Rows<'a>,
        /// `[pairs, 2]` of (row, place).
        pair: &'a Buffer,
        /// The layer's pages.
        cache: &'a LayerCache,
    },
}

/// Where the tokens stand: positions `[tokens]` and the table `[positions, head_dim]` of (cos, sin).
#[derive(Debug, Clone, Copy)]
pub struct Positions<'a> {
    /// Position of each token.
    pub position: &'a Buffer,
    /// (cos, sin) by position.
    pub table: &'a Buffer,
}

/// One block with its adapter.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Sizes.
    pub config: &'a ModelConfig,
    /// Number of the block.
    pub layer: usize,
    /// Base weights.
    pub weights: &'a LayerWeights,
    /// The live adapter.
    pub lora: Option<&'a Lora>,
}

impl<'a> Block<'a> {
    /// The sizes of attention.
    pub fn heads(&self) -> Heads {
        heads(self.config)
    }

    /// The adapter of one module.
    pub fn pair(&self, module: Module) -> Option<&'a Pair> {
        self.lora.and_then(|lora| lora.pair(self.layer, module))
    }

    /// A·x of those of `modules` that have an adapter; they all read x.
    pub fn low(
        &self,
        rec: &mut Recorder<'_>,
        modules: &[Module],
        x: &Buffer,
        act: &Activations,
    ) -> Result<()> {
        let Some(lora) = self.lora else { return Ok(()) };
        let site = |&module: &Module| {
            let pair = self.pair(module)?;
            let t_start = act.low_start(module);
            Some(lora::Site { rank: pair.rank, a_start: pair.a_start, t_start })
        };
        let sites: Vec<lora::Site> = modules.iter().filter_map(site).collect();
        match &act.low {
            Some(low) if !sites.is_empty() => lora::down(rec, x, lora.flat(), low, &sites),
            _ => Ok(()),
        }
    }

    /// y = W·x (+ bias) + scale·B·low, added to y if `accumulate`. [`Block::low`] made low.
    fn linear(
        &self,
        rec: &mut Recorder<'_>,
        module: Module,
        x: &Buffer,
        y: &Buffer,
        act: &Activations,
        accumulate: bool,
    ) -> Result<()> {
        let Linear { weight, bias } = self.weights.linear(module);
        match self.pair(module) {
            Some(Pair { b, scale, rank, .. }) => {
                let low = act.low(module, *rank)?;
                let adapter = Adapter { low: &low, matrix: b, scale: *scale };
                matmul::forward(rec, weight, x, y, Some(adapter), accumulate)?;
            }
            None => matmul::forward(rec, weight, x, y, None, accumulate)?,
        }
        match bias {
            Some(bias) => add_bias::forward(rec, bias, y),
            None => Ok(()),
        }
    }

    /// The attention half: reads h, adds to `h` in place.
    pub fn attention_half(
        &self,
        rec: &mut Recorder<'_>,
        h: &Buffer,
        act: &Activations,
        positions: Positions<'_>,
        attend: Attend<'_>,
    ) -> Result<()> {
        let eps = self.config.rms_norm_eps;
        rms_norm::forward(rec, h, &self.weights.attention_norm, &act.x_attention, eps)?;
        let [raw_q, raw_k] = match &act.raw_qk {
            Some([q, k]) => [q, k],
            None => [&act.q, &act.k],
        };
        self.low(rec, &[Module::Q, Module::K, Module::V], &act.x_attention, act)?;
        self.linear(rec, Module::Q, &act.x_attention, raw_q, act, false)?;
        self.linear(rec, Module::K, &act.x_attention, raw_k, act, false)?;
        self.linear(rec, Module::V, &act.x_attention, &act.v, act, false)?;
        if let Some([q_norm, k_norm]) = &self.weights.qk_norm {
            rms_norm::forward(rec, raw_q, q_norm, &act.q, eps)?;
            rms_norm::forward(rec, raw_k, k_norm, &act.k, eps)?;
        }
        rope::forward(rec, positions.position, positions.table, &act.q, &act.k)?;
        match attend {
            Attend::Packed { span } => attention::forward(rec, self.heads(), span, act.saved())?,
            Attend::Prefill { span, pair, cache } => {
                kv_write::forward(rec, pair, &act.k, &act.v, &cache.k, &cache.v)?;
                attention::forward(rec, self.heads(), span, act.saved())?;
            }
            Attend::Cached { rows, pair, cache } => {
                kv_write::forward(rec, pair, &act.k, &act.v, &cache.k, &cache.v)?;
                decode_attention::forward(rec, self.heads(), rows, &act.q, &cache.k, &cache.v, &act.o)?;
            }
        }
        self.low(rec, &[Module::O], &act.o, act)?;
        self.linear(rec, Module::O, &act.o, h, act, true)
    }

    /// The MLP half up to silu(gate)·up: all that its backward pass needs.
    pub fn mlp_inner(&self, rec: &mut Recorder<'_>, h: &Buffer, act: &Activations) -> Result<()> {
        rms_norm::forward(rec, h, &self.weights.mlp_norm, &act.x_mlp, self.config.rms_norm_eps)?;
        self.low(rec, &[Module::Gate, Module::Up], &act.x_mlp, act)?;
        self.linear(rec, Module::Gate, &act.x_mlp, &act.gate, act, false)?;
        self.linear(rec, Module::Up, &act.x_mlp, &act.up, act, false)?;
        swiglu::forward(rec, &act.gate, &act.up, &act.act)
    }

    /// The whole block: adds to `h` in place. `middle` gets a copy of the residual stream between the halves.
    pub fn forward(
        &self,
        rec: &mut Recorder<'_>,
        h: &Buffer,
        act: &Activations,
        positions: Positions<'_>,
        attend: Attend<'_>,
        middle: Option<&Buffer>,
    ) -> Result<()> {
        self.attention_half(rec, h, act, positions, attend)?;
        if let Some(middle) = middle {
            rec.copy(h, middle)?;
        }
        self.mlp_inner(rec, h, act)?;
        self.low(rec, &[Module::Down], &act.act, act)?;
        self.linear(rec, Module::Down, &act.act, h, act, true)
    }
}
