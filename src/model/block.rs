//! The forward pass of one transformer block, the same for training, prefill and decoding.
//!
//!   x  = norm(h)
//!   q, k, v = Wq·x, Wk·x, Wv·x          (+ bias; q and k normalised per head in Qwen3, as a whole in OLMo)
//!   h += Wo·attention(rope(q), rope(k), v)
//!   x  = norm(h)
//!   h += Wdown·(act(Wgate·x) · Wup·x)   (act: silu or gelu)
//!
//! Gemma normalises what either half adds to h, too: h += norm(Wo·…), h += norm(Wdown·…); OLMo does that in place of the norms of h.
//! Every W also adds scale·B·A·x where an adapter has one.

use super::activations::Activations;
use super::config::ModelConfig;
use super::lora::{Lora, Pair};
use super::module::{GATE_UP, Module, QKV};
use super::weights::{LayerWeights, Linear};
use crate::gpu::{Buffer, Recorder};
use crate::kernel::attention::{self, Heads};
use crate::kernel::lora::down::{self, Made};
use crate::kernel::lora::site::Site;
use crate::kernel::lora::up::Adapter;
use crate::kernel::product::{self, Segment};
use crate::kernel::rms_norm::{Input, Norm};
pub use crate::kernel::rope::Positions;
use crate::kernel::{kv_write, rms_norm, rope, swiglu};
use crate::{Error, Result};

/// Keys and values of one layer in pages, in either format of [`crate::kernel::cache::CacheFormat`].
#[derive(Debug, Clone)]
pub struct LayerCache {
    /// `[places, words of kv_heads·head_dim numbers]`
    pub k: Buffer,
    /// `[places, words of kv_heads·head_dim numbers]`
    pub v: Buffer,
}

/// What each token of a pack sees `[tokens, 4]`, see [`attention::SPAN`].
#[derive(Debug, Clone, Copy)]
pub struct Spans<'a> {
    /// In layers that see everything.
    pub whole: &'a Buffer,
    /// In layers with a sliding window, if the model has some.
    pub window: Option<&'a Buffer>,
}

impl<'a> Spans<'a> {
    /// In a layer with these heads.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is none for its window.
    pub fn of(self, heads: Heads) -> Result<&'a Buffer> {
        let missing = || Error::Shape {
            kernel: "attention/full",
            arg: "window span",
            expected: self.whole.shape().to_vec(),
            got: Vec::new(),
        };
        match heads.window {
            Some(_) => self.window.ok_or_else(missing),
            None => Ok(self.whole),
        }
    }
}

/// Which tokens attend to which.
#[derive(Debug, Clone, Copy)]
pub enum Attend<'a> {
    /// Each token to those before it in its own sequence, as far as the layer's window reaches.
    Packed {
        /// What each token sees.
        spans: Spans<'a>,
    },
    /// The same, and keys and values go into the cache as `pair` says.
    Prefill {
        /// What each token sees.
        spans: Spans<'a>,
        /// `[pairs, 2]` of (token, place).
        pair: &'a Buffer,
        /// The layer's pages.
        cache: &'a LayerCache,
    },
    /// One new token a row to the cache of its sequence. Rows may be tokens of one sequence: all keys and values are
    /// written before any row reads, and a row reads up to its own position.
    Cached {
        /// The rows.
        rows: attention::Rows<'a>,
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
        Heads { window: self.config.window(self.layer), ..heads(self.config) }
    }

    /// The adapter of one module.
    pub fn pair(&self, module: Module) -> Option<&'a Pair> {
        self.lora.and_then(|lora| lora.pair(self.layer, module))
    }

    /// Where A and A·x of those of `modules` lie that have an adapter.
    fn sites(&self, modules: &[Module], act: &Activations) -> Vec<Site> {
        let site = |&module: &Module| {
            // The parts of one module have one A·x.
            let pair = self.pair(module).filter(|pair| pair.first == module)?;
            let low_start = act.low_start(module);
            Some(Site { rank: pair.rank, a_start: pair.a_start, low_start, ..Site::default() })
        };
        modules.iter().filter_map(site).collect()
    }

    /// A·x of those of `modules` that have an adapter; they all read x.
    pub fn low(
        &self,
        rec: &mut Recorder<'_>,
        modules: &[Module],
        input: Input<'_>,
        act: &Activations,
    ) -> Result<()> {
        let sites = self.sites(modules, act);
        match (self.lora, &act.low) {
            (Some(lora), Some(low)) if !sites.is_empty() => down::down(rec, input, lora.flat(), low, &sites),
            _ => Ok(()),
        }
    }

    /// `made` of x into `y`, and A·y of those of `modules` that have an adapter.
    fn make(
        &self,
        rec: &mut Recorder<'_>,
        modules: &[Module],
        [x, y]: [&Buffer; 2],
        made: Made<'_>,
        act: &Activations,
    ) -> Result<()> {
        let sites = self.sites(modules, act);
        match (self.lora, &act.low) {
            (Some(lora), Some(low)) if !sites.is_empty() && down::keeps(x.shape()[0]) => {
                down::down_keeping(rec, x, made, y, lora.flat(), low, &sites)
            }
            _ => {
                match made {
                    Made::Norm(Norm { weight, eps }) => rms_norm::forward(rec, x, weight, y, eps)?,
                    Made::Gated(activation, up) => swiglu::forward(rec, activation, x, up, y)?,
                }
                self.low(rec, modules, Input::plain(y), act)
            }
        }
    }

    /// What a product writes for one module: W·x + scale·B·low + bias. [`Block::low`] made low.
    fn segment(&self, module: Module, y: &Buffer, act: &Activations) -> Result<Segment> {
        let adapter = match self.pair(module) {
            Some(Pair { b, b_row, first, scale, rank, .. }) => {
                Some(Adapter { low: act.low(*first, *rank)?, matrix: b.clone(), row: *b_row, scale: *scale })
            }
            None => None,
        };
        Ok(Segment { y: y.clone(), adapter, bias: self.weights.linear(module).bias.clone() })
    }

    /// y = W·x + scale·B·low (+ bias), added to y if `accumulate`.
    fn linear(
        &self,
        rec: &mut Recorder<'_>,
        module: Module,
        [x, y]: [&Buffer; 2],
        act: &Activations,
        accumulate: bool,
    ) -> Result<()> {
        let Linear { weight, .. } = self.weights.linear(module);
        product::forward_joined(rec, weight, Input::plain(x), &[self.segment(module, y, act)?], accumulate)
    }

    /// Where the half whose last product is `module` leaves its output for a norm, and that norm's weight, if the family has one.
    pub fn post_norm<'b>(&'b self, module: Module, act: &'b Activations) -> Option<[&'b Buffer; 2]> {
        let (out, norm) = match module {
            Module::O => (&act.attention_out, &self.weights.post_attention_norm),
            Module::Down => (&act.mlp_out, &self.weights.post_mlp_norm),
            _ => return None,
        };
        Some([out.as_ref()?, norm.as_ref()?])
    }

    /// The last product of a half and its norm, if it has one, added to h.
    fn add_half(
        &self,
        rec: &mut Recorder<'_>,
        module: Module,
        [x, h]: [&Buffer; 2],
        act: &Activations,
    ) -> Result<()> {
        let Some([out, norm]) = self.post_norm(module, act) else {
            return self.linear(rec, module, [x, h], act, true);
        };
        self.linear(rec, module, [x, out], act, false)?;
        rms_norm::forward_add(rec, out, norm, h, self.config.rms_norm_eps)
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
        let segments = modules.iter().zip(ys).map(|(&module, y)| self.segment(module, y, act));
        let segments = segments.collect::<Result<Vec<_>>>()?;
        if let Some(weight) = self.weights.joined(modules) {
            return product::forward_joined(rec, weight, input, &segments, false);
        }
        let mut each = modules.iter().zip(&segments);
        each.try_for_each(|(&module, segment)| {
            let weight = &self.weights.linear(module).weight;
            product::forward_joined(rec, weight, input, std::slice::from_ref(segment), false)
        })
    }

    /// Whether products normalise their inputs themselves: while decoding a few rows on a GPU, where each dispatch counts.
    fn fuses(&self, rec: &Recorder<'_>, h: &Buffer, attend: Attend<'_>) -> bool {
        matches!(attend, Attend::Cached { .. }) && product::fuses(rec.gpu(), h.shape()[0])
    }

    /// RMSNorm of h, either into x or to be applied by the products that read it, or h itself without a norm, and its A·x for `modules`.
    fn normed<'b>(
        &self,
        rec: &mut Recorder<'_>,
        modules: &[Module],
        [h, x]: [&'b Buffer; 2],
        weight: Option<&'b Buffer>,
        act: &Activations,
        fused: bool,
    ) -> Result<Input<'b>> {
        let Some(weight) = weight else {
            self.low(rec, modules, Input::plain(h), act)?;
            return Ok(Input::plain(h));
        };
        let norm = Norm { weight, eps: self.config.stream_eps() };
        if fused {
            let input = Input { x: h, norm: Some(norm) };
            self.low(rec, modules, input, act)?;
            return Ok(input);
        }
        self.make(rec, modules, [h, x], Made::Norm(norm), act)?;
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
        let input =
            self.normed(rec, QKV, [h, &act.x_attention], self.weights.attention_norm.as_ref(), act, fused)?;
        let [raw_q, raw_k, v] = &act.qkv;
        self.linears(rec, QKV, input, &[raw_q, raw_k, v], act)?;
        let (q, k) = (act.q(), act.k());
        if let Some([q_norm, k_norm]) = &self.weights.qk_norm {
            rms_norm::forward(rec, raw_q, q_norm, q, eps)?;
            rms_norm::forward(rec, raw_k, k_norm, k, eps)?;
        }
        match attend {
            Attend::Packed { spans } => {
                rope::forward(rec, positions, q, k)?;
                attention::full::forward(rec, self.heads(), spans.of(self.heads())?, act.saved())?;
            }
            Attend::Prefill { spans, pair, cache } => {
                rope::forward(rec, positions, q, k)?;
                kv_write::forward(rec, pair, k, v, &cache.k, &cache.v)?;
                attention::full::forward(rec, self.heads(), spans.of(self.heads())?, act.saved())?;
            }
            Attend::Cached { rows, pair, cache } => {
                let pages = [&cache.k, &cache.v];
                rope::forward_cached(rec, positions, [q, k, v], pair, pages)?;
                attention::decode::forward(rec, self.heads(), rows, q, &cache.k, &cache.v, &act.o)?;
            }
        }
        self.low(rec, &[Module::O], Input::plain(&act.o), act)?;
        self.add_half(rec, Module::O, [&act.o, h], act)
    }

    /// The MLP half without its sum with h: all that its backward pass needs.
    pub fn mlp_again(&self, rec: &mut Recorder<'_>, h: &Buffer, act: &Activations) -> Result<()> {
        self.mlp_inner(rec, h, act)?;
        match self.post_norm(Module::Down, act) {
            Some([out, _]) => self.linear(rec, Module::Down, [&act.act, out], act, false),
            None => Ok(()),
        }
    }

    /// The MLP half up to act(gate)·up and its A·x.
    fn mlp_inner(&self, rec: &mut Recorder<'_>, h: &Buffer, act: &Activations) -> Result<()> {
        let input = self.normed(rec, GATE_UP, [h, &act.x_mlp], self.weights.mlp_norm.as_ref(), act, false)?;
        self.mlp_apart(rec, input, act)
    }

    /// The same from the normalised input on.
    fn mlp_apart(&self, rec: &mut Recorder<'_>, input: Input<'_>, act: &Activations) -> Result<()> {
        let [gate, up] = &act.gate_up;
        self.linears(rec, GATE_UP, input, &[gate, up], act)?;
        let made = Made::Gated(self.config.family.activation, up);
        self.make(rec, &[Module::Down], [gate, &act.act], made, act)
    }

    /// [`Block::mlp_inner`] in as few dispatches as there can be; the contents of gate, up and the normalised input are
    /// undefined afterwards.
    fn mlp_inner_fused(&self, rec: &mut Recorder<'_>, h: &Buffer, act: &Activations) -> Result<()> {
        let input = self.normed(rec, GATE_UP, [h, &act.x_mlp], self.weights.mlp_norm.as_ref(), act, true)?;
        let Some(weight) = self.weights.joined(GATE_UP) else {
            return self.mlp_apart(rec, input, act);
        };
        let [gate, up] = &act.gate_up;
        let segments = [self.segment(Module::Gate, gate, act)?, self.segment(Module::Up, up, act)?];
        product::forward_gated(rec, self.config.family.activation, weight, input, segments, &act.act)?;
        self.low(rec, &[Module::Down], Input::plain(&act.act), act)
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
        self.add_half(rec, Module::Down, [&act.act, h], act)
    }
}

/// The sizes of a model's attention in layers that see everything.
pub fn heads(config: &ModelConfig) -> Heads {
    let heads = Heads::new(config.num_heads, config.num_kv_heads, config.head_dim);
    Heads { scale: config.attention_scale, ..heads }
}
