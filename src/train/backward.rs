//! The backward pass, mirror of the forward pass in `model::block`.
//!
//!   dnormed ← (dlogits · E) scattered to its rows;  dh = norm'(dnormed)
//!   for each block, last first:
//!     compute the block again from its kept input, where there was no room to keep what it computed
//!     dact = dh·Wdown;  dgate, dup = gate'(dact);  dx = dgate·Wgate + dup·Wup;  dh += norm'(dx)
//!     do = dh·Wo;  dq, dk, dv = attention'(do);  rotate back;  dx = dq·Wq + dk·Wk + dv·Wv;  dh += norm'(dx)
//!
//! Without a norm before a half, norm' there is nothing. Where the output of a half is normalised before it is added to h, norm'(dh) takes the place of dh in dact and do.
//!
//! Base weights are frozen. Each adapted module with t = A·x adds, for its output gradient dy,
//!   dt = s·dy·B,  dB += s·dyᵀ·t,  dA += dtᵀ·x,  dx += dt·A
//! Where one A is of several outputs (Phi's queries, keys and values), each has its rows of B and its own dt.

use crate::Result;
use crate::gpu::buffer_set::{Joined, buffer_set};
use crate::gpu::{Buffer, Recorder};
use crate::kernel::attention::full::{self as attention, Gradients};
use crate::kernel::lora::grad as lora_grad;
use crate::kernel::lora::up::Adapter;
use crate::kernel::product::{self as matmul, Segment};
use crate::kernel::{gather, log_softmax, rms_norm, rope, swiglu};
use crate::model::Model;
use crate::model::activations::{Activations, low_elements, low_of};
use crate::model::block::{Attend, Block};
use crate::model::config::ModelConfig;
use crate::model::lora::{Lora, Pair};
use crate::model::module::{GATE_UP, Module, QKV};
use crate::model::packed::{Intermediates, PackedBuffers};

buffer_set! {
    /// Gradients of the activations, with adapters of up to `rank`.
    pub(super) struct GradientBuffers[tokens, rows](config: &ModelConfig, rank: usize) {
        /// Residual stream.
        dh[tokens]: Buffer = [tokens, config.hidden_size];
        /// Normalised input of either half, and of the head; before that, output of the half, where the family normalises it.
        dx[tokens]: Buffer = [tokens, config.hidden_size];
        /// What the projections made: queries, keys and values.
        d_qkv[tokens]: [Buffer; 3] =
            Joined(tokens, [config.q_size(), config.kv_size(), config.kv_size()]);
        /// Queries after their per-head norm, where the family has one.
        d_normed_q[tokens]: Option<Buffer> = config.qk_norm().then(|| [tokens, config.q_size()]);
        /// Keys after their per-head norm, where the family has one.
        d_normed_k[tokens]: Option<Buffer> = config.qk_norm().then(|| [tokens, config.kv_size()]);
        /// Output of attention.
        d_out[tokens]: Buffer = [tokens, config.q_size()];
        /// act(gate)·up.
        d_act[tokens]: Buffer = [tokens, config.intermediate_size];
        /// Gate and up.
        d_gate_up[tokens]: [Buffer; 2] = Joined(tokens, [config.intermediate_size; 2]);
        /// scale·dy·B of each module, as `Activations::low` has A·x.
        d_low[]: Buffer = [Module::PARTS.len(), low_elements(tokens, rank)];
        /// Residual stream between the halves, recomputed.
        h_mid[tokens]: Buffer = [tokens, config.hidden_size];
        /// Scored rows of the head's input.
        d_selected[rows]: Buffer = [rows, config.hidden_size];
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
            model.config().stream_eps(),
            false,
        )
    }

    fn block(&self, rec: &mut Recorder<'_>, layer: usize) -> Result<()> {
        let (model, d) = (self.model, self.d);
        let (act, kept) = self.act.of(layer);
        let block = model.block(layer, Some(self.lora));
        let eps = model.config().rms_norm_eps;
        let h_in = &self.hidden[layer];
        let positions = model.positions(layer, &self.buffers.position);
        let spans = self.buffers.spans();

        let h_mid = kept.unwrap_or(&d.h_mid);
        if kept.is_none() {
            rec.copy(h_in, h_mid)?;
            block.attention_half(rec, h_mid, act, positions, Attend::Packed { spans })?;
            block.mlp_again(rec, h_mid, act)?;
        }

        let dy = self.post_norm(rec, &block, Module::Down, act)?;
        self.linears(rec, &block, &[Module::Down], &act.act, &[dy], Some((&d.d_act, false)))?;
        let ([gate, up], [d_gate, d_up]) = (&act.gate_up, &d.d_gate_up);
        swiglu::backward(rec, model.config().family.activation, gate, up, &d.d_act, d_gate, d_up)?;
        let norm = block.weights.mlp_norm.as_ref();
        self.inputs(rec, &block, GATE_UP, [h_mid, &act.x_mlp], norm, &[d_gate, d_up], true)?;

        let dy = self.post_norm(rec, &block, Module::O, act)?;
        self.linears(rec, &block, &[Module::O], &act.o, &[dy], Some((&d.d_out, false)))?;
        let ([raw_q, raw_k, _], [d_raw_q, d_raw_k, dv]) = (&act.qkv, &d.d_qkv);
        let dq = d.d_normed_q.as_ref().unwrap_or(d_raw_q);
        let dk = d.d_normed_k.as_ref().unwrap_or(d_raw_k);
        let grads = Gradients { dq, dk, dv };
        attention::backward(rec, block.heads(), spans.of(block.heads())?, act.saved(), &d.d_out, grads)?;
        rope::backward(rec, positions, dq, dk)?;
        if let Some([q_norm, k_norm]) = &block.weights.qk_norm {
            rms_norm::backward_x(rec, raw_q, q_norm, dq, d_raw_q, eps, false)?;
            rms_norm::backward_x(rec, raw_k, k_norm, dk, d_raw_k, eps, false)?;
        }
        // Nothing below the first block learns, so its input needs no gradient.
        let norm = block.weights.attention_norm.as_ref();
        self.inputs(rec, &block, QKV, [h_in, &act.x_attention], norm, &[d_raw_q, d_raw_k, dv], layer > 0)
    }

    /// Gradients of linear layers that read `x`, the norm of `h`, or h itself without one: of each one's adapter, and if `below` of h,
    /// added to that of the residual stream.
    #[allow(clippy::too_many_arguments, reason = "the two halves differ in all of them")]
    fn inputs(
        &self,
        rec: &mut Recorder<'_>,
        block: &Block<'_>,
        modules: &[Module],
        [h, x]: [&Buffer; 2],
        norm: Option<&Buffer>,
        dys: &[&Buffer],
        below: bool,
    ) -> Result<()> {
        let d = self.d;
        let Some(norm) = norm else {
            return self.linears(rec, block, modules, h, dys, below.then_some((&d.dh, true)));
        };
        self.linears(rec, block, modules, x, dys, below.then_some((&d.dx, false)))?;
        match below {
            true => rms_norm::backward_x(rec, h, norm, &d.dx, &d.dh, block.config.stream_eps(), true),
            false => Ok(()),
        }
    }

    /// The gradient of the output of the half whose last product is `module`: through its norm, where the family has one.
    fn post_norm(
        &self,
        rec: &mut Recorder<'_>,
        block: &Block<'_>,
        module: Module,
        act: &Activations,
    ) -> Result<&Buffer> {
        let Some([out, norm]) = block.post_norm(module, act) else { return Ok(&self.d.dh) };
        rms_norm::backward_x(rec, out, norm, &self.d.dh, &self.d.dx, block.config.rms_norm_eps, false)?;
        Ok(&self.d.dx)
    }

    /// Gradients of linear layers that read the same x: of each one's adapter, and of x, added to what is there if so said.
    fn linears(
        &self,
        rec: &mut Recorder<'_>,
        block: &Block<'_>,
        modules: &[Module],
        x: &Buffer,
        dys: &[&Buffer],
        dx: Option<(&Buffer, bool)>,
    ) -> Result<()> {
        self.adapters(rec, block, modules, x, dys)?;
        let Some((dx, accumulate)) = dx else { return Ok(()) };
        let mut segments = Vec::with_capacity(modules.len());
        for (&module, dy) in modules.iter().zip(dys) {
            let adapter = match block.pair(module) {
                // d_low has the scale already.
                Some(Pair { a, rank, .. }) => {
                    let low = low_of(&self.d.d_low, module, x.shape()[0], *rank)?;
                    Some(Adapter { low, matrix: a.clone(), row: 0, scale: 1.0 })
                }
                None => None,
            };
            segments.push(Segment::new(dy, adapter));
        }
        if let Some(weight) = block.weights.joined(modules) {
            return matmul::backward_x_joined(rec, weight, &segments, dx, accumulate);
        }
        for (index, (&module, segment)) in modules.iter().zip(&segments).enumerate() {
            let weight = &block.weights.linear(module).weight;
            matmul::backward_x_joined(
                rec,
                weight,
                std::slice::from_ref(segment),
                dx,
                accumulate || index > 0,
            )?;
        }
        Ok(())
    }

    /// Gradients of the adapters of those of `modules` that have one, and for dx their dy·B: two dispatches where the memory
    /// of the dys allows and each has an A of its own.
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
        let (mut sites, mut each, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
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
            firsts.push(pair.first);
        }
        let (adapter, gradient, d_low) = (self.lora.flat(), self.grads.flat(), &self.d.d_low);
        let mut both = |dy: &Buffer, low: &Buffer, d_low: &Buffer, sites: &[lora_grad::Site]| {
            let joined = lora_grad::Joined { x, dy, adapter, low, d_low, gradient, sites };
            lora_grad::back(rec, &joined)?;
            lora_grad::gradients(rec, &joined)
        };
        let alone = sites.iter().zip(&firsts).all(|(site, &first)| site.low_start == act.low_start(first));
        if let (true, Some((dy, starts))) = (alone, Buffer::enclosing(&each)) {
            sites.iter_mut().zip(starts).for_each(|(site, start)| site.dy_start = start);
            return both(&dy, low, d_low, &sites);
        }
        // Parts of one module have one A·x, of which each has its own gradient: one after the other they add to that of their A.
        let elements = low.shape()[1];
        for ((dy, site), first) in each.iter().zip(&sites).zip(firsts) {
            let low = low.view(act.low_start(first), &[elements])?;
            let d_low = d_low.view(site.low_start, &[elements])?;
            both(dy, &low, &d_low, &[lora_grad::Site { low_start: 0, ..*site }])?;
        }
        Ok(())
    }
}
