//! Bias of a linear layer. Shader: shaders/add_bias.wgsl. Reference: tests/reference/add_bias.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { rows: u32, cols: u32 } }

const FORWARD: Kernel = kernel!("add_bias", "forward", Params, ["bias", "y"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain())]
}

/// Adds bias `[cols]` to every row of y `[rows, cols]`.
pub fn forward(rec: &mut Recorder<'_>, bias: &Buffer, y: &Buffer) -> Result<()> {
    let [rows, cols] = y.matrix("add_bias", "y")?;
    bias.expect("add_bias", "bias", &[cols])?;
    let params = Params { rows: word(rows), cols: word(cols) };
    rec.dispatch(&FORWARD, &plain(), &params, &[bias, y], groups_for(rows * cols, GROUP as usize))
}
