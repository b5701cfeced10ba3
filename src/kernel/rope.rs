//! Rotary position embedding. Shader: shaders/rope.wgsl. Reference: tests/reference/rope.rs.

use super::cache::CacheFormat;
use super::{GROUP, kv_write, plain, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

params! {
    Params {
        rows: u32, heads: u32, kv_heads: u32, head_dim: u32, turned: u32, sign: f32, pairs: u32, q_at: u32, k_at: u32, v_at: u32,
    }
}

const FORWARD: Kernel = kernel!("rope", "forward", Params, ["position", "table", "q", "k"]);
const FORWARD_CACHED: Kernel =
    kernel!("rope", "forward_cached", Params, ["position", "table", "qkv", "pair", "k_pages", "v_pages"]);
const FORWARD_CACHED_F16: Kernel =
    kernel!("rope", "forward_cached_f16", Params, ["position", "table", "qkv", "pair", "k_words", "v_words"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain()), (FORWARD_CACHED, plain()), (FORWARD_CACHED_F16, plain())]
}

/// Where rows stand.
#[derive(Debug, Clone, Copy)]
pub struct Positions<'a> {
    /// Position of each row `[rows]`.
    pub position: &'a Buffer,
    /// (cos, sin) by position `[positions, head_dim]`.
    pub table: &'a Buffer,
    /// Values of each head that turn, its first ones: all, or a multiple of 4. For the others the table has (1, 0).
    pub turned: usize,
}

/// Rotates q `[rows, heads·head_dim]` and k `[rows, kv_heads·head_dim]` in place.
pub fn forward(rec: &mut Recorder<'_>, positions: Positions<'_>, q: &Buffer, k: &Buffer) -> Result<()> {
    rotate(rec, positions, q, k, 1.0)
}

/// Rotates back, in place: the gradient of [`forward`].
pub fn backward(rec: &mut Recorder<'_>, positions: Positions<'_>, dq: &Buffer, dk: &Buffer) -> Result<()> {
    rotate(rec, positions, dq, dk, -1.0)
}

/// Rotates q in place and writes the rotated k, and v, to places of the cache, as [`kv_write::forward`] does: one dispatch
/// where the three lie in one memory. k is left in either state.
pub fn forward_cached(
    rec: &mut Recorder<'_>,
    positions: Positions<'_>,
    [q, k, v]: [&Buffer; 3],
    pair: &Buffer,
    [k_pages, v_pages]: [&Buffer; 2],
) -> Result<()> {
    let params = params(positions, q, k, 1.0)?;
    let Some((qkv, places)) = Buffer::enclosing(&[q, k, v]) else {
        forward(rec, positions, q, k)?;
        return kv_write::forward(rec, pair, k, v, k_pages, v_pages);
    };
    let (pairs, format) = kv_write::pairs(pair, k, v, k_pages, v_pages)?;
    let kernel = match format {
        CacheFormat::F32 => &FORWARD_CACHED,
        CacheFormat::F16 => &FORWARD_CACHED_F16,
    };
    let params = Params {
        pairs: word(pairs),
        q_at: word(places[0]),
        k_at: word(places[1]),
        v_at: word(places[2]),
        ..params
    };
    let groups = groups_for((q.len() + pairs * format.words(k.shape()[1])) / 2, GROUP as usize);
    let arguments = [positions.position, positions.table, &qkv, pair, k_pages, v_pages];
    rec.dispatch(kernel, &plain(), &params, &arguments, groups)
}

fn rotate(rec: &mut Recorder<'_>, positions: Positions<'_>, q: &Buffer, k: &Buffer, sign: f32) -> Result<()> {
    let params = params(positions, q, k, sign)?;
    let groups = groups_for((q.len() + k.len()) / 2, GROUP as usize);
    rec.dispatch(&FORWARD, &plain(), &params, &[positions.position, positions.table, q, k], groups)
}

fn params(positions: Positions<'_>, q: &Buffer, k: &Buffer, sign: f32) -> Result<Params> {
    let [rows, q_cols] = q.matrix("rope", "q")?;
    let [_, k_cols] = k.matrix("rope", "k")?;
    let [_, head_dim] = positions.table.matrix("rope", "table")?;
    let turned = positions.turned;
    if turned > head_dim || !turned.is_multiple_of(if turned == head_dim { 2 } else { 4 }) {
        let (expected, got) = (vec![head_dim], vec![turned]);
        return Err(Error::Shape { kernel: "rope", arg: "turned", expected, got });
    }
    let heads = |cols: usize| cols / head_dim.max(1);
    positions.position.expect("rope", "position", &[rows])?;
    q.expect("rope", "q", &[rows, heads(q_cols) * head_dim])?;
    k.expect("rope", "k", &[rows, heads(k_cols) * head_dim])?;
    Ok(Params {
        rows: word(rows),
        heads: word(heads(q_cols)),
        kv_heads: word(heads(k_cols)),
        head_dim: word(head_dim),
        turned: word(turned),
        sign,
        pairs: 0,
        q_at: 0,
        k_at: 0,
        v_at: 0,
    })
}
