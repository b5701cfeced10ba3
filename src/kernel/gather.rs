//! Rows by index. Shader: shaders/gather.wgsl. Reference: tests/reference/gather.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { m: u32, cols: u32 } }

const FORWARD: Kernel = kernel!("gather", "forward", Params, ["index", "x", "y"]);
const BACKWARD: Kernel = kernel!("gather", "backward", Params, ["index", "dy", "dx"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain()), (BACKWARD, plain())]
}

/// y `[m, cols]` = the rows of x named by index `[m]`; zero where the index is [`super::NONE`].
pub fn forward(rec: &mut Recorder<'_>, index: &Buffer, x: &Buffer, y: &Buffer) -> Result<()> {
    let [m, cols] = y.matrix("gather", "y")?;
    index.expect("gather", "index", &[m])?;
    x.expect("gather", "x", &[x.len() / cols, cols])?;
    let params = Params { m: word(m), cols: word(cols) };
    rec.dispatch(&FORWARD, &plain(), &params, &[index, x, y], groups_for(m * cols, GROUP as usize))
}

/// Writes each row of dx that index names, where it is the sum of the rows of dy that belong to it; other rows of dx keep what they held.
/// A row that index names several times has to stand there side by side.
pub fn backward(rec: &mut Recorder<'_>, index: &Buffer, dy: &Buffer, dx: &Buffer) -> Result<()> {
    let [m, cols] = dy.matrix("gather", "dy")?;
    index.expect("gather", "index", &[m])?;
    dx.expect("gather", "dx", &[dx.len() / cols, cols])?;
    let params = Params { m: word(m), cols: word(cols) };
    rec.dispatch(&BACKWARD, &plain(), &params, &[index, dy, dx], groups_for(m * cols, GROUP as usize))
}
