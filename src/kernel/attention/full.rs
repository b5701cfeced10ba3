//! Causal attention over packed sequences: each thread by itself, or on a GPU in tiles ([`tiled`]).
//! Shader: shaders/attention/full.wgsl. Reference: tests/reference/attention/full.rs.

use super::super::{GROUP, word};
use super::{HEAD_DIMS, Heads, PackedParams, SPAN, tiled};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

const FORWARD: Kernel =
    kernel!("attention/full", "forward", PackedParams, ["span", "q", "k", "v", "o", "stats_out"]);
const BACKWARD_DELTA: Kernel =
    kernel!("attention/full", "backward_delta", PackedParams, ["out", "d_out", "stats_out"]);
const BACKWARD_Q: Kernel =
    kernel!("attention/full", "backward_q", PackedParams, ["span", "q", "k", "v", "d_out", "stats", "dq"]);
const BACKWARD_KV: Kernel = kernel!(
    "attention/full",
    "backward_kv",
    PackedParams,
    ["span", "q", "k", "v", "d_out", "stats", "dk", "dv"]
);

/// Tokens of one head that a thread owns, and the threads of a workgroup.
///
/// A software adapter pays for loads: each key that a thread loads should serve several queries (and the reverse), as far
/// as their sums do not leave the first-level cache. On a GPU only do·o is computed so, a token a thread.
#[derive(Debug, Clone, Copy)]
struct Tile {
    group: u32,
    tokens: usize,
}

impl Tile {
    fn new(kernel: &Kernel, head_dim: usize) -> Self {
        // Numbers of a head times tokens: backward_kv keeps four such tiles, the others two or three.
        let most = if kernel.entry == BACKWARD_KV.entry { 128 } else { 256 };
        match kernel.entry == BACKWARD_DELTA.entry {
            true => Self { group: GROUP, tokens: 1 },
            false => Self { group: 8, tokens: (most / head_dim).clamp(1, 4) },
        }
    }

    fn variant(self, head_dim: usize) -> Variant {
        let Self { group, tokens } = self;
        Variant::constants(&[("WG", group), ("HEAD4", word(head_dim / 4)), ("TILE", word(tokens))])
    }
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let kernels = [FORWARD, BACKWARD_DELTA, BACKWARD_Q, BACKWARD_KV];
    let variant = |dim, kernel| (kernel, Tile::new(&kernel, dim).variant(dim));
    HEAD_DIMS.into_iter().flat_map(|dim| kernels.map(|kernel| variant(dim, kernel))).collect()
}

/// Dispatches an entry whose threads own tiles of tokens in each of the query heads, or of the key and value heads.
fn dispatch(
    rec: &mut Recorder<'_>,
    kernel: &Kernel,
    sizes: Heads,
    params: &PackedParams,
    arguments: &[&Buffer],
) -> Result<()> {
    let tile = Tile::new(kernel, sizes.head_dim);
    let heads = if kernel.entry == BACKWARD_KV.entry { sizes.kv_heads } else { sizes.heads };
    let tokens = params.tokens as usize;
    let groups = groups_for(tokens.div_ceil(tile.tokens) * heads, tile.group as usize);
    rec.dispatch(kernel, &tile.variant(sizes.head_dim), params, arguments, groups)
}

/// The parameters and the number of tokens, if q, k and v have the shapes of as many tokens as `span`.
fn check(sizes: Heads, span: &Buffer, [q, k, v]: [&Buffer; 3]) -> Result<(PackedParams, usize)> {
    let [tokens, _] = span.matrix("attention/full", "span")?;
    span.expect("attention/full", "span", &[tokens, SPAN])?;
    let Heads { heads, kv_heads, head_dim, .. } = sizes;
    if !head_dim.is_multiple_of(4) || !heads.is_multiple_of(kv_heads.max(1)) {
        return Err(Error::Shape {
            kernel: "attention/full",
            arg: "heads",
            expected: vec![kv_heads, 4],
            got: vec![heads, head_dim],
        });
    }
    q.expect("attention/full", "q", &[tokens, heads * head_dim])?;
    k.expect("attention/full", "k", &[tokens, kv_heads * head_dim])?;
    v.expect("attention/full", "v", &[tokens, kv_heads * head_dim])?;
    let params = PackedParams {
        tokens: word(tokens),
        heads: word(heads),
        kv_heads: word(kv_heads),
        scale: sizes.scale(),
    };
    Ok((params, tokens))
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

/// o and stats from q, k, v; span `[tokens, 4]` says what each token sees, see [`super::SPAN`].
pub fn forward(rec: &mut Recorder<'_>, heads: Heads, span: &Buffer, saved: Saved<'_>) -> Result<()> {
    let (params, tokens) = check(heads, span, [saved.q, saved.k, saved.v])?;
    saved.o.expect("attention/full", "o", saved.q.shape())?;
    saved.stats.expect("attention/full", "stats", &[tokens, heads.heads, 2])?;
    let arguments = [span, saved.q, saved.k, saved.v, saved.o, saved.stats];
    match rec.gpu().is_software() {
        true => dispatch(rec, &FORWARD, heads, &params, &arguments),
        false => tiled::dispatch(rec, &tiled::FORWARD, heads, &params, &arguments),
    }
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
    let (params, tokens) = check(heads, span, [saved.q, saved.k, saved.v])?;
    d_out.expect("attention/full", "do", saved.q.shape())?;
    grads.dq.expect("attention/full", "dq", saved.q.shape())?;
    grads.dk.expect("attention/full", "dk", saved.k.shape())?;
    grads.dv.expect("attention/full", "dv", saved.v.shape())?;
    saved.stats.expect("attention/full", "stats", &[tokens, heads.heads, 2])?;
    let Saved { q, k, v, o, stats } = saved;
    let Gradients { dq, dk, dv } = grads;
    dispatch(rec, &BACKWARD_DELTA, heads, &params, &[o, d_out, stats])?;
    let for_q = [span, q, k, v, d_out, stats, dq];
    if rec.gpu().is_software() {
        dispatch(rec, &BACKWARD_Q, heads, &params, &for_q)?;
        return dispatch(rec, &BACKWARD_KV, heads, &params, &[span, q, k, v, d_out, stats, dk, dv]);
    }
    tiled::dispatch(rec, &tiled::BACKWARD_Q, heads, &params, &for_q)?;
    tiled::dispatch(rec, &tiled::BACKWARD_K, heads, &params, &[span, q, k, v, d_out, stats, dk])?;
    tiled::dispatch(rec, &tiled::BACKWARD_V, heads, &params, &[span, q, k, d_out, stats, dv])
}
