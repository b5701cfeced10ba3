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

/// Tokens of one head that a thread owns, and the threads of a workgroup.
///
/// A software adapter pays for loads: each key that a thread loads should serve several queries (and the reverse), as far
/// as their sums do not leave the first-level cache. A GPU's registers hold one token.
#[derive(Debug, Clone, Copy)]
struct Tile {
    group: u32,
    tokens: usize,
}

impl Tile {
    fn new(kernel: &Kernel, software: bool, head_dim: usize) -> Self {
        // Numbers of a head times tokens: backward_kv keeps four such tiles, the others two or three.
        let most = if kernel.entry == BACKWARD_KV.entry { 128 } else { 256 };
        match software && kernel.entry != BACKWARD_DELTA.entry {
            true => Self { group: 8, tokens: (most / head_dim).clamp(1, 4) },
            false => Self { group: GROUP, tokens: 1 },
        }
    }

    fn variant(self, head_dim: usize) -> Variant {
        let Self { group, tokens } = self;
        Variant::constants(&[("WG", group), ("HEAD4", word(head_dim / 4)), ("TILE", word(tokens))])
    }
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let kernels = [FORWARD, BACKWARD_DELTA, BACKWARD_Q, BACKWARD_KV];
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for (dim, kernel) in HEAD_DIMS.into_iter().flat_map(|dim| kernels.map(|kernel| (dim, kernel))) {
        for software in [true, false] {
            let variant = Tile::new(&kernel, software, dim).variant(dim);
            if !variants.iter().any(|(k, v)| k.entry == kernel.entry && *v == variant) {
                variants.push((kernel, variant));
            }
        }
    }
    variants
}

/// Dispatches an entry whose threads own tiles of `tokens` tokens in each of `heads` heads.
fn dispatch(
    rec: &mut Recorder<'_>,
    kernel: &Kernel,
    head_dim: usize,
    params: &Params,
    arguments: &[&Buffer],
    [tokens, heads]: [usize; 2],
) -> Result<()> {
    let tile = Tile::new(kernel, rec.gpu().is_software(), head_dim);
    let groups = groups_for(tokens.div_ceil(tile.tokens) * heads, tile.group as usize);
    rec.dispatch(kernel, &tile.variant(head_dim), params, arguments, groups)
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
    let arguments = [span, saved.q, saved.k, saved.v, saved.o, saved.stats];
    dispatch(rec, &FORWARD, heads.head_dim, &params, &arguments, [tokens, heads.heads])
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
    let (dim, rows) = (heads.head_dim, [tokens, heads.heads]);
    let Saved { q, k, v, o, stats } = saved;
    let Gradients { dq, dk, dv } = grads;
    dispatch(rec, &BACKWARD_DELTA, dim, &params, &[o, d_out, stats], rows)?;
    dispatch(rec, &BACKWARD_Q, dim, &params, &[span, q, k, v, d_out, stats, dq], rows)?;
    let arguments = [span, q, k, v, d_out, stats, dk, dv];
    dispatch(rec, &BACKWARD_KV, dim, &params, &arguments, [tokens, heads.kv_heads])
}
