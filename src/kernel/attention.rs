//! Causal attention over packed sequences. Shader: shaders/attention.wgsl. Reference: tests/reference/attention.rs.

use super::{GROUP, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

params! { Params { tokens: u32, heads: u32, kv_heads: u32, scale: f32 } }

const FORWARD: Kernel = kernel!("attention", "forward", Params, ["span", "q", "k", "v", "o", "stats_out"]);
const BACKWARD_DELTA: Kernel = kernel!("attention", "backward_delta", Params, ["out", "d_out", "stats_out"]);
const BACKWARD_Q: Kernel =
    kernel!("attention", "backward_q", Params, ["span", "q", "k", "v", "d_out", "stats", "dq"]);
const BACKWARD_KV: Kernel =
    kernel!("attention", "backward_kv", Params, ["span", "q", "k", "v", "d_out", "stats", "dk", "dv"]);

/// Head sizes of the supported families, for the shader check.
pub(super) const HEAD_DIMS: [usize; 4] = [16, 32, 64, 128];

fn variant(head_dim: usize) -> Variant {
    Variant::constants(&[("WG", GROUP), ("HEAD4", word(head_dim / 4))])
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let kernels = [FORWARD, BACKWARD_DELTA, BACKWARD_Q, BACKWARD_KV];
    HEAD_DIMS.into_iter().flat_map(|dim| kernels.map(|kernel| (kernel, variant(dim)))).collect()
}

/// Sizes of one attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; `heads` is a multiple.
    pub kv_heads: usize,
    /// Values of a head; a multiple of 4.
    pub head_dim: usize,
}

impl Heads {
    /// Scale of the scores, 1/√head_dim.
    pub fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn check(&self, tokens: usize, q: &Buffer, k: &Buffer, v: &Buffer) -> Result<Params> {
        if !self.head_dim.is_multiple_of(4) || !self.heads.is_multiple_of(self.kv_heads.max(1)) {
            return Err(Error::Shape {
                kernel: "attention",
                arg: "heads",
                expected: vec![self.kv_heads, 4],
                got: vec![self.heads, self.head_dim],
            });
        }
        q.expect("attention", "q", &[tokens, self.heads * self.head_dim])?;
        k.expect("attention", "k", &[tokens, self.kv_heads * self.head_dim])?;
        v.expect("attention", "v", &[tokens, self.kv_heads * self.head_dim])?;
        Ok(Params {
            tokens: word(tokens),
            heads: word(self.heads),
            kv_heads: word(self.kv_heads),
            scale: self.scale(),
        })
    }
}

/// What forward leaves for backward.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// Queries `[tokens, heads·head_dim]`, rotated.
    pub q: &'a Buffer,
    /// Keys `[tokens, kv_heads·head_dim]`, rotated.
    pub k: &'a Buffer,
    /// Values `[tokens, kv_heads·head_dim]`.
    pub v: &'a Buffer,
    /// Output `[tokens, heads·head_dim]`.
    pub o: &'a Buffer,
    /// Log of the softmax's denominator and, in backward, do·o: `[tokens, heads, 2]`.
    pub stats: &'a Buffer,
}

/// o and stats from q, k, v; span `[tokens, 2]` holds the first token and the end of each token's sequence.
pub fn forward(rec: &mut Recorder<'_>, heads: Heads, span: &Buffer, saved: Saved<'_>) -> Result<()> {
    let [tokens, _] = span.matrix("attention", "span")?;
    let params = heads.check(tokens, saved.q, saved.k, saved.v)?;
    saved.o.expect("attention", "o", saved.q.shape())?;
    saved.stats.expect("attention", "stats", &[tokens, heads.heads, 2])?;
    rec.dispatch(
        &FORWARD,
        &variant(heads.head_dim),
        &params,
        &[span, saved.q, saved.k, saved.v, saved.o, saved.stats],
        groups_for(tokens * heads.heads, GROUP as usize),
    )
}

/// Gradients of q, k and v.
#[derive(Debug, Clone, Copy)]
pub struct Gradients<'a> {
    /// Like q.
    pub dq: &'a Buffer,
    /// Like k.
    pub dk: &'a Buffer,
    /// Like v.
    pub dv: &'a Buffer,
}

/// dq, dk, dv from do.
pub fn backward(
    rec: &mut Recorder<'_>,
    heads: Heads,
    span: &Buffer,
    saved: Saved<'_>,
    d_out: &Buffer,
    grads: Gradients<'_>,
) -> Result<()> {
    let [tokens, _] = span.matrix("attention", "span")?;
    let params = heads.check(tokens, saved.q, saved.k, saved.v)?;
    d_out.expect("attention", "do", saved.q.shape())?;
    grads.dq.expect("attention", "dq", saved.q.shape())?;
    grads.dk.expect("attention", "dk", saved.k.shape())?;
    grads.dv.expect("attention", "dv", saved.v.shape())?;
    saved.stats.expect("attention", "stats", &[tokens, heads.heads, 2])?;
    let variant = variant(heads.head_dim);
    let rows = groups_for(tokens * heads.heads, GROUP as usize);
    let Saved { q, k, v, o, stats } = saved;
    let Gradients { dq, dk, dv } = grads;
    rec.dispatch(&BACKWARD_DELTA, &variant, &params, &[o, d_out, stats], rows)?;
    rec.dispatch(&BACKWARD_Q, &variant, &params, &[span, q, k, v, d_out, stats, dq], rows)?;
    rec.dispatch(
        &BACKWARD_KV,
        &variant,
        &params,
        &[span, q, k, v, d_out, stats, dk, dv],
        groups_for(tokens * heads.kv_heads, GROUP as usize),
    )
}
