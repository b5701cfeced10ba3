//! The backward pass, mirror of the forward pass in `model::block`.
//!
//!   dnormed ← (dlogits · E) scattered to its rows;  dh = norm'(dnormed)
//!   for each block, last first:
//!     compute the block again from its kept input, where there was no room to keep what it computed
//!     dact = dh·Wdown;  dgate, dup = swiglu'(dact);  dx = dgate·Wgate + dup·Wup;  dh += norm'(dx)
//!     do = dh·Wo;  dq, dk, dv = attention'(do);  rotate back;  dx = dq·Wq + dk·Wk + dv·Wv;  dh += norm'(dx)
//!
//! Base weights are frozen. Each adapted module with t = A·x adds, for its output gradient dy,
//!   dt = s·dy·B,  dB += s·dyᵀ·t,  dA += dtᵀ·x,  dx += dt·A

use crate::Result;
use crate::gpu::{Buffer, Gpu, Recorder, region_elements};
use crate::kernel::attention::full::{self as attention, Gradients};
use crate::kernel::lora::grad as lora_grad;
use crate::kernel::lora::up::Adapter;
use crate::kernel::product::{self as matmul, Segment};
use crate::kernel::{gather, log_softmax, rms_norm, rope, swiglu};
use crate::model::Model;
use crate::model::activations::{low_elements, low_of, regions};
use crate::model::block::{Attend, Block, Positions};
use crate::model::config::ModelConfig;
use crate::model::lora::{Lora, Pair};
use crate::model::module::Module;
use crate::model::packed::{Intermediates, PackedBuffers};
use crate::model::weights::{GATE_UP, QKV};

/// Gradients of the activations.
#[derive(Debug, Clone)]
pub(super) struct GradientBuffers {
    /// Residual stream `[tokens, hidden]`.
    dh: Buffer,
    /// Normalised input of either half, and of the head `[tokens, hidden]`.
    dx: Buffer,
    /// Queries, keys, values.
    dq: Buffer,
    dk: Buffer,
    dv: Buffer,
    /// Queries and keys before their per-head norm, where the family has one.
    d_raw: Option<[Buffer; 2]>,
    /// Output of attention `[tokens, heads·head_dim]`.
    d_out: Buffer,
    /// silu(gate)·up, gate and up `[tokens, intermediate]`.
    d_act: Buffer,
    d_gate: Buffer,
    d_up: Buffer,
    /// scale·dy·B of each module, as `Activations::low` has A·x.
    d_low: Buffer,
    /// Residual stream between the halves, recomputed `[tokens, hidden]`.
    h_mid: Buffer,
    /// Scored rows of the head's input `[rows, hidden]`.
    d_selected: Buffer,
}

impl GradientBuffers {
    pub(super) fn new(gpu: &Gpu, model: &Model, tokens: usize, rows: usize, rank: usize) -> Result<Self> {
        let config = model.config();
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let (q, kv) = (config.q_size(), config.kv_size());
        let buffer = |label: &str, cols: usize| gpu.buffer(label, &[tokens, cols]);
        let [d_raw_q, d_raw_k, dv] = regions(gpu, "dqkv", tokens, [q, kv, kv])?;
        let [d_gate, d_up] = regions(gpu, "d_gate_up", tokens, [ffn; 2])?;
        let (d_raw, dq, dk) = match config.qk_norm() {
            true => (Some([d_raw_q, d_raw_k]), buffer("dq", q)?, buffer("dk", kv)?),
            false => (None, d_raw_q, d_raw_k),
        };
        Ok(Self {
            dh: buffer("dh", hidden)?,
            dx: buffer("dx", hidden)?,
            dq,
            dk,
            dv,
            d_raw,
            d_out: buffer("d_out", q)?,
            d_act: buffer("d_act", ffn)?,
            d_gate,
            d_up,
            d_low: gpu.buffer("d_low", &[Module::ALL.len(), low_elements(tokens, rank)])?,
            h_mid: buffer("h_mid", hidden)?,
            d_selected: gpu.buffer("d_selected", &[rows, hidden])?,
        })
    }

    /// Bytes that [`GradientBuffers::new`] takes; a few less where its regions exceed a binding.
    pub(super) fn bytes(config: &ModelConfig, tokens: usize, rows: usize, rank: usize) -> u64 {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let (q, kv) = (config.q_size(), config.kv_size());
        let normed = if config.qk_norm() { q + kv } else { 0 };
        let row = 3 * hidden + q + normed + ffn;
        let regions = region_elements(tokens, &[q, kv, kv]) + region_elements(tokens, &[ffn; 2]);
        let low = Module::ALL.len() * low_elements(tokens, rank);
        4 * (tokens as u64 * row as u64 + (regions + low) as u64 + rows as u64 * hidden as u64)
    }

    /// The same memory for a smaller bucket.
    pub(super) fn first(&self, tokens: usize, rows: usize) -> Result<Self> {
        let cut = |buffer: &Buffer, count: usize| buffer.view(0, &[count, buffer.shape()[1]]);
        Ok(Self {
            dh: cut(&self.dh, tokens)?,
            dx: cut(&self.dx, tokens)?,
            dq: cut(&self.dq, tokens)?,
            dk: cut(&self.dk, tokens)?,
            dv: cut(&self.dv, tokens)?,
            d_raw: match &self.d_raw {
                Some([q, k]) => Some([cut(q, tokens)?, cut(k, tokens)?]),
                None => None,
            },
            d_out: cut(&self.d_out, tokens)?,
            d_act: cut(&self.d_act, tokens)?,
            d_gate: cut(&self.d_gate, tokens)?,
            d_up: cut(&self.d_up, tokens)?,
            d_low: self.d_low.clone(),
            h_mid: cut(&self.h_mid, tokens)?,
            d_selected: cut(&self.d_selected, rows)?,
        })
    }
}

/// What the backward pass reads and writes.
pub(super) struct Backward<'a> {
    pub(super) model: &'a Model,
    /// The adapter, and the buffer of the same layout that its gradient is added to.
    pub(super) lora: &'a Lora,
    pub(super) grads: &'a Lora,
    pub(super) buffers: &'a PackedBuffers,
    pub(super) act: &'a Intermediates,
    /// The input of every block, and the final state: `[layers + 1]` of `[tokens, hidden]`.
    pub(super) hidden: &'a [Buffer],
    /// dLoss/dlogprob of each scored row.
    pub(super) coefficient: &'a Buffer,
    pub(super) d: &'a GradientBuffers,
}

impl Backward<'_> {
    /// Records everything from the logits down to the first block's adapters.
    ///
    /// `with_logprobs` also records log-probabilities and entropies on the way, for losses whose coefficients are
    /// known before the forward pass (supervised ones): the logits are then computed once.
    pub(super) fn record(&self, rec: &mut Recorder<'_>, with_logprobs: bool) -> Result<()> {
        self.head(rec, with_logprobs)?;
        for layer in (0..self.model.config().num_layers).rev() {
            self.block(rec, layer)?;
        }
        Ok(())
    }

    fn head(&self, rec: &mut Recorder<'_>, with_logprobs: bool) -> Result<()> {
        let (model, buffers, d) = (self.model, self.buffers, self.d);
        let head = model.weights().head();
        let hidden = model.config().hidden_size;
        for (first, selected, logits) in buffers.chunks()? {
            matmul::forward(rec, head, &selected, &logits, None, false)?;
            if with_logprobs {
                log_softmax::forward(
                    rec,
                    first,
                    &buffers.target,
                    &logits,
                    &buffers.logprob,
                    &buffers.entropy,
                )?;
            }
            log_softmax::backward(rec, first, &buffers.target, self.coefficient, &logits)?;
            let d_selected = d.d_selected.view(first * hidden, selected.shape())?;
            matmul::backward_x(rec, head, &logits, &d_selected, None, false)?;
        }
        rec.clear(&d.dx);
        gather::backward(rec, &buffers.index, &d.d_selected, &d.dx)?;
        let last = &self.hidden[model.config().num_layers];
        rms_norm::backward_x(
            rec,
            last,
            &model.weights().norm,
            &d.dx,
            &d.dh,
            model.config().rms_norm_eps,
            false,
        )
    }

    fn block(&self, rec: &mut Recorder<'_>, layer: usize) -> Result<()> {
        let (model, d) = (self.model, self.d);
        let (act, kept) = self.act.of(layer);
        let block = model.block(layer, Some(self.lora));
        let eps = model.config().rms_norm_eps;
        let h_in = &self.hidden[layer];
        let positions = Positions { position: &self.buffers.position, table: model.rope_table() };
        let span = &self.buffers.span;

        let h_mid = kept.unwrap_or(&d.h_mid);
        if kept.is_none() {
            rec.copy(h_in, h_mid)?;
            block.attention_half(rec, h_mid, act, positions, Attend::Packed { span })?;
            block.mlp_inner(rec, h_mid, act)?;
        }

        self.linears(rec, &block, &[Module::Down], &act.act, &[&d.dh], Some(&d.d_act))?;
        swiglu::backward(rec, &act.gate, &act.up, &d.d_act, &d.d_gate, &d.d_up)?;
        self.linears(rec, &block, GATE_UP, &act.x_mlp, &[&d.d_gate, &d.d_up], Some(&d.dx))?;
        rms_norm::backward_x(rec, h_mid, &block.weights.mlp_norm, &d.dx, &d.dh, eps, true)?;

        self.linears(rec, &block, &[Module::O], &act.o, &[&d.dh], Some(&d.d_out))?;
        let grads = Gradients { dq: &d.dq, dk: &d.dk, dv: &d.dv };
        attention::backward(rec, block.heads(), span, act.saved(), &d.d_out, grads)?;
        rope::backward(rec, positions, &d.dq, &d.dk)?;
        let [dq, dk] = match (&d.d_raw, &act.raw_qk, &block.weights.qk_norm) {
            (Some([d_raw_q, d_raw_k]), Some([raw_q, raw_k]), Some([q_norm, k_norm])) => {
                rms_norm::backward_x(rec, raw_q, q_norm, &d.dq, d_raw_q, eps, false)?;
                rms_norm::backward_x(rec, raw_k, k_norm, &d.dk, d_raw_k, eps, false)?;
                [d_raw_q, d_raw_k]
            }
            _ => [&d.dq, &d.dk],
        };
        // Nothing below the first block learns, so its input needs no gradient.
        let dx = (layer > 0).then_some(&d.dx);
        self.linears(rec, &block, QKV, &act.x_attention, &[dq, dk, &d.dv], dx)?;
        if layer > 0 {
            rms_norm::backward_x(rec, h_in, &block.weights.attention_norm, &d.dx, &d.dh, eps, true)?;
        }
        Ok(())
    }

    /// Gradients of linear layers that read the same x: of x, and of each one's adapter.
    fn linears(
        &self,
        rec: &mut Recorder<'_>,
        block: &Block<'_>,
        modules: &[Module],
        x: &Buffer,
        dys: &[&Buffer],
        dx: Option<&Buffer>,
    ) -> Result<()> {
        self.adapters(rec, block, modules, x, dys)?;
        let Some(dx) = dx else { return Ok(()) };
        let mut segments = Vec::with_capacity(modules.len());
        for (&module, dy) in modules.iter().zip(dys) {
            let adapter = match block.pair(module) {
                // d_low has the scale already.
                Some(Pair { a, rank, .. }) => {
                    let low = low_of(&self.d.d_low, module, x.shape()[0], *rank)?;
                    Some(Adapter { low, matrix: a.clone(), scale: 1.0 })
                }
                None => None,
            };
            segments.push(Segment::new(dy, adapter));
        }
        if let Some(weight) = block.weights.joined(modules) {
            return matmul::backward_x_joined(rec, weight, &segments, dx, false);
        }
        for (index, (&module, segment)) in modules.iter().zip(&segments).enumerate() {
            let weight = &block.weights.linear(module).weight;
            matmul::backward_x_joined(rec, weight, std::slice::from_ref(segment), dx, index > 0)?;
        }
        Ok(())
    }

    /// Gradients of the adapters of those of `modules` that have one, and for dx their dy·B: two dispatches where the memory
    /// of the dys allows.
    fn adapters(
        &self,
        rec: &mut Recorder<'_>,
        block: &Block<'_>,
        modules: &[Module],
        x: &Buffer,
        dys: &[&Buffer],
    ) -> Result<()> {
        let act = self.act.of(block.layer).0;
        let Some(low) = &act.low else { return Ok(()) };
        let (mut sites, mut each) = (Vec::new(), Vec::new());
        for (&module, &dy) in modules.iter().zip(dys) {
            let Some(pair) = block.pair(module) else { continue };
            sites.push(lora_grad::Site {
                rank: pair.rank,
                scale: pair.scale,
                a_start: pair.a_start,
                b_start: pair.b_start,
                low_start: act.low_start(module),
                cols: dy.shape()[1],
                dy_start: 0,
            });
            each.push(dy);
        }
        let (adapter, gradient, d_low) = (self.lora.flat(), self.grads.flat(), &self.d.d_low);
        let mut both = |dy: &Buffer, sites: &[lora_grad::Site]| {
            let group = lora_grad::Group { x, dy, adapter, low, d_low, gradient, sites };
            lora_grad::back(rec, &group)?;
            lora_grad::gradients(rec, &group)
        };
        match Buffer::enclosing(&each) {
            Some((dy, starts)) => {
                sites.iter_mut().zip(starts).for_each(|(site, start)| site.dy_start = start);
                both(&dy, &sites)
            }
            None => each.iter().zip(&sites).try_for_each(|(dy, site)| both(dy, std::slice::from_ref(site))),
        }
    }
}
