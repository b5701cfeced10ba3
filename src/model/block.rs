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
use super::weights::{JOINED, LayerWeights, Linear};
use crate::gpu::{Buffer, Gpu, Recorder, VIEW_ALIGNMENT, region_elements};
use crate::kernel::attention::{Heads, Saved};
use crate::kernel::matmul::{Adapter, Input, Segment};
use crate::kernel::rms_norm::Norm;
pub use crate::kernel::rope::Positions;
use crate::kernel::weight::Weight;
use crate::kernel::{
    attention, decode_attention, kv_write, lora, matmul, matmul_few, rms_norm, rope, swiglu,
};
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
        let [raw_q, raw_k, v] = regions(gpu, "qkv", tokens, [q, kv, kv])?;
        let [gate, up] = regions(gpu, "gate_up", tokens, [config.intermediate_size; 2])?;
        let (raw_qk, q, k) = match config.qk_norm {
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

    /// Bytes that [`Activations::new`] takes.
    pub fn bytes(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
        let (q, kv) = (config.q_size(), config.kv_size());
        let normed = if config.qk_norm { q + kv } else { 0 };
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

/// The product of a few rows that are normalised on the way, or of any that are not.
fn product(rec: &mut Recorder<'_>, weight: &Weight, input: Input<'_>, segments: &[Segment]) -> Result<()> {
    match input.norm {
        Some(_) => matmul_few::forward(rec, weight, input, segments, false),
        None => matmul::forward_joined(rec, weight, input.x, segments, false),
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
        input: Input<'_>,
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
            Some(low) if !sites.is_empty() => lora::down(rec, input, lora.flat(), low, &sites),
            _ => Ok(()),
        }
    }

    /// What a product writes for one module: W·x + scale·B·low + bias. [`Block::low`] made low.
    fn segment(&self, module: Module, y: &Buffer, act: &Activations) -> Result<Segment> {
        let adapter = match self.pair(module) {
            Some(Pair { b, scale, rank, .. }) => {
                Some(Adapter { low: act.low(module, *rank)?, matrix: b.clone(), scale: *scale })
            }
            None => None,
        };
        Ok(Segment { y: y.clone(), adapter, bias: self.weights.linear(module).bias.clone() })
    }

    /// y = W·x + scale·B·A·x (+ bias), added to y if `accumulate`.
    fn linear(
        &self,
        rec: &mut Recorder<'_>,
        module: Module,
        x: &Buffer,
        y: &Buffer,
        act: &Activations,
        accumulate: bool,
    ) -> Result<()> {
        self.low(rec, &[module], Input::plain(x), act)?;
        let Linear { weight, .. } = self.weights.linear(module);
        matmul::forward_joined(rec, weight, x, &[self.segment(module, y, act)?], accumulate)
    }

    /// The same for several modules that read the same x, as one product where their matrices are stored as one.
    fn linears(
        &self,
        rec: &mut Recorder<'_>,
        modules: &[Module],
        input: Input<'_>,
        ys: &[&Buffer],
        act: &Activations,
    ) -> Result<()> {
        self.low(rec, modules, input, act)?;
        let segments = modules.iter().zip(ys).map(|(&module, y)| self.segment(module, y, act));
        let segments = segments.collect::<Result<Vec<_>>>()?;
        if let Some(weight) = self.weights.joined(modules) {
            return product(rec, weight, input, &segments);
        }
        let mut each = modules.iter().zip(&segments);
        each.try_for_each(|(&module, segment)| {
            product(rec, &self.weights.linear(module).weight, input, std::slice::from_ref(segment))
        })
    }

    /// Whether products normalise their inputs themselves: while decoding a few rows on a GPU, where each dispatch counts.
    fn fuses(&self, rec: &Recorder<'_>, h: &Buffer, attend: Attend<'_>) -> bool {
        matches!(attend, Attend::Cached { .. }) && matmul_few::suits(rec.gpu(), h.shape()[0])
    }

    /// RMSNorm of h: either into x, or to be applied by the products that read it.
    fn normed<'b>(
        &self,
        rec: &mut Recorder<'_>,
        h: &'b Buffer,
        weight: &'b Buffer,
        x: &'b Buffer,
        fused: bool,
    ) -> Result<Input<'b>> {
        let eps = self.config.rms_norm_eps;
        if fused {
            return Ok(Input { x: h, norm: Some(Norm { weight, eps }) });
        }
        rms_norm::forward(rec, h, weight, x, eps)?;
        Ok(Input::plain(x))
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
        let fused = self.fuses(rec, h, attend);
        let input = self.normed(rec, h, &self.weights.attention_norm, &act.x_attention, fused)?;
        let [raw_q, raw_k] = match &act.raw_qk {
            Some([q, k]) => [q, k],
            None => [&act.q, &act.k],
        };
        self.linears(rec, JOINED[0], input, &[raw_q, raw_k, &act.v], act)?;
        if let Some([q_norm, k_norm]) = &self.weights.qk_norm {
            rms_norm::forward(rec, raw_q, q_norm, &act.q, eps)?;
            rms_norm::forward(rec, raw_k, k_norm, &act.k, eps)?;
        }
        match attend {
            Attend::Packed { span } => {
                rope::forward(rec, positions, &act.q, &act.k)?;
                attention::forward(rec, self.heads(), span, act.saved())?;
            }
            Attend::Prefill { span, pair, cache } => {
                rope::forward(rec, positions, &act.q, &act.k)?;
                kv_write::forward(rec, pair, &act.k, &act.v, &cache.k, &cache.v)?;
                attention::forward(rec, self.heads(), span, act.saved())?;
            }
            Attend::Cached { rows, pair, cache } => {
                let pages = [&cache.k, &cache.v];
                rope::forward_cached(rec, positions, [&act.q, &act.k, &act.v], pair, pages)?;
                decode_attention::forward(rec, self.heads(), rows, &act.q, &cache.k, &cache.v, &act.o)?;
            }
        }
        self.linear(rec, Module::O, &act.o, h, act, true)
    }

    /// The MLP half up to silu(gate)·up: all that its backward pass needs.
    pub fn mlp_inner(&self, rec: &mut Recorder<'_>, h: &Buffer, act: &Activations) -> Result<()> {
        let input = self.normed(rec, h, &self.weights.mlp_norm, &act.x_mlp, false)?;
        self.linears(rec, JOINED[1], input, &[&act.gate, &act.up], act)?;
        swiglu::forward(rec, &act.gate, &act.up, &act.act)
    }

    /// [`Block::mlp_inner`] in as few dispatches as there can be; gate, up and the normalised input are left in any state.
    fn mlp_inner_fused(&self, rec: &mut Recorder<'_>, h: &Buffer, act: &Activations) -> Result<()> {
        let input = self.normed(rec, h, &self.weights.mlp_norm, &act.x_mlp, true)?;
        let Some(weight) = self.weights.joined(JOINED[1]) else {
            self.linears(rec, JOINED[1], input, &[&act.gate, &act.up], act)?;
            return swiglu::forward(rec, &act.gate, &act.up, &act.act);
        };
        self.low(rec, JOINED[1], input, act)?;
        let segments = [self.segment(Module::Gate, &act.gate, act)?, self.segment(Module::Up, &act.up, act)?];
        matmul_few::forward_swiglu(rec, weight, input, segments, &act.act)
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
        match self.fuses(rec, h, attend) {
            true => self.mlp_inner_fused(rec, h, act)?,
            false => self.mlp_inner(rec, h, act)?,
        }
        self.linear(rec, Module::Down, &act.act, h, act, true)
    }
}
