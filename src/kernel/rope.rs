//! Rotary position embedding. Shader: shaders/rope.wgsl. Reference: tests/reference/rope.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { rows: u32, heads: u32, head_dim: u32, sign: f32 } }

const FORWARD: Kernel = kernel!("rope", "forward", Params, ["position", "table", "x"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain())]
}

/// Rotates x `[rows, heads·head_dim]` in place by position `[rows]`; `table` is `[positions, head_dim]` of (cos, sin).
pub fn forward(rec: &mut Recorder<'_>, position: &Buffer, table: &Buffer, x: &Buffer) -> Result<()> {
    rotate(rec, position, table, x, 1.0)
}

/// Rotates back, in place: the gradient of [`forward`].
pub fn backward(rec: &mut Recorder<'_>, position: &Buffer, table: &Buffer, dx: &Buffer) -> Result<()> {
    rotate(rec, position, table, dx, -1.0)
}

fn rotate(rec: &mut Recorder<'_>, position: &Buffer, table: &Buffer, x: &Buffer, sign: f32) -> Result<()> {
    let [rows, cols] = x.matrix("rope", "x")?;
    let [_, head_dim] = table.matrix("rope", "table")?;
    position.expect("rope", "position", &[rows])?;
    x.expect("rope", "x", &[rows, cols / head_dim.max(1) * head_dim])?;
    let params = Params { rows: word(rows), heads: word(cols / head_dim), head_dim: word(head_dim), sign };
    rec.dispatch(
        &FORWARD,
        &plain(),
        &params,
        &[position, table, x],
        groups_for(rows * cols / 2, GROUP as usize),
    )
}
