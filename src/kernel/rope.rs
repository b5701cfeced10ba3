//! Rotary position embedding. Shader: shaders/rope.wgsl. Reference: tests/reference/rope.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { rows: u32, heads: u32, kv_heads: u32, head_dim: u32, sign: f32 } }

const FORWARD: Kernel = kernel!("rope", "forward", Params, ["position", "table", "q", "k"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain())]
}

/// Rotates q `[rows, heads·head_dim]` and k `[rows, kv_heads·head_dim]` in place by position `[rows]`; `table` is
/// `[positions, head_dim]` of (cos, sin).
pub fn forward(
    rec: &mut Recorder<'_>,
    position: &Buffer,
    table: &Buffer,
    q: &Buffer,
    k: &Buffer,
) -> Result<()> {
    rotate(rec, position, table, q, k, 1.0)
}

/// Rotates back, in place: the gradient of [`forward`].
pub fn backward(
    rec: &mut Recorder<'_>,
    position: &Buffer,
    table: &Buffer,
    dq: &Buffer,
    dk: &Buffer,
) -> Result<()> {
    rotate(rec, position, table, dq, dk, -1.0)
}

fn rotate(
    rec: &mut Recorder<'_>,
    position: &Buffer,
    table: &Buffer,
    q: &Buffer,
    k: &Buffer,
    sign: f32,
) -> Result<()> {
    let [rows, q_cols] = q.matrix("rope", "q")?;
    let [_, k_cols] = k.matrix("rope", "k")?;
    let [_, head_dim] = table.matrix("rope", "table")?;
    let heads = |cols: usize| cols / head_dim.max(1);
    position.expect("rope", "position", &[rows])?;
    q.expect("rope", "q", &[rows, heads(q_cols) * head_dim])?;
    k.expect("rope", "k", &[rows, heads(k_cols) * head_dim])?;
    let params = Params {
        rows: word(rows),
        heads: word(heads(q_cols)),
        kv_heads: word(heads(k_cols)),
        head_dim: word(head_dim),
        sign,
    };
    let groups = groups_for(rows * (q_cols + k_cols) / 2, GROUP as usize);
    rec.dispatch(&FORWARD, &plain(), &params, &[position, table, q, k], groups)
}
